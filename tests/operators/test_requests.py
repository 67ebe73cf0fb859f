"""What people ask of tracks: met on its frame, refused with the reason, and the same after a restore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from operators.requests import Request
from operators.track import Tracker, TrackSettings
from operators.types import Clip, Prompt, TrackedClip
from tests.fakes.segmenter import ColourSegmenter
from tests.operators.test_track import BLUE, GREEN, QUIET, RED, STILL, clips, through_bytes, told

ALONE = replace(QUIET, grid_every=0)
FIRST = "yard-1-0001"


def click(x: float, y: float, **other) -> Request:
    prompt = Prompt(points=np.array([[x, y]], np.float32), labels=np.ones(1, np.int32))
    return Request(prompt, request_id="p", **other)


def play(
    given: Sequence[Clip],
    asked: Mapping[int, Sequence[Request]],
    settings: TrackSettings = ALONE,
    die: bool = False,
) -> list[TrackedClip]:
    """Clips in, tracked clips out, with requests by the clip's number; ``die``: restored from bytes after each."""
    tracker, out = Tracker("yard", ColourSegmenter(), settings), []
    for at, clip in enumerate(given):
        out.append(tracker.push(clip, asked.get(at, ())))
        if die:
            state = through_bytes(tracker)
            tracker = Tracker.restore(state, ColourSegmenter(), settings)
    return out


def test_what_is_marked_is_followed_from_that_very_frame_on() -> None:
    (clip,) = play(clips([STILL] * 4), {0: [click(0.2, 0.3, frame=2, name="Rosa")]})
    (outcome,) = clip.outcomes
    assert (outcome.code, outcome.track_id, outcome.name) == ("followed", FIRST, "Rosa")
    assert outcome.time_s == 1000.5 and outcome.mask.sum() == 400
    (masklet,) = clip.masklets
    assert masklet.visible.tolist() == [False, False, True, True]
    assert (masklet.born_at, masklet.name, clip.opened) == (2, "Rosa", (FIRST,))


def test_what_is_followed_already_is_said_by_its_id() -> None:
    asked = [click(0.2, 0.3), click(0.25, 0.4, frame=1), click(0.9, 0.9, frame=1)]
    (clip,) = play(clips([STILL] * 4), {0: asked})
    assert [(o.code, o.track_id) for o in clip.outcomes] == [
        ("followed", FIRST),
        ("already_followed", FIRST),
        ("nothing_there", ""),
    ]
    assert len(clip.masklets) == 1


def test_a_correction_moves_the_track_to_what_is_meant() -> None:
    given = clips([STILL] * 8)
    out = play(given, {0: [click(0.2, 0.3)], 1: [click(0.7, 0.6, track_id=FIRST, frame=1)]})
    assert [o.code for o in out[1].outcomes] == ["corrected"]
    areas = out[1].masklets[0].masks.sum(axis=(1, 2)).tolist()
    assert areas == [400, 300, 300, 300] and out[1].opened == ()


def test_tracks_that_are_not_there_and_places_without_objects_are_refused() -> None:
    asked = {
        0: [click(0.2, 0.3), replace(click(0.2, 0.3), track_id="yard-1-0099")],
        1: [click(0.95, 0.95, track_id=FIRST), Request(track_id="nobody", deed="pin")],
    }
    out = play(clips([STILL] * 8), asked)
    assert [o.code for clip in out for o in clip.outcomes] == [
        "followed",
        "track_unknown",
        "nothing_there",
        "track_unknown",
    ]
    assert "yard-1-0099" in out[0].outcomes[1].words


def test_a_prompt_that_the_network_cannot_use_changes_nothing_else() -> None:
    class Picky(ColourSegmenter):
        def add_object(self, prompt: Prompt):
            raise ValueError("prompt: too thin")

    tracker = Tracker("yard", Picky(), ALONE)
    (outcome,) = tracker.push(clips([STILL])[0], [click(0.2, 0.3)]).outcomes
    assert (outcome.code, outcome.words) == ("nothing_there", "prompt: too thin")


def test_a_name_stays_with_the_track_until_it_is_taken_away() -> None:
    given = clips([STILL] * 4 + [{GREEN: STILL[GREEN]}] * 4 + [STILL] * 8)
    asked = {
        0: [click(0.2, 0.3), Request(track_id=FIRST, deed="rename", name="Rosa", frame=3)],
        3: [Request(track_id=FIRST, deed="rename", name="")],
    }
    out = play(given, asked, die=True)
    assert [clip.masklets[0].name for clip in out] == ["Rosa", "Rosa", "Rosa", ""]
    assert out[0].outcomes[1].code == "renamed" and out[2].returned == (FIRST,)


def test_a_pinned_track_waits_for_ever_and_gives_no_room() -> None:
    gone = [STILL] * 4 + [{}] * 48 + [STILL] * 4
    asked = {0: [click(0.2, 0.3), click(0.7, 0.6), Request(track_id=FIRST, deed="pin")]}
    out = play(clips(gone), asked)
    assert {key: why for clip in out for key, why in clip.closed.items()} == {"yard-1-0002": "lost"}
    assert out[-1].returned == (FIRST,) and out[-1].masklets[0].pinned
    tight = replace(ALONE, max_tracks=1, max_requested=0)
    other = [{RED: STILL[RED]}] * 4 + [{GREEN: STILL[GREEN]}] * 12
    wanted = {0: [click(0.2, 0.3), Request(track_id=FIRST, deed="pin")], 3: [click(0.7, 0.6)]}
    assert play(clips(other), wanted, tight)[3].outcomes[0].code == "no_room"
    unpinned = {0: [click(0.2, 0.3)], 3: [click(0.7, 0.6)]}
    assert play(clips(other), unpinned, tight)[3].closed == {FIRST: "replaced"}


