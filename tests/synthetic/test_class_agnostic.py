"""Class-agnostic clips: same seed same bytes, truth that agrees with the pixels, real motion and absence."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic.class_agnostic import sample_texture_clip


@pytest.fixture(scope="module")
def clips():
    return [sample_texture_clip(seed, size=96, frames=6) for seed in range(24)]


def test_same_seed_gives_the_same_bytes():
    first, again = sample_texture_clip(3, 64, 4), sample_texture_clip(3, 64, 4)
    assert first.frames.tobytes() == again.frames.tobytes() and first.ids.tobytes() == again.ids.tobytes()
    assert first.frames.tobytes() != sample_texture_clip(4, 64, 4).frames.tobytes()


def test_shapes_and_names(clips):
    for clip in clips:
        assert clip.frames.shape == (6, 96, 96, 3) and clip.frames.dtype == np.uint8
        assert clip.ids.shape == (6, 96, 96) and clip.ids.max() <= len(clip.objects)
        assert {thing.class_name for thing in clip.objects} == {"something"}


def test_areas_and_boxes_are_those_of_the_ids(clips):
    for clip in clips:
        for index, thing in enumerate(clip.objects):
            owned = clip.ids == index + 1
            np.testing.assert_array_equal(thing.visible_px, owned.sum((1, 2)))
            assert (thing.full_px >= thing.visible_px).all()
            for mask, (x0, y0, x1, y1) in zip(owned, thing.boxes.astype(int), strict=True):
                assert mask[y0:y1, x0:x1].sum() == mask.sum()


def test_things_move_and_are_absent_now_and_then(clips):
    things = [thing for clip in clips for thing in clip.objects]
    absent = np.mean([(thing.visible_px == 0).mean() for thing in things])
    moved = np.mean([np.ptp(thing.centre, axis=0).max() > 4 for thing in things])
    assert 0.02 < absent < 0.4 and moved > 0.6


def test_the_frame_shows_a_thing_where_its_mask_says():
    """Mean colours inside and just outside a large mask differ in most clips."""
    differ = []
    for seed in range(30):
        clip = sample_texture_clip(seed, 96, 1)
        areas = [thing.visible_px[0] for thing in clip.objects]
        mask = clip.ids[0] == int(np.argmax(areas)) + 1
        if mask.sum() > 200 and (~mask).sum() > 200:
            pixels = clip.frames[0].astype(float)
            differ.append(np.abs(pixels[mask].mean(0) - pixels[~mask].mean(0)).max() > 12)
    assert len(differ) > 10 and np.mean(differ) > 0.6


def test_a_wrong_request_is_named():
    with pytest.raises(ValueError, match="48 pixels"):
        sample_texture_clip(0, 20)
