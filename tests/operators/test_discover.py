from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.discover import (
    DiscoverSettings,
    discover,
    distinct,
    grid_points,
    is_moving_object,
    moving_object,
    settled,
    sound,
    unclaimed,
)
from operators.motion import Moving
from operators.types import Detection

RULES = DiscoverSettings()


def disc(x: float, y: float, radius: float, score: float = 0.9, **estimates: float) -> Detection:
    rows, columns = np.mgrid[:60, :80]
    mask = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    return Detection(mask, score, **{"stability": 0.95, "presence": 3.0, **estimates})


def test_grid_leaves_out_what_is_held() -> None:
    assert len(grid_points(4)) == 16
    np.testing.assert_allclose(grid_points(2), [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
    held = np.zeros((60, 80), bool)
    held[:, :40] = True
    points = grid_points(4, held)
    assert len(points) == 8 and (points[:, 0] > 0.5).all()


@pytest.mark.parametrize(
    "bad",
    [
        disc(40, 30, 10, score=0.3),
        disc(40, 30, 10, stability=0.2),
        disc(40, 30, 10, presence=-0.1),
        disc(40, 30, 0.5),
        disc(40, 30, 45),
    ],
    ids=["uncertain", "unstable", "absent", "tiny", "everywhere"],
)
def test_unsound_answers_are_dropped(bad: Detection) -> None:
    good = disc(40, 30, 10)
    assert sound([bad, good], RULES) == [good]


def test_of_like_answers_the_best_stays() -> None:
    worse, better, other = disc(40, 30, 10, 0.8), disc(41, 30, 10, 0.9), disc(10, 10, 6, 0.85)
    assert distinct([worse, better, other], RULES) == [better, other]


def test_parts_of_held_masks_are_no_objects() -> None:
    held = disc(40, 30, 15).mask
    part, beside = disc(40, 25, 5), disc(10, 30, 6)
    assert unclaimed([part, beside], [held], RULES, limit=5) == [beside]


def test_a_part_of_an_earlier_answer_is_no_object() -> None:
    whole, part = disc(40, 30, 15, 0.95), disc(40, 25, 5, 0.9)
    assert discover([part, whole], [], RULES, limit=5) == [whole]


def test_births_are_bounded_and_the_surest_come_first() -> None:
    found = [disc(10 + 20 * at, 30, 6, score=0.75 + 0.05 * at) for at in range(4)]
    assert discover(found, [], RULES, limit=2) == [found[3], found[2]]


def test_the_same_world_gives_nothing_new_while_it_is_held() -> None:
    found = [disc(10 + 20 * at, 30, 6) for at in range(4)]
    assert discover(found, [item.mask for item in found], RULES, limit=8) == []


def test_moving_objects_fill_their_box_and_stay_in_it() -> None:
    box = np.array([0.4, 0.35, 0.6, 0.65], np.float32)
    assert is_moving_object(disc(40, 30, 8, score=0.6), box, RULES)
    assert not is_moving_object(disc(40, 30, 25, score=0.6), box, RULES), "the ground behind it"
    assert not is_moving_object(disc(40, 30, 2, score=0.6), box, RULES), "a speck in it"
    assert not is_moving_object(disc(10, 30, 8, score=0.6), box, RULES), "something else"
    assert not is_moving_object(disc(40, 30, 8, score=0.6, presence=-1.0), box, RULES), "nothing there"


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="min_area"):
        DiscoverSettings(min_area=0.6)


def test_an_answer_must_agree_with_that_of_its_own_box() -> None:
    first, better = disc(40, 30, 10, 0.7), disc(41, 30, 10, 0.8)
    assert settled(first, better, RULES) is better
    assert settled(better, first, RULES) is better
    assert settled(first, disc(40, 30, 25, 0.9), RULES) is None
    assert settled(first, disc(40, 30, 10, 0.9, presence=-1.0), RULES) is None


def test_what_keeps_moving_is_an_object_even_if_the_segmenter_doubts_it() -> None:
    small = np.zeros((30, 40), bool)
    small[10:20, 15:25] = True
    thing = Moving(
        small, np.array([0.375, 1 / 3, 0.625, 2 / 3], np.float32), np.zeros(2, np.float32), pushes=3
    )
    doubted = disc(10, 10, 3, score=0.2)
    found = moving_object(thing, doubted, RULES)
    assert found is not None and found.mask.shape == (60, 80)
    assert (found.mask == np.kron(small, np.ones((2, 2), bool))).all()
    assert moving_object(replace(thing, pushes=2), doubted, RULES) is None
    assert moving_object(thing, replace(doubted, presence=-1.0), RULES) is None
    assert moving_object(thing, doubted, DiscoverSettings(trust_motion_after=0)) is None
    sure = disc(40, 30, 8, score=0.6)
    assert moving_object(thing, sure, RULES) is sure
