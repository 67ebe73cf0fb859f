"""The tracker's rules on pictures of plain rectangles, with a segmenter that knows them by colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from operators.lifecycle import LifeSettings, Track, hidden_alike
from operators.track import Request, Tracker, TrackSettings
from operators.track_state import TrackerState
from operators.types import Clip, Frame, Prompt, Step, TrackedClip
from pipelines.snapshot import pack, unpack
from tests.fakes.segmenter import ColourSegmenter

FPS = 4.0
QUIET = TrackSettings(motion_every=0)
RED, GREEN, BLUE = 200, 120, 60
ABORT = None

Shapes = Mapping[int, tuple[int, int, int, int]]  # colour -> x, y, width, height in pixels


def picture(shapes: Shapes) -> np.ndarray:
    pixels = np.zeros((60, 80, 3), np.uint8)
    for colour, (x, y, width, height) in shapes.items():
        pixels[y : y + height, x : x + width] = colour
    return pixels


def clips(scene: Sequence[Shapes], size: int = 4, cut_after: int = -1, epoch: int = 1) -> list[Clip]:
    frames = [Frame(picture(shapes), at / FPS, 1000 + at / FPS, at) for at, shapes in enumerate(scene)]
    groups = [frames[at : at + size] for at in range(0, len(frames), size)]
    return [
        Clip(
            camera_id="yard",
            epoch=epoch,
            index=index,
            frames=tuple(group),
            start_s=group[0].time_s,
            end_s=group[-1].time_s + 1 / FPS,
            closed_by="scene_cut" if index == cut_after else "full",
        )
        for index, group in enumerate(groups)
    ]


def follow(given: Sequence[Clip | None], settings: TrackSettings = QUIET) -> list[TrackedClip]:
    """Clips in, tracked clips out; at ABORT the process dies and another goes on from the last state's bytes."""
    tracker, out = Tracker("yard", ColourSegmenter(), settings), []
    state = through_bytes(tracker)
    for clip in given:
        if clip is ABORT:
            tracker = Tracker.restore(state, ColourSegmenter(), settings)
            continue
        out.append(tracker.push(clip))
        state = through_bytes(tracker)
    return out


def through_bytes(tracker: Tracker) -> TrackerState:
    """The tracker's snapshot, stored and read again."""
    stored = pack(tracker.snapshot())
    return unpack(stored.main, stored.parts.get)


def told(tracked: Sequence[TrackedClip]) -> list[tuple]:
    """Everything a tracked clip says, as something comparable."""
    return [
        (
            clip.opened,
            clip.hidden,
            clip.returned,
            clip.closed,
            [(x.track_id, x.state, x.born_at, x.masks.tobytes(), x.scores.tobytes()) for x in clip.masklets],
        )
        for clip in tracked
    ]


STILL = {RED: (10, 10, 20, 20), GREEN: (50, 30, 15, 20)}


def test_objects_are_opened_once_and_masks_are_theirs() -> None:
    out = follow(clips([STILL] * 12))
    assert [len(clip.opened) for clip in out] == [2, 0, 0]
    for clip in out:
        red, green = sorted(clip.masklets, key=lambda x: -x.masks.sum())
        assert (red.masks == (picture(STILL)[..., 0] == RED)).all()
        assert (green.masks == (picture(STILL)[..., 0] == GREEN)).all()
        np.testing.assert_allclose(red.boxes[0], [10 / 80, 10 / 60, 30 / 80, 30 / 60])
    assert {x.track_id for x in out[2].masklets} == {"yard-1-0001", "yard-1-0002"}
    assert [x.born_at for x in out[0].masklets] == [0, 0]
    assert [x.born_at for x in out[1].masklets] == [None, None]


def test_a_track_is_filled_from_its_birth_on_not_before() -> None:
    scene = [{}] * 10 + [STILL] * 6
    out = follow(clips(scene, size=16), replace(QUIET, grid_every=4))
    (clip,) = out
    assert len(clip.opened) == 2
    for masklet in clip.masklets:
        assert masklet.born_at == 12  # the first search by clicks after it came into view
        assert masklet.visible.tolist() == [False] * 12 + [True] * 4


