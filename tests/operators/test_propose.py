"""A detector beside clicks and motion: when it is asked, what is followed of its answers, what words rule out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from operators.propose import MOST_PROPOSALS, proposals_of
from operators.track import Tracker, TrackSettings
from operators.types import Proposal, TrackedClip
from tests.fakes.proposer import ColourProposer
from tests.fakes.segmenter import ColourSegmenter
from tests.operators.test_track import BLUE, GREEN, RED, Shapes, clips, through_bytes

ONLY_DETECTOR = TrackSettings(grid_every=0, motion_every=0)
STILL: Shapes = {RED: (5, 5, 20, 20), GREEN: (40, 30, 20, 20)}


class Counting(ColourSegmenter):
    """Counts the boxes that it is asked about."""

    decoded = 0

    def decode(self, prompt):
        self.decoded += prompt.box is not None
        return super().decode(prompt)


class Fixed:
    """Answers the same whatever it is shown."""

    def __init__(self, *offered: Proposal) -> None:
        self.offered = list(offered)

    def propose(self, pixels, words=()):
        return self.offered


def tracked(scene, settings, proposer, words=(), segmenter=None) -> list[TrackedClip]:
    tracker = Tracker("yard", segmenter or ColourSegmenter(), settings)
    tracker.search_by(proposer, words)
    return [tracker.push(clip) for clip in clips(scene)]


def colours(done: list[TrackedClip]) -> set[int]:
    """Red values under all masks of all tracks that were opened."""
    found: set[int] = set()
    for clip in done:
        for masklet in clip.masklets:
            for frame, mask in zip(clip.clip.frames, masklet.masks, strict=True):
                found |= set(np.unique(frame.pixels[..., 0][mask]).tolist())
    return found


def test_what_a_detector_sees_is_followed_by_its_mask() -> None:
    done = tracked([STILL] * 8, ONLY_DETECTOR, ColourProposer())
    assert [len(clip.opened) for clip in done] == [2, 0]
    for masklet in done[1].masklets:
        shapes = {tuple(np.argwhere(mask).min(axis=0)) for mask in masklet.masks}
        assert shapes in ({(5, 5)}, {(30, 40)}), "the masks are the segmenter's own, at the things' places"


def test_without_a_detector_these_settings_find_nothing() -> None:
    assert not any(clip.masklets for clip in tracked([STILL] * 8, ONLY_DETECTOR, None))


def test_it_is_asked_on_every_fourth_frame_and_first_of_all() -> None:
    proposer = ColourProposer()
    scene = clips([STILL] * 16)
    shifted = [
        replace(clip, frames=tuple(replace(f, index=f.index + 2) for f in clip.frames)) for clip in scene
    ]
    tracker = Tracker("yard", ColourSegmenter(), ONLY_DETECTOR)
    tracker.search_by(proposer)
    asked = []
    for clip in shifted:
        before = len(proposer.asked)
        tracker.push(clip)
        asked.append(len(proposer.asked) - before)
    # Frames 2..17: at once on frame 2, then on 4, 8, 12 and 16.
    assert asked == [2, 1, 1, 1]


def test_a_restored_tracker_asks_about_the_same_frames() -> None:
    scene, once, again = clips([STILL] * 16), ColourProposer(), ColourProposer()
    tracker = Tracker("yard", ColourSegmenter(), ONLY_DETECTOR)
    tracker.search_by(once)
    for clip in scene:
        tracker.push(clip)
    tracker = Tracker("yard", ColourSegmenter(), ONLY_DETECTOR)
    for clip in scene:
        tracker.search_by(again)
        tracker.push(clip)
        tracker = Tracker.restore(through_bytes(tracker), ColourSegmenter(), ONLY_DETECTOR)
    assert once.asked == again.asked


def test_what_is_followed_is_not_decoded_again() -> None:
    segmenter = Counting()
    tracked([STILL] * 12, ONLY_DETECTOR, ColourProposer(), segmenter=segmenter)
    assert segmenter.decoded == 2


def test_a_box_with_nothing_in_it_opens_nothing() -> None:
    nothing = Proposal(np.array([0.7, 0.0, 0.95, 0.3], np.float32), 0.99)
    around = Proposal(np.array([0.0, 0.0, 0.3, 0.9], np.float32), 0.9)  # hardly filled by what is in it
    done = tracked([{RED: (2, 2, 8, 8)}] * 8, ONLY_DETECTOR, Fixed(nothing, around))
    assert not any(clip.masklets for clip in done)


def test_a_part_of_what_is_followed_is_no_new_object() -> None:
    part = Proposal(np.array([6 / 80, 6 / 60, 14 / 80, 14 / 60], np.float32), 0.95)
    whole = Proposal(np.array([5 / 80, 5 / 60, 25 / 80, 25 / 60], np.float32), 0.9)
    done = tracked([{RED: (5, 5, 20, 20)}] * 8, ONLY_DETECTOR, Fixed(whole, part, whole))
    assert sum(len(clip.opened) for clip in done) == 1


def test_the_segmenter_is_asked_about_a_bounded_number_of_boxes() -> None:
    rng = np.random.default_rng(3)
    low = rng.uniform(0.5, 0.8, (500, 2)).astype(np.float32)
    offered = [Proposal(np.concatenate([xy, xy + 0.1]), 0.5) for xy in low]
    segmenter = Counting()
    tracked([{RED: (2, 2, 8, 8)}] * 4, ONLY_DETECTOR, Fixed(*offered), segmenter=segmenter)
    assert segmenter.decoded == ONLY_DETECTOR.max_proposals


def test_clicks_and_motion_go_on_beside_a_detector() -> None:
    red_only = ColourProposer()
    red_only.propose = lambda pixels, words=(): []  # it knows nothing of what is here
    assert colours(tracked([STILL] * 12, TrackSettings(), red_only)) == {RED, GREEN}


def test_where_words_are_given_only_what_they_name_is_opened() -> None:
    moving = [{RED: (5, 5, 16, 16), GREEN: (40, 30, 16, 16), BLUE: (2 * at, 40, 14, 14)} for at in range(24)]
    assert colours(tracked(moving, TrackSettings(), None)) >= {RED, BLUE}
    proposer = ColourProposer()
    assert colours(tracked(moving, TrackSettings(), proposer, (str(GREEN),))) == {GREEN}
    assert set(proposer.asked) == {(str(GREEN),)}


@pytest.mark.parametrize("words", [(), (str(GREEN),)])
def test_a_detector_that_is_away_keeps_nobody_from_being_seen(words: tuple[str, ...]) -> None:
    proposer = ColourProposer()
    proposer.away = True
    settings = TrackSettings()
    done = tracked([STILL] * 4 * (settings.detector_patience + 3), settings, proposer, words)
    first = next(at for at, clip in enumerate(done) if clip.opened)
    assert colours(done) == {RED, GREEN}
    # Who asked for words waits a little, so that one slow answer does not open everything.
    assert first == (settings.detector_patience - 1 if words else 0)


def test_words_count_again_when_the_detector_is_back() -> None:
    proposer = ColourProposer()
    tracker = Tracker("yard", ColourSegmenter(), TrackSettings(detector_patience=1))
    tracker.search_by(proposer, (str(GREEN),))
    scene = clips([{GREEN: (40, 30, 16, 16)}] * 8 + [{GREEN: (40, 30, 16, 16), RED: (5, 5, 20, 20)}] * 8)
    assert colours([tracker.push(clip) for clip in scene]) == {GREEN}
    proposer.away = True
    more = clips([STILL] * 24)[4:]
    assert colours([tracker.push(clip) for clip in more[:1]]) == {GREEN, RED}
    proposer.away = False
    blue = [{**STILL, BLUE: (60, 5, 14, 14)}] * 24
    assert BLUE not in colours([tracker.push(clip) for clip in clips(blue)[5:]])


HOSTILE = {
    "not numbers": np.array([[np.nan, 0, 1, 1], [0, np.inf, 1, 1], [0, 0, 1, -np.inf]]),
    "negative sizes": np.array([[0.5, 0.1, 0.2, 0.9], [0.1, 0.5, 0.9, 0.2]]),
    "beyond the picture": np.array([[1.5, 0.0, 2.0, 1.0], [-3.0, -3.0, -1.0, 1.0]]),
    "no size": np.array([[0.5, 0.5, 0.5, 0.5]]),
    "huge": np.array([[1e300, 0, 1e308, 1.0]]),
}


@pytest.mark.parametrize("boxes", HOSTILE.values(), ids=HOSTILE.keys())
def test_boxes_that_mean_nothing_are_left_out(boxes: np.ndarray) -> None:
    good = [0.1, 0.2, 0.3, 0.4]
    found = proposals_of(np.vstack([boxes, good]), np.full(len(boxes) + 1, 0.5), ["x"] * (len(boxes) + 1))
    assert [item.box.tolist() for item in found] == [pytest.approx(good)]


def test_scores_that_mean_nothing_are_left_out_and_boxes_are_cut_at_the_edges() -> None:
    boxes = np.tile(np.array([-1, -1, 0.5, 7.0]), (5, 1))
    found = proposals_of(boxes, np.array([np.nan, 0.0, -1.0, 0.3, 40.0]), [])
    assert [(item.box.tolist(), item.score, item.label) for item in found] == [
        ([0.0, 0.0, 0.5, 1.0], 1.0, ""),
        ([0.0, 0.0, 0.5, 1.0], pytest.approx(0.3), ""),
    ]


def test_a_million_boxes_become_the_surest_few() -> None:
    count = 1_000_000
    low = np.random.default_rng(1).random((count, 2), np.float32) * 0.5
    scores = np.linspace(0, 1, count, dtype=np.float32)
    found = proposals_of(np.hstack([low, low + 0.2]), scores, [])
    assert len(found) == MOST_PROPOSALS and found[0].score == 1.0
    assert proposals_of(np.zeros((0, 4)), np.zeros(0), []) == []


@pytest.mark.parametrize(
    ("boxes", "scores", "labels"),
    [
        (np.zeros((3, 5)), np.zeros(3), []),
        (np.zeros((3, 4)), np.zeros(4), []),
        (np.zeros((3, 4)), np.zeros((3, 1)), []),
        (np.zeros(4), np.zeros(1), []),
        (np.zeros((3, 4)), np.zeros(3), ["one"]),
        (np.zeros((3, 4), object), np.zeros(3), []),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(boxes, scores, labels) -> None:
    with pytest.raises(ValueError, match="boxes"):
        proposals_of(boxes, scores, labels)


@pytest.mark.parametrize("box", [[0.5, 0, 0.2, 1], [0, 0, 1.2, 1], [np.nan, 0, 1, 1], [0, 0, 1]])
def test_a_proposal_is_checked_at_birth(box: list[float]) -> None:
    with pytest.raises(ValueError, match=r"Proposal\.box"):
        Proposal(np.array(box, np.float32), 0.5)
