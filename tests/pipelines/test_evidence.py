"""Evidence goes to bytes and back; best looks are cut where the object is seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from operators.types import Clip, Frame, Masklet, TrackedClip
from pipelines.evidence import Evidence, best_look, safe_name

HEIGHT, WIDTH = 60, 80


def tracked(positions: list[int | None], embedding: np.ndarray | None = None) -> TrackedClip:
    """A square of 10 x 10 whose left side is at each position; None where it is hidden."""
    frames, masks = [], np.zeros((len(positions), HEIGHT, WIDTH), bool)
    boxes = np.zeros((len(positions), 4), np.float32)
    for i, x in enumerate(positions):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        if x is not None:
            pixels[20:30, x : x + 10] = (250, 10, 10)
            masks[i, 20:30, x : x + 10] = True
            boxes[i] = (x / WIDTH, 20 / HEIGHT, (x + 10) / WIDTH, 30 / HEIGHT)
        frames.append(Frame(pixels, i / 4, 100 + i / 4, i))
    clip = Clip("door", 7, 3, tuple(frames), 100.0, 100.0 + len(positions) / 4, "full")
    scores = np.full(len(positions), 0.5, np.float32)
    masklet = Masklet("door-7-0001", masks, boxes, scores, "active", 1, embedding)
    return TrackedClip(clip, (masklet,), ("door-7-0001",), (), (), {"door-7-0009": "left"})


def test_comes_back_as_it_was() -> None:
    before = tracked([5, None, 30], np.linspace(0, 1, 8, dtype=np.float32))
    after = Evidence.from_bytes(Evidence.of(before).to_bytes())
    assert (after.camera_id, after.epoch, after.clip_index) == ("door", 7, 3)
    assert after.times_s == (100.0, 100.25, 100.5) and after.pts_s == (0.0, 0.25, 0.5)
    assert after.opened == ("door-7-0001",) and after.closed == {"door-7-0009": "left"}
    (masklet,) = after.masklets
    np.testing.assert_array_equal(masklet.masks, before.masklets[0].masks)
    np.testing.assert_array_equal(masklet.boxes, before.masklets[0].boxes)
    np.testing.assert_array_equal(masklet.embedding, before.masklets[0].embedding)
    assert (masklet.state, masklet.born_at) == ("active", 1)
    for picture, frame in zip(after.pictures, before.clip.frames, strict=True):
        assert np.abs(picture.astype(int) - frame.pixels).mean() < 4  # JPEG


def test_same_clip_same_bytes() -> None:
    assert Evidence.of(tracked([5, 9])).to_bytes() == Evidence.of(tracked([5, 9])).to_bytes()


def test_a_clip_without_tracks_is_evidence_too() -> None:
    clip = TrackedClip(tracked([5]).clip, ())
    assert Evidence.from_bytes(Evidence.of(clip).to_bytes()).masklets == ()


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"\xff" * 64])
def test_anything_else_is_a_clear_error(damage: bytes) -> None:
    with pytest.raises(ValueError, match="evidence"):
        Evidence.from_bytes(damage)


def test_truncated_bytes_are_a_clear_error() -> None:
    data = Evidence.of(tracked([5, 9])).to_bytes()
    with pytest.raises(ValueError, match="evidence"):
        Evidence.from_bytes(data[: len(data) // 2])


def test_the_best_look_is_away_from_the_border() -> None:
    clip = tracked([0, 30, None])
    look = best_look(clip, clip.masklets[0])
    assert look is not None and look.position == 1
    crop, mask = (np.asarray(Image.open(io.BytesIO(data))) for data in (look.crop, look.mask))
    assert crop.shape[:2] == mask.shape == (14, 14)
    assert mask.astype(bool).sum() == 100
    assert crop[mask.astype(bool)][:, 0].mean() > 200


def test_a_track_that_is_never_seen_has_no_look() -> None:
    clip = tracked([None, None])
    assert best_look(clip, clip.masklets[0]) is None


def test_names_hold_no_surprises() -> None:
    assert safe_name("../door/7 ü") == ".._door_7__"
