"""What a clip shows of one track."""

import numpy as np
import pytest

from operators.observe import absent, choose_frames, look_at
from operators.types import Masklet

GRID = 40


def masklet(
    boxes: list[tuple[float, float, float, float] | None], track_id: str = "t", state: str = "active"
) -> Masklet:
    """A track of rectangles on a 40 x 40 mask grid; None where it is not visible."""
    masks = np.zeros((len(boxes), GRID, GRID), bool)
    for mask, box in zip(masks, boxes, strict=True):
        if box is not None:
            x0, y0, x1, y1 = (round(value * GRID) for value in box)
            mask[y0:y1, x0:x1] = True
    found = np.array([box or (0, 0, 0, 0) for box in boxes], np.float32)
    return Masklet(track_id, masks, found, np.ones(len(boxes), np.float32), state)  # type: ignore[arg-type]


def square(x: float, y: float = 0.4, side: float = 0.2) -> tuple[float, float, float, float]:
    return (x, y, x + side, y + side)


def look(boxes, others=(), **changes):
    own = masklet(boxes, **changes)
    times = 100 + 0.25 * np.arange(len(boxes))
    return look_at(own, [own, *others], times, (100.0, 100.0 + 0.25 * len(boxes)))


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 16, 31])
def test_frames_are_spread_from_first_to_last(count: int) -> None:
    chosen = choose_frames(range(10, 10 + count), 6)
    assert len(chosen) == min(6, count) and len(set(chosen)) == len(chosen)
    assert chosen[0] == 10 and chosen[-1] == 9 + count
    assert list(chosen) == sorted(chosen)
    steps = np.diff(chosen)
    assert not len(steps) or steps.max() - steps.min() <= 1


def test_sixteen_frames_give_every_third() -> None:
    assert choose_frames(range(16)) == (0, 3, 6, 9, 12, 15)


def test_invisible_frames_and_specks_are_left_out() -> None:
    seen = look([None, square(0.1), None, square(0.2), (0.5, 0.5, 0.5, 0.5)])
    assert seen.frames == (1, 3)
    assert seen.first_seen_s == 100.25 and seen.last_seen_s == 100.75


@pytest.mark.parametrize(
    ("boxes", "motion"),
    [
        ([square(0.1), square(0.11)], "still"),
        ([square(0.1), square(0.5)], "right"),
        ([square(0.5), square(0.1)], "left"),
        ([square(0.1, 0.1), square(0.1, 0.5)], "down"),
        ([square(0.1, 0.5), square(0.5, 0.1)], "right up"),
        ([(0.4, 0.4, 0.6, 0.6), (0.35, 0.36, 0.65, 0.64)], "nearer"),
        ([(0.35, 0.36, 0.65, 0.64), (0.4, 0.4, 0.6, 0.6)], "farther"),
    ],
)
def test_motion_words(boxes, motion: str) -> None:
    assert look(boxes).motion == motion


def test_contacts_are_of_the_last_visible_frame() -> None:
    other = masklet([square(0.7), square(0.45), square(0.7)], track_id="other")
    assert look([square(0.1), square(0.25), None], [other]).contacts == ("other",)
    assert look([square(0.1), square(0.25), square(0.1)], [other]).contacts == ()


def test_an_absent_track_is_retired() -> None:
    assert absent("t", (1.0, 2.0)).state == "retired" and absent("t", (1.0, 2.0)).frames == ()
