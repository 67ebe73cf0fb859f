"""A mark on a past picture is taken to the newest one, whatever the number of pictures in between."""

from __future__ import annotations

import numpy as np
import pytest

from operators.carry import BATCH, carry
from operators.types import Prompt
from tests.fakes.segmenter import ColourSegmenter
from tests.operators.test_track import GREEN, RED, picture

CLICK = Prompt(points=np.array([[0.2, 0.4]], np.float32), labels=np.ones(1, np.int32))


@pytest.mark.parametrize("count", [1, 2, BATCH, BATCH + 1, 3 * BATCH])
def test_every_picture_has_its_mask(count: int) -> None:
    pictures = [picture({RED: (10 + at, 20, 14, 18), GREEN: (60, 2, 10, 10)}) for at in range(count)]
    masks = carry(ColourSegmenter(), pictures, CLICK)
    assert masks is not None and len(masks) == count
    for mask, one in zip(masks, pictures, strict=True):
        assert (mask == (one[..., 0] == RED)).all()


def test_what_is_corrected_begins_with_its_mask() -> None:
    pictures = [picture({RED: (10, 20, 14, 18), GREEN: (60, 2, 10, 10)})] * 3
    known = pictures[0][..., 0] == GREEN
    masks = carry(ColourSegmenter(), pictures, CLICK, known)
    assert masks is not None and (masks[-1] == (pictures[0][..., 0] == RED)).all()


def test_out_of_view_for_a_moment_is_an_empty_mask() -> None:
    seen, empty = picture({RED: (10, 20, 14, 18)}), picture({})
    masks = carry(ColourSegmenter(), [seen, empty, seen], CLICK)
    assert masks is not None and [bool(mask.any()) for mask in masks] == [True, False, True]


def test_what_is_not_there_or_has_left_is_none() -> None:
    seen, empty = picture({RED: (10, 20, 14, 18)}), picture({})
    assert carry(ColourSegmenter(), [seen, empty], CLICK) is None
    assert carry(ColourSegmenter(), [empty, seen], CLICK) is None
    assert carry(ColourSegmenter(), [], CLICK) is None
