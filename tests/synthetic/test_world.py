"""Clips of the synthetic world: same seed same bytes, and truth that agrees with the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic.floors import FLOORS
from synthetic.lighting import LIGHTS
from synthetic.walls import WALLS
from synthetic.world import CLASSES, COLOURS, sample_clip

SIZE = {"width": 160, "height": 120}


@pytest.fixture(scope="module")
def clips():
    return [sample_clip(seed, split, **SIZE) for split in ("train", "held_out") for seed in range(12)]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    first, again = sample_clip(5, **SIZE), sample_clip(5, **SIZE)
    assert first.frames.tobytes() == again.frames.tobytes()
    assert first.ids.tobytes() == again.ids.tobytes()
    assert [o.events for o in first.objects] == [o.events for o in again.objects]
    assert first.frames.tobytes() != sample_clip(6, **SIZE).frames.tobytes()


@pytest.mark.parametrize(("width", "height", "frames", "fps"), [(320, 240, 3, 4.0), (128, 128, 5, 12.0)])
def test_shapes_and_types_follow_the_request(width, height, frames, fps):
    clip = sample_clip(1, width=width, height=height, frames=frames, fps=fps)
    assert clip.frames.shape == (frames, height, width, 3) and clip.frames.dtype == np.uint8
    assert clip.ids.shape == (frames, height, width) and clip.ids.dtype == np.uint8
    assert clip.fps == fps and 1 <= len(clip.objects) <= 5
    for thing in clip.objects:
        assert thing.class_name in CLASSES and thing.colour in COLOURS
        assert thing.visible_px.dtype == thing.full_px.dtype == np.int32
        for array, width_expected in (
            (thing.boxes, 4),
            (thing.centre, 2),
            (thing.ground, 2),
            (thing.velocity, 2),
        ):
            assert array.shape == (frames, width_expected) and array.dtype == np.float32


def test_visible_areas_and_boxes_are_those_of_the_ids(clips):
    for clip in clips:
        assert clip.ids.max() <= len(clip.objects)
        for index, thing in enumerate(clip.objects):
            owned = clip.ids == index + 1
            np.testing.assert_array_equal(thing.visible_px, owned.sum((1, 2)))
            assert (thing.full_px >= thing.visible_px).all()
            for mask, box in zip(owned, thing.boxes, strict=True):
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                expected = (
                    [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1] if mask.any() else [0, 0, 0, 0]
                )
                np.testing.assert_array_equal(box, expected)


def test_boxes_surround_the_projected_centre_when_nothing_is_in_the_way(clips):
    checked = 0
    for clip in clips:
        for thing in clip.objects:
            inside = (thing.visible_px == thing.full_px) & (thing.boxes[:, 0] > 2) & (thing.boxes[:, 2] < 158)
            inside &= thing.visible_px > 50
            middle = (thing.boxes[inside, :2] + thing.boxes[inside, 2:]) / 2
            checked += inside.sum()
            np.testing.assert_allclose(middle, thing.centre[inside], atol=6)
    assert checked > 100


def test_no_two_objects_of_a_clip_share_class_and_colour(clips):
    for clip in clips:
        names = [(thing.class_name, thing.colour) for thing in clip.objects]
        assert len(set(names)) == len(names)


def test_events_agree_with_what_is_seen(clips):
    kinds = set()
    for clip in clips:
        for index, thing in enumerate(clip.objects):
            times = [event.time_s for event in thing.events]
            assert times == sorted(times)
            for event in thing.events:
                kinds.add(event.kind)
                _check_event(clip, index, event)
    assert {"enters", "leaves", "stops", "starts", "bumps", "is_bumped", "hidden"} <= kinds


def _check_event(clip, index, event):
    thing, frame = clip.objects[index], round(event.time_s * clip.fps)
    if event.kind == "leaves":
        assert not thing.visible_px[frame:].any() and thing.full_px[frame - 1] > 0
    elif event.kind == "enters":
        assert not thing.full_px[:frame].any() and thing.full_px[frame] > 0
    elif event.kind == "hidden":
        assert thing.visible_px[frame] <= 0.05 * thing.full_px[frame] + 1
        assert event.other is not None and event.other != index
    elif event.kind in ("bumps", "is_bumped"):
        partner = "is_bumped" if event.kind == "bumps" else "bumps"
        back = [e for e in clip.objects[event.other].events if e.kind == partner and e.other == index]
        assert any(e.time_s == event.time_s for e in back)


def test_most_objects_move(clips):
    moved = [np.ptp(thing.centre, axis=0).max() > 12 for clip in clips for thing in clip.objects]
    assert np.mean(moved) > 0.6


def test_the_same_motion_is_the_same_physics_at_another_rate():
    slow, fast = sample_clip(3, frames=8, fps=4.0, **SIZE), sample_clip(3, frames=24, fps=12.0, **SIZE)
    for a, b in zip(slow.objects, fast.objects, strict=True):
        seen = (a.full_px > 0) & (b.full_px[::3] > 0)
        np.testing.assert_allclose(a.ground[seen], b.ground[::3][seen], atol=1e-5)


def test_splits_share_no_material():
    for table in (FLOORS, WALLS):
        assert not {m.__name__ for m in table["train"]} & {m.__name__ for m in table["held_out"]}
    assert not {light[0] for light in LIGHTS["train"]} & {light[0] for light in LIGHTS["held_out"]}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"split": "test"}, "split"), ({"width": 8}, "size"), ({"fps": 0}, "fps"), ({"frames": 0}, "frames")],
)
def test_a_wrong_request_is_named(wrong, named):
    with pytest.raises(ValueError, match=named):
        sample_clip(0, **wrong)