def test_what_stands_still_between_the_clicks_of_one_search_is_found_by_the_next() -> None:
    small = {RED: (6, 4, 4, 4)}  # the first clicks are at 2.5, 12.5, ... across and 1.9, 9.4, ... down
    out = follow(clips([small] * 12), replace(QUIET, grid_every=4))
    assert [len(clip.opened) for clip in out] == [0, 1, 0]


def test_what_is_seen_too_briefly_is_never_told() -> None:
    out = follow(clips([STILL] + [{}] * 7))
    assert all(not clip.opened and not clip.masklets and not clip.closed for clip in out)


def test_hidden_tracks_return_under_their_id() -> None:
    out = follow(clips([STILL] * 4 + [{GREEN: STILL[GREEN]}] * 8 + [STILL] * 4))
    red = next(x.track_id for x in out[0].masklets if x.masks.sum() == 4 * 400)
    assert [clip.hidden for clip in out] == [(), (red,), (), ()]
    assert [clip.returned for clip in out] == [(), (), (), (red,)]
    hidden = next(x for x in out[1].masklets if x.track_id == red)
    assert hidden.state == "hidden" and not hidden.masks.any() and hidden.masks.shape == (4, 60, 80)


def test_hidden_tracks_end_after_a_while_and_sooner_when_they_left() -> None:
    middle, edge = {RED: (30, 20, 10, 10)}, {RED: (70, 20, 10, 10)}
    lost, left = (follow(clips([shapes] * 4 + [{}] * 40)) for shapes in (middle, edge))
    assert [at for at, clip in enumerate(lost) if clip.closed] == [9]  # 8 s after 1.0 s
    assert lost[9].closed == {"yard-1-0001": "lost"}
    assert [at for at, clip in enumerate(left) if clip.closed] == [3]  # 2 s after 1.0 s
    assert left[3].closed == {"yard-1-0001": "left"}
    assert left[3].masklets[0].state == "retired"


def test_ids_are_not_used_again() -> None:
    edge = {RED: (70, 20, 10, 10)}
    out = follow(clips([edge] * 4 + [{}] * 16 + [edge] * 8))
    assert [clip.opened for clip in out if clip.opened] == [("yard-1-0001",), ("yard-1-0002",)]


def test_a_hidden_track_found_elsewhere_by_its_looks_keeps_its_id() -> None:
    class Forgetful(ColourSegmenter):
        """Loses an object for good once it is out of sight, as SAM 2 may after a long absence."""

        def step(self) -> dict:
            steps = super().step()
            self.gone = getattr(self, "gone", set()) | {k for k, x in steps.items() if not x.mask.any()}
            empty = np.zeros_like(self.picture, bool)
            return {
                k: replace(x, mask=empty, presence=-5.0) if k in self.gone else x for k, x in steps.items()
            }

    tracker = Tracker("yard", Forgetful(), replace(QUIET, grid_every=2))
    scene = [{RED: (10, 10, 20, 20)}] * 4 + [{}] * 4 + [{RED: (50, 30, 20, 20)}] * 8
    out = [tracker.push(clip) for clip in clips(scene)]
    assert [clip.opened for clip in out] == [("yard-1-0001",), (), (), ()]
    assert out[2].returned == ("yard-1-0001",)
    assert out[3].masklets[0].masks.all(axis=0).sum() == 400


def test_two_tracks_that_become_one_leave_the_older() -> None:
    settings = replace(QUIET, grid_every=0)
    tracker = Tracker("yard", ColourSegmenter(), settings)
    first, second, *rest = clips([STILL] * 4 + [{RED: STILL[RED]}] * 4 + [STILL] * 8)
    point = np.array([[0.2, 0.3]], np.float32), np.array([1], np.int32)
    tracker.push(first, [Request(Prompt(points=point[0], labels=point[1]))])
    other = np.array([[0.7, 0.6]], np.float32)
    tracker.push(rest[0], [Request(Prompt(points=other, labels=point[1]))])
    # A wrong correction makes the second track the first object.
    box = Prompt(box=np.array([0.1, 0.1, 0.4, 0.5], np.float32))
    out = [tracker.push(second, [Request(box, "yard-1-0002")]), tracker.push(rest[1])]
    assert [clip.closed for clip in out] == [{}, {"yard-1-0002": "duplicate"}]


