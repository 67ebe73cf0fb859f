"""Whose mask is whose: occlusions by look-alikes, jumps, and second looks, on pictures of plain rectangles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from operators.lifecycle import LifeSettings, Track, in_reach
from operators.track import Tracker
from operators.types import Step, TrackedClip
from tests.fakes.segmenter import GROUND, ColourSegmenter
from tests.operators.test_track import QUIET, Shapes, clips, through_bytes

ONE, TWIN = 200, 204  # look-alikes: no histogram of colours tells them apart
STANDING = (30, 20, 16, 20)
SIDE_BY_SIDE: Shapes = {ONE: STANDING, TWIN: (60, 24, 12, 14)}
BEHIND: Shapes = {ONE: STANDING}
OUT_AGAIN: Shapes = {ONE: STANDING, TWIN: (12, 24, 12, 14)}
HIDES = [SIDE_BY_SIDE] * 8 + [{**SIDE_BY_SIDE, TWIN: (48, 24, 12, 14)}] * 2 + [BEHIND] * 10
PASSES = HIDES + [{**OUT_AGAIN, TWIN: (16, 24, 12, 14)}] * 2 + [OUT_AGAIN] * 6


class Confused(ColourSegmenter):
    """Takes what is in sight for an object that is not, as SAM 2 does with look-alikes."""

    def _step(self, colour: int) -> Step:
        step = super()._step(colour)
        others = [other for other in (ONE, TWIN) if other != colour]
        return step if step.mask.any() or colour == GROUND else super()._step(others[0])


class Jumpy(ColourSegmenter):
    """From the twelfth picture on takes the one object for the other."""

    def step(self) -> dict[int, Step]:
        steps = super().step()
        return {
            key: self._step(ONE + TWIN - colour) if self.steps >= 12 and key == 1 else steps[key]
            for key, colour in self.colours.items()
        }


def follow(scene: Sequence[Shapes], segmenter: ColourSegmenter) -> list[TrackedClip]:
    tracker = Tracker("yard", segmenter, replace(QUIET, grid_every=3))
    return [tracker.push(clip) for clip in clips(scene)]


def owner(clip: TrackedClip, x: int) -> str:
    """The track whose mask on the clip's last picture has the column ``x``."""
    (track,) = (it.track_id for it in clip.masklets if it.masks[-1][:, x].any())
    return track


def test_who_goes_behind_a_look_alike_keeps_its_id() -> None:
    segmenter = Confused()
    out = follow(PASSES, segmenter)
    one, twin = owner(out[0], 35), owner(out[0], 65)
    assert not any(clip.closed for clip in out), "neither is the other's duplicate"
    assert [at for at, clip in enumerate(out) if twin in clip.hidden] == [2]
    assert [at for at, clip in enumerate(out) if twin in clip.returned] == [5]
    assert owner(out[-1], 18) == twin and owner(out[-1], 35) == one
    assert {x for clip in out for x in clip.opened} == {one, twin}


def test_what_is_shown_of_somebody_else_is_not_remembered() -> None:
    segmenter = Confused()
    follow(PASSES, segmenter)
    assert segmenter.retracted == [(TWIN, step) for step in range(11, 21)]


def test_a_track_stays_where_it_is_when_its_memory_jumps_to_a_look_alike() -> None:
    far: Shapes = {ONE: (5, 20, 12, 14), TWIN: (66, 20, 12, 14)}
    out = follow([far] * 20, Jumpy())
    one, twin = owner(out[0], 10), owner(out[0], 70)
    assert owner(out[-1], 10) == one and owner(out[-1], 70) == twin
    assert not any(clip.hidden or clip.closed for clip in out), "it was looked for once more"


def test_who_is_kept_though_unseen_for_long_can_come_back_anywhere() -> None:
    track = Track(1, 1, "hidden", 100.0, (0.0, 0.4, 0.1, 0.5), 0.01, track_id="yard-1-0001", pinned=True)
    far, rules = np.array([0.9, 0.4, 1.0, 0.5], np.float32), LifeSettings()
    assert not in_reach(track, far, 101.0, rules)
    assert in_reach(track, far, 100.0 + rules.hide_timeout_s + 1, rules)
    assert in_reach(replace(track, doubted=True), far, 101.0, rules), "another view: places say nothing"


def test_two_tracks_that_were_never_apart_are_still_one_object() -> None:
    class Late(ColourSegmenter):
        """Sees the first object's upper half only, until the fifth picture."""

        def _step(self, colour: int) -> Step:
            step = super()._step(colour)
            if colour == ONE and self.steps < 5:
                step.mask[30:] = False
            return step

    out = follow([{ONE: STANDING}] * 20, Late())
    assert len({x for clip in out for x in clip.opened}) == 1


def test_the_rules_go_on_from_a_snapshot() -> None:
    given = clips(PASSES)
    straight = follow(PASSES, Confused())
    for at in range(1, len(given)):
        tracker = Tracker("yard", Confused(), replace(QUIET, grid_every=3))
        for clip in given[:at]:
            tracker.push(clip)
        again = Tracker.restore(through_bytes(tracker), Confused(), replace(QUIET, grid_every=3))
        rest = [again.push(clip) for clip in given[at:]]
        assert [(x.hidden, x.returned, x.closed) for x in rest] == [
            (x.hidden, x.returned, x.closed) for x in straight[at:]
        ]
        for ours, theirs in zip(rest, straight[at:], strict=True):
            assert all(
                np.array_equal(a.masks, b.masks) for a, b in zip(ours.masklets, theirs.masklets, strict=True)
            )