def test_pins_are_counted_and_can_be_taken_away() -> None:
    pins = [Request(track_id=f"yard-1-000{n}", deed="pin") for n in (1, 2)]
    asked = {0: [click(0.2, 0.3), click(0.7, 0.6), *pins], 1: [replace(pins[0], deed="unpin"), pins[1]]}
    out = play(clips([STILL] * 8), asked, replace(ALONE, max_pinned=1))
    assert [o.code for o in out[0].outcomes[2:]] == ["pinned", "too_many_pinned"]
    assert [o.code for o in out[1].outcomes] == ["unpinned", "pinned"]
    assert [x.pinned for x in out[1].masklets] == [False, True]


def test_of_two_tracks_that_become_one_the_pinned_one_stays() -> None:
    asked = {
        0: [click(0.2, 0.3), click(0.7, 0.6), Request(track_id="yard-1-0002", deed="pin")],
        1: [click(0.2, 0.3, track_id="yard-1-0002")],  # a wrong correction: both are the same now
    }
    out = play(clips([STILL] * 16), asked)
    assert {key: why for clip in out for key, why in clip.closed.items()} == {FIRST: "duplicate"}


MOVING = [{RED: (2 + 2 * at, 20, 14, 18)} for at in range(32)]


def test_what_was_dropped_ends_and_is_left_alone_wherever_it_goes() -> None:
    finding = replace(TrackSettings(), grid_every=1)
    given = clips(MOVING)
    out = play(given, {2: [Request(track_id=FIRST, deed="drop", request_id="d", frame=1)]}, finding)
    assert out[2].closed == {FIRST: "dropped"} and out[2].outcomes[0].code == "dropped"
    (ended,) = out[2].masklets
    assert ended.state == "retired" and ended.visible.tolist() == [True, False, False, False]
    assert all(not clip.masklets and not clip.opened for clip in out[3:])
    assert told(play(given, {2: [Request(track_id=FIRST, deed="drop", frame=1)]}, finding, die=True)) == told(
        out
    )


def test_a_click_takes_up_at_once_what_was_dropped_and_time_does_so_later() -> None:
    finding = replace(QUIET, grid_every=1)
    drop = Request(track_id=FIRST, deed="drop")
    red = clips([{RED: STILL[RED]}] * 16)
    out = play(red, {1: [drop], 2: [click(0.2, 0.3)]}, finding)
    assert out[2].opened == ("yard-1-0002",) and out[3].masklets[0].visible.all()
    assert not out[2].closed and not out[3].closed
    short = replace(finding, life=replace(finding.life, mute_s=1.0))
    assert [clip.opened for clip in play(red, {1: [drop]}, short)] == [(FIRST,), (), ("yard-1-0002",), ()]


def test_a_dropped_object_gives_way_where_room_is_needed() -> None:
    tight = replace(ALONE, max_tracks=1, max_requested=0)
    asked = {0: [click(0.2, 0.3)], 1: [Request(track_id=FIRST, deed="drop"), click(0.7, 0.6, frame=1)]}
    out = play(clips([STILL] * 8), asked, tight)
    assert [o.code for o in out[1].outcomes] == ["dropped", "followed"]


def test_all_of_it_is_the_same_after_a_restore_anywhere() -> None:
    scene = [{**STILL, BLUE: (2 + at, 50, 8, 8)} for at in range(24)]
    asked = {
        0: [click(0.2, 0.3, name="Rosa"), click(0.7, 0.6, frame=3)],
        1: [Request(track_id=FIRST, deed="pin"), Request(track_id="yard-1-0002", deed="drop", frame=2)],
        3: [click(0.7, 0.6, track_id=FIRST, frame=2), Request(track_id=FIRST, deed="unpin", frame=3)],
    }
    settings = replace(QUIET, grid_every=5)
    straight, broken = (play(clips(scene), asked, settings, die) for die in (False, True))
    assert told(straight) == told(broken)
    codes = [[(o.code, o.track_id) for o in clip.outcomes] for clip in broken]
    assert codes == [[(o.code, o.track_id) for o in clip.outcomes] for clip in straight]
    assert [x.name for clip in straight for x in clip.masklets] == [
        x.name for clip in broken for x in clip.masklets
    ]


def test_notes_of_the_pipeline_stay_with_the_tracker() -> None:
    tracker = Tracker("yard", ColourSegmenter(), ALONE)
    tracker.push(clips([STILL])[0])
    tracker.notes = {"seen": [1, 2]}
    state = through_bytes(tracker)
    assert Tracker.restore(state, ColourSegmenter()).notes == {"seen": [1, 2]}
    assert Tracker.restore_roughly(state, ColourSegmenter()).notes == {"seen": [1, 2]}
