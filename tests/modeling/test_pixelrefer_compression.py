"""Roles, options and token budgets of a clip: arithmetic only."""

import json
from pathlib import Path

import pytest

from modeling.pixelrefer.budget import ROWS, BudgetRow, table
from modeling.pixelrefer.compression import (
    COMPRESSIONS,
    ClipRef,
    Compression,
    SceneOptions,
    assign_roles,
    clip_patches,
    frame_tokens,
    scene_budget,
)

FOUR = COMPRESSIONS["4x4+carry"]

# frame, frames, patches (columns x rows), published, first clip, saved %, later clip, saved %
SPECIFIED = [
    ((448, 448), 8, True, (32, 32), 2048, 704, 65.6, 768, 62.5),
    ((448, 448), 16, True, (32, 32), 4096, 1216, 70.3, 1280, 68.8),
    ((720, 1280), 8, True, (90, 50), 9000, 3218, 64.2, 3517, 60.9),
    ((720, 1280), 16, True, (64, 36), 9216, 2736, 70.3, 2880, 68.8),
    ((720, 1280), 8, False, (92, 52), 9568, 3289, 65.6, 3588, 62.5),
    ((720, 1280), 16, False, (92, 52), 19136, 5681, 70.3, 5980, 68.8),
]


@pytest.mark.parametrize("specified", SPECIFIED)
def test_budgets_are_those_of_the_design(specified: tuple) -> None:
    size, frames, capped, patches, published, first, first_saved, later, later_saved = specified
    row = BudgetRow(size, frames, capped)
    assert (row.grid[1], row.grid[0]) == patches and row.published.total == published
    made = [
        (budget.total, round(100 * budget.saved(row.published), 1))
        for budget in (row.first(FOUR), row.later(FOUR))
    ]
    assert made == [(first, first_saved), (later, later_saved)]
    assert row in ROWS


def test_a_further_fold_of_everything_costs_what_the_design_says() -> None:
    shape = Compression(anchor=4, body=8)
    totals = [row.first(shape).total for row in (ROWS[0], ROWS[1], ROWS[4], ROWS[5])]
    assert totals == [176, 304, 887, 1559]


def test_budgets_of_perceive_anything_follow_from_the_same_counts() -> None:
    """64 x 64 cells; 16 semantic tokens and three separators come with every frame of a clip."""
    grid, beside = (64, 64), 19
    prompt, other = frame_tokens(grid, 2) + beside, frame_tokens(grid, 4) + beside
    assert (frame_tokens(grid, 2) + beside - 1, prompt, other) == (1042, 1043, 275)
    clips = [
        scene_budget(grid, assign_roles(16), FOUR).total + 16 * beside,
        scene_budget(grid, assign_roles(15, carried=True), FOUR, grid).total + 16 * beside,
        scene_budget(grid, assign_roles(16, carried=True), FOUR, grid).total + 17 * beside,
        scene_budget(grid, assign_roles(16), Compression(1, 1)).total + 16 * beside,
        scene_budget(grid, assign_roles(16), Compression(2, 2)).total + 16 * beside,
    ]
    assert clips == [5168, 5168, 5443, 65840, 16688]


def test_the_page_shows_the_table_that_the_code_makes() -> None:
    page = Path(__file__).parents[2] / "docs" / "compression.md"
    assert table() in page.read_text()


def test_one_frame_is_the_anchor_unless_one_is_carried_in() -> None:
    assert assign_roles(3) == ("anchor", "body", "body")
    assert assign_roles(3, anchor=2) == ("body", "body", "anchor")
    assert assign_roles(3, carried=True) == ("body",) * 3
    assert assign_roles(1) == ("anchor",)
    with pytest.raises(ValueError, match="anchor 3 is not one of 3 frames"):
        assign_roles(3, anchor=3)
    with pytest.raises(ValueError, match="at least one frame"):
        assign_roles(0)


def test_a_bound_on_tokens_holds_for_the_clip_it_sizes() -> None:
    side = int(clip_patches(9477, 16, FOUR) ** 0.5) // 4 * 4
    totals = [scene_budget((side + more,) * 2, assign_roles(16), FOUR).total for more in (0, 4)]
    assert totals[0] <= 9477 < totals[1]
    assert clip_patches(9477, 16, COMPRESSIONS["2x2"]) == 9477 * 4 // 16


def test_options_survive_the_wire() -> None:
    clip = ClipRef("gate", "gate-1-c000007", "gate-1-c000006", 1700000000.25)
    options = SceneOptions("4x4+carry", 2, "tokens", "centre", clip)
    assert SceneOptions.from_json(options.to_json()) == options
    assert SceneOptions.from_json(SceneOptions().to_json()) == SceneOptions() == SceneOptions.from_json("")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("[]", "must be one JSON object"),
        ("{", "not valid JSON"),
        ("[" * 100000, "not valid JSON"),
        ({"compression": "8x8"}, "'8x8' is none of published, 2x2, 4x4, 4x4\\+carry"),
        ({"compression": ["4x4"]}, "compression must be one value"),
        ({"anchor": -1}, "anchor must be the number of a frame"),
        ({"anchor": True}, "anchor must be the number of a frame"),
        ({"anchor": 1.0}, "anchor must be the number of a frame"),
        ({"cap": "none"}, "cap 'none' is none of pixels, tokens"),
        ({"reading": 4}, "reading 4 is none of mean, centre"),
        ({"camera": "gate"}, "camera and clip must both be named"),
        ({"begin_s": 1.0}, "camera and clip must both be named"),
        ({"camera": "", "clip": "c"}, "camera and clip must both be named"),
        ({"camera": "gate", "clip": 7}, "clip must be text"),
        ({"camera": "gate", "clip": "c" * 300}, "clip must be text of at most 200"),
        ({"camera": "gate", "clip": "c", "begin_s": float("nan")}, "begin_s must be a finite number"),
        ({"camera": "gate", "clip": "c", "begin_s": "now"}, "begin_s must be a finite number"),
        ({"speed": 1}, "does not know speed"),
    ],
)
def test_wrong_options_are_refused_in_one_line(values: object, complaint: str) -> None:
    text = values if isinstance(values, str) else json.dumps(values)
    with pytest.raises(ValueError, match=f"scene: .*{complaint}") as refused:
        SceneOptions.from_json(text)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
