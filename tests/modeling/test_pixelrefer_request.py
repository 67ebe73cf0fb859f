"""The bounds of a request: how much memory one may take, checked before any of it is taken."""

import numpy as np
import pytest

from modeling.pixelrefer.request import LARGEST_PIXELS, MOST_FRAME_PIXELS, MOST_MASK_PIXELS, Request
from tests.modeling.tiny_captioner import request


def room(*shape: int) -> np.ndarray:
    """An array of that shape which takes no memory."""
    return np.broadcast_to(np.uint8(1), shape)


def test_one_picture_is_bounded() -> None:
    assert request(seen=1, frames=room(1, 4096, 4096, 3)).size_bytes > 3 * LARGEST_PIXELS
    with pytest.raises(ValueError, match=f"frames of 8000 x 2100 are too large, at most {LARGEST_PIXELS}"):
        request(seen=1, frames=room(1, 2100, 8000, 3))
    with pytest.raises(ValueError, match="masks of 4097 x 4097 are too large"):
        request(seen=1, masks=room(1, 4097, 4097))


def test_frames_are_bounded_together() -> None:
    with pytest.raises(ValueError, match=f"83886080 pixels together, at most {MOST_FRAME_PIXELS}"):
        request(seen=5, frames=room(5, 4096, 4096, 3))


def test_masks_are_bounded_as_they_are_given() -> None:
    with pytest.raises(ValueError, match=f"masks have 150994944 pixels together, at most {MOST_MASK_PIXELS}"):
        request(seen=9, masks=room(9, 4096, 4096))


def test_masks_are_bounded_at_the_size_of_the_frames() -> None:
    many = {"masks": room(64, 4, 4), "mask_frames": np.zeros(64, int), "objects": np.zeros(64, int)}
    assert request(seen=1, frames=room(1, 1080, 1920, 3), **many).object_count == 1
    with pytest.raises(ValueError, match="masks have 147456000 pixels together.*smaller frames"):
        request(seen=1, frames=room(1, 1440, 1600, 3), **many)


def test_an_owned_request_outlives_what_it_was_made_of() -> None:
    given = request()
    owned = given.owned()
    assert isinstance(owned, Request) and owned.size_bytes == given.size_bytes
    before = given.frames.copy()
    given.frames[:] = 0
    given.masks[:] = 0
    np.testing.assert_array_equal(owned.frames, before)
    assert owned.masks.any() and owned.instruction == given.instruction