def test_a_part_that_turns_out_to_be_one_takes_the_whole_under_its_id() -> None:
    class Parts(ColourSegmenter):
        """The first object followed is seen as its left half only."""

        def _step(self, colour: int) -> Step:
            step = super()._step(colour)
            half = step.mask.copy()
            half[:, 20:] = False
            return replace(step, mask=half) if colour == RED and self.next_id == 2 else step

        def step(self) -> dict[int, Step]:
            steps = super().step()
            if 1 in steps:
                steps[1].mask[:, 20:] = False
            return steps

    tracker = Tracker("yard", Parts(), replace(QUIET, grid_every=0))
    point = Prompt(points=np.array([[0.2, 0.3]], np.float32), labels=np.array([1], np.int32))
    given = clips([{RED: STILL[RED]}] * 16)
    out = [tracker.push(given[0], [Request(point)]), tracker.push(given[1], [Request(point)])]
    assert [clip.opened for clip in out] == [("yard-1-0001",), ("yard-1-0002",)]
    out += [tracker.push(clip) for clip in given[2:]]
    assert [clip.closed for clip in out] == [{}, {}, {"yard-1-0002": "duplicate"}, {}]
    assert [x.masks[-1].sum() for x in out[3].masklets] == [400]
    assert [x.track_id for x in out[3].masklets] == ["yard-1-0001"]


def test_requests_are_opened_at_once_and_not_twice() -> None:
    tracker = Tracker("yard", ColourSegmenter(), replace(QUIET, grid_every=0))
    click = Request(Prompt(points=np.array([[0.2, 0.3]], np.float32), labels=np.array([1], np.int32)))
    first, second, third = clips([STILL] * 3, size=1)
    assert tracker.push(first, [click]).opened == ("yard-1-0001",)
    assert tracker.push(second, [click]).opened == ()
    assert tracker.push(third, [replace(click, track_id="yard-1-0999")]).opened == ()


