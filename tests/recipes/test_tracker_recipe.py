"""The tracker's recipe on a few tiny clips: it trains, resumes exactly, and exports what serving loads."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.sam2.build import build_tracker, tracker_config
from modeling.sam2.segmenter import load_segmenter
from operators.types import Prompt
from recipes import train_tracker
from recipes.tracker.batches import Draw, _windows, draw_batch
from recipes.tracker.check import check
from recipes.tracker.checkpoints import export_weights, warm_start
from recipes.tracker.clips import Amounts, open_data
from recipes.tracker.plan import PLANS
from recipes.tracker.prompts import boxes, corrections, deepest
from recipes.tracker.scores import boundary_score, region_score
from recipes.tracker.store import render_store
from recipes.train_tracker import CONFIG, begin, resume, save, train_step

CPU = torch.device("cpu")
SMOKE = PLANS["smoke"]


def _moving_squares(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two squares crossing a grey picture; the second one leaves."""
    rng = np.random.default_rng(seed)
    frames, ids = np.full((6, 48, 64, 3), 90, np.uint8), np.zeros((6, 48, 64), np.uint8)
    for t in range(6):
        frames[t, 8:22, 4 + 6 * t : 18 + 6 * t], ids[t, 8:22, 4 + 6 * t : 18 + 6 * t] = (
            rng.integers(120, 250, 3),
            1,
        )
        frames[t, 28:42, 44 + 6 * t : 58 + 6 * t], ids[t, 28:42, 44 + 6 * t : 58 + 6 * t] = 20, 2
    return frames, ids


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with small clips already rendered."""
    folder = tmp_path_factory.mktemp("run")
    for name, clips in (("world", 3), ("texture", 2), ("check", 1)):
        render_store(folder / "data" / name, name, _moving_squares, 0, clips, 6, 64)
    return folder


def test_it_trains_with_finite_losses_and_changes_the_network(run: Path) -> None:
    training, data = begin(SMOKE, 1, CPU), open_data(run / "data")
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    figures = [train_step(training, SMOKE, data, 1) for _ in range(SMOKE.steps)]
    assert all(math.isfinite(value) for line in figures for value in line.values())
    assert "still_loss" in figures[0] and "clip_loss" in figures[-1]
    changed = [n for n, value in training.model.state_dict().items() if not torch.equal(value, before[n])]
    for part in (
        "image_encoder",
        "memory_attention",
        "memory_encoder",
        "sam_mask_decoder",
        "sam_prompt_encoder",
    ):
        assert any(name.startswith(part) for name in changed), f"{part} has learned nothing"


def test_a_resumed_run_equals_an_uninterrupted_one(run: Path, tmp_path: Path) -> None:
    data = open_data(run / "data")
    whole = begin(SMOKE, 1, CPU)
    for _ in range(SMOKE.steps):
        train_step(whole, SMOKE, data, 1)
    first = begin(SMOKE, 1, CPU)
    for _ in range(SMOKE.steps // 2):
        train_step(first, SMOKE, data, 1)
    save(first, tmp_path, "smoke")
    second = resume(tmp_path, SMOKE, 1, CPU)
    assert second.step == SMOKE.steps // 2
    while second.step < SMOKE.steps:
        train_step(second, SMOKE, data, 1)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    for name, value in whole.mean.items():
        assert torch.equal(value, second.mean[name]), name


def test_the_export_loads_strictly_and_serves(run: Path, tmp_path: Path) -> None:
    training = begin(SMOKE, 1, CPU)
    export_weights(tmp_path, training.mean, {**CONFIG, "image_size": 128})
    assert (tmp_path / "weights.safetensors").stat().st_size < 9_000_000
    session = load_segmenter(tmp_path)((48, 64))
    frames, _ = _moving_squares(0)
    session.begin_clip(list(frames[:2]))
    session.step()
    session.add_object(Prompt(box=np.array([0.06, 0.16, 0.29, 0.46], np.float32)))
    assert [step.mask.shape for step in session.step().values()] == [(48, 64)]


def test_exported_weights_begin_another_training(tmp_path: Path) -> None:
    first = begin(SMOKE, 1, CPU)
    export_weights(tmp_path, first.mean, CONFIG)
    second = begin(SMOKE, 2, CPU, tmp_path / "weights.safetensors")
    for name, value in first.model.state_dict().items():
        assert torch.equal(value.half().float(), second.mean[name]), name
    other = build_tracker(tracker_config(embed_dim=8, d_model=32, mem_dim=16, image_size=64))
    assert warm_start(other, tmp_path / "weights.safetensors"), "what does not fit is named"
    with pytest.raises(FileNotFoundError, match="warm start"):
        begin(SMOKE, 1, CPU, tmp_path / "none.safetensors")


def test_search_windows_follow_a_thing_from_behind_and_grow_without_it() -> None:
    ids = np.zeros((5, 100, 100), np.uint8)
    for t, x in enumerate((10, 30, 50)):
        ids[t, 40:50, x : x + 10] = 1
    for seed in range(8):
        boxes = _windows(ids, np.random.default_rng(seed))
        middles, sides = (boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 2] - boxes[:, 0]
        assert abs(middles[2] - 0.35) < 0.12, "about where it was on the picture before"
        assert sides[:3].max() <= 0.4 + 1e-9 and (boxes >= 0).all() and (boxes <= 1 + 1e-9).all()
        assert sides[4] > sides[3]


def test_a_larger_input_keeps_weights_and_optimiser(run: Path) -> None:
    training, data = begin(SMOKE, 1, CPU), open_data(run / "data")
    train_step(training, SMOKE, data, 1)
    larger = training.resized(96, SMOKE)
    for name, value in training.model.state_dict().items():
        assert torch.equal(value, larger.model.state_dict()[name]), name
    assert len(larger.optimiser.state_dict()["state"]) == len(training.optimiser.state_dict()["state"])


def test_the_check_reports_both_prompts(run: Path) -> None:
    training = begin(SMOKE, 1, CPU)
    figures = check(training.model, open_data(run / "data")["check"], 1, 6, 64)
    assert {"click", "box", "copy", "background"} <= set(figures)
    assert all(0 <= value <= 1 for value in figures.values())


def test_draws_depend_on_the_seed_alone(run: Path) -> None:
    store = open_data(run / "data")["world"]
    draw = Draw(64, 2, 4, 2, window_share=0.5)
    one, two = (draw_batch([store], [1.0], draw, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.images, two.images) and torch.equal(one.masks, two.masks)
    assert one.images.shape == (8, 3, 64, 64) and one.masks.shape[1:] == (4, 64, 64)
    assert one.masks[:, 0].flatten(1).any(1).all(), "every object shows on the prompted frame"


def test_a_run_goes_on_from_the_command_line_state(run: Path) -> None:
    train_tracker.train(run, "smoke", 1, CPU, stop_after_min=5, check_every=3)
    lines = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "check"] == [3]
    assert resume(run, SMOKE, 1, CPU).step == SMOKE.steps


def test_prompts_lie_where_they_should() -> None:
    mask = np.zeros((32, 32), bool)
    mask[4:15, 6:25] = True
    x, y = deepest(mask)
    assert mask[y, x] and y == 9
    exact = boxes(mask[None], np.random.default_rng(0), jitter=0.0)
    assert exact.coords[0].tolist() == [[6, 4], [25, 15]] and exact.labels[0].tolist() == [2, 3]
    guess = mask.copy()
    guess[20, 20] = True
    click = corrections(mask[None], guess[None], np.random.default_rng(0))
    assert click.coords[0, 0].tolist() == [20, 20] and click.labels[0, 0] == 0


def test_scores_follow_their_definition() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:30, 10:30] = True
    shifted = np.roll(mask, 10, 1)
    assert region_score(mask, mask) == boundary_score(mask, mask) == 1
    assert region_score(mask, shifted) == pytest.approx(1 / 3)
    assert boundary_score(mask, np.roll(mask, 1, 1)) == 1, "one pixel off is within the tolerance"
    assert boundary_score(mask, np.roll(mask, 40, 1)) == 0
    empty = np.zeros_like(mask)
    assert region_score(empty, empty) == boundary_score(empty, empty) == 1
    assert region_score(mask, empty) == boundary_score(empty, mask) == 0


def test_what_was_not_rendered_is_stood_in_for() -> None:
    plan = PLANS["footage"]
    whole = plan.shares(["world", "texture", "wide", "cutout"])
    assert whole == pytest.approx({"world": 0.3, "cutout": 0.5, "wide": 0.2})
    assert plan.shares(["world", "wide"]) == pytest.approx({"world": 0.3, "wide": 0.7})
    assert set(plan.shares(["world"])) == {"world"}


def test_cutouts_without_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="folder of pictures"):
        Amounts(world=1, cutouts=2)