def test_births_and_tracks_are_bounded() -> None:
    many = {
        colour: (2 + 13 * (at % 6), 2 + 15 * (at // 6), 10, 12) for at, colour in enumerate(range(20, 140, 5))
    }
    out = follow(clips([many] * 24, size=1), replace(QUIET, max_tracks=5, max_births=2, grid_every=3))
    living = [len(clip.masklets) for clip in out]
    assert max(living) == 5 and max(len(clip.opened) for clip in out) == 2


def test_a_cut_keeps_only_what_is_found_again() -> None:
    scene = [STILL] * 4 + [{RED: (40, 30, 20, 20)}] * 16
    out = follow(clips(scene, cut_after=0))
    red = (
        out[0].masklets[0].track_id if out[0].masklets[0].masks.sum() == 1600 else out[0].masklets[1].track_id
    )
    kept = next(x for x in out[1].masklets if x.track_id == red)
    assert kept.state == "active" and kept.visible.tolist() == [False, True, True, True]
    ends = {key: why for clip in out for key, why in clip.closed.items()}
    assert list(ends.values()) == ["cut"] and red not in ends


def test_a_new_epoch_counts_its_own_ids() -> None:
    tracker = Tracker("yard", ColourSegmenter(), QUIET)
    tracker.push(clips([{RED: (10, 10, 20, 20)}] * 4)[0])
    later = [replace(c, frames=c.frames) for c in clips([{GREEN: (40, 10, 20, 20)}] * 4, epoch=2)]
    assert tracker.push(later[0]).opened == ("yard-2-0001",)


def test_what_moves_is_followed_when_clicks_find_nothing() -> None:
    scene = [{}] * 6 + [{RED: (2 + 4 * at, 20, 14, 18)} for at in range(14)]
    settings = TrackSettings(grid_every=0)
    out = follow(clips(scene), settings)
    assert [key for clip in out for key in clip.opened] == ["yard-1-0001"]
    masklet = out[-1].masklets[0]
    assert (masklet.masks.sum(axis=(1, 2)) == 14 * 18).all()


def test_a_restored_tracker_gives_the_same_output() -> None:
    moving = [{RED: (2 + 2 * at, 20, 14, 18), GREEN: (60, 2 + at, 10, 10)} for at in range(24)]
    given = clips(moving[:12] + [{GREEN: moving[12][GREEN]}] * 4 + moving[12:])
    given[5] = replace(given[5], closed_by="scene_cut")
    settings = replace(TrackSettings(), grid_every=3)
    straight = told(follow(given, settings))
    assert any(row[0] for row in straight) and any(row[1] for row in straight)
    for at in range(1, len(given)):
        assert told(follow([*given[:at], ABORT, *given[at:]], settings)) == straight, f"after clip {at}"
    assert told(follow([x for clip in given for x in (clip, ABORT)], settings)) == straight


def test_the_length_of_clips_does_not_change_tracks() -> None:
    scene = [{RED: (2 + 2 * at, 20, 14, 18), GREEN: (60, 2 + at, 10, 10)} for at in range(24)]
    whole = np.concatenate([clip.masklets[0].masks for clip in follow(clips(scene, size=8), TrackSettings())])
    short = np.concatenate(
        [clip.masklets[0].masks for clip in follow(clips(scene, size=12), TrackSettings())]
    )
    assert (whole == short).all()


def without_memory(tracker: Tracker) -> Tracker:
    """Another tracker that goes on from the last masks and pictures alone, as after a change of model."""
    return Tracker.restore_roughly(through_bytes(tracker), ColourSegmenter(), QUIET)


def test_without_its_memory_a_tracker_keeps_all_ids() -> None:
    given = clips([STILL] * 4 + [{RED: STILL[RED]}] * 8 + [STILL] * 12)
    tracker = Tracker("yard", ColourSegmenter(), QUIET)
    before = [tracker.push(clip) for clip in given[:2]]
    red, green = (x.track_id for x in sorted(before[0].masklets, key=lambda x: -x.masks.sum()))
    again = without_memory(tracker)
    after = [again.push(clip) for clip in given[2:]]
    assert [x.track_id for x in after[0].masklets if x.state == "active"] == [red]
    assert (after[0].masklets[0].masks == before[1].masklets[0].masks).all()
    assert [(clip.opened, clip.closed) for clip in after] == [((), {})] * 4
    assert after[1].returned == (green,), "shown on the picture on which it was seen last"


def test_without_its_memory_a_tracker_follows_what_has_moved_since() -> None:
    there, beyond = {RED: (10, 10, 12, 12)}, {RED: (22, 20, 12, 12)}
    given = clips([there] * 4 + [beyond] * 4)
    tracker = Tracker("yard", ColourSegmenter(), QUIET)
    tracker.push(given[0])
    tracked = without_memory(tracker).push(given[1])
    assert tracked.opened == () and [x.track_id for x in tracked.masklets] == ["yard-1-0001"]
    assert (tracked.masklets[0].masks == (picture(beyond)[..., 0] == RED)).all()


def test_a_track_without_any_picture_is_ended_and_its_number_not_used_again() -> None:
    given = clips([STILL] * 12)
    tracker = Tracker("yard", ColourSegmenter(), QUIET)
    tracker.push(given[0])
    state = replace(tracker.snapshot(), glimpses={})
    again = Tracker.restore_roughly(state, ColourSegmenter(), QUIET)
    out = [again.push(clip) for clip in given[1:]]
    assert out[0].closed == {"yard-1-0001": "lost", "yard-1-0002": "lost"}
    assert {key for clip in out for key in clip.opened} == {"yard-1-0003", "yard-1-0004"}


def test_clips_of_other_cameras_are_refused() -> None:
    with pytest.raises(ValueError, match="Tracker of barn: got a clip of yard"):
        Tracker("barn", ColourSegmenter()).push(clips([STILL])[0])


def test_likeness_needs_a_margin_over_tracks_in_view() -> None:
    def track(key: int, state: str) -> Track:
        return Track(key, key, state, 0.0, (0.1, 0.1, 0.2, 0.2), 0.01, track_id=str(key))

    newcomer, hidden, rival = track(3, "active"), track(1, "hidden"), track(2, "active")
    one, near = np.array([1, 0], np.float32), np.array([1, 0.1], np.float32)
    settings = LifeSettings()
    assert hidden_alike(newcomer, [hidden], {3: one, 1: near}, settings) == hidden
    assert hidden_alike(newcomer, [hidden, rival], {3: one, 1: near, 2: near}, settings) is None
    assert hidden_alike(newcomer, [hidden], {3: one, 1: None}, settings) is None
