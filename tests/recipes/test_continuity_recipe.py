"""The counting of recipes.evaluate_continuity on hand-made streams, and its parts on a short real one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from contracts.narrations import Narration
from operators.describe import DescribeSettings, TrackMemory
from recipes.continuity.counting import Counts, Plant, Said, is_told, judged, over
from recipes.continuity.footage import StreamClip, stream_clips
from recipes.continuity.narrator import believing, narrate, scene_of
from recipes.continuity.tracks import TruthTracker
from recipes.continuity.truth import Change, TrackTruth, follows, truths
from recipes.evaluate_continuity import ASKING, Planter, records_of, wrong_name
from synthetic.grammar import Attributes
from synthetic.truth import Event, ObjectTruth, SyntheticClip
from tests.fakes.captioner import ScriptedCaptioner

STAYS = Attributes("car", "red", "stays")
LEFT = Attributes("car", "red", "moves", "left")
STOPS = Attributes("car", "red", "stops", "left")
BUMPS = Attributes("car", "red", "bumps", "left", other=("green", "box"))


@pytest.fixture
def story() -> TrackTruth:
    """Stands (clips 0 and 1), drives left (2), stops (3), stands (4), is hidden (5, 6), stands (7), leaves (8)."""
    does = {0: STAYS, 1: STAYS, 2: LEFT, 3: STOPS, 4: STAYS, 7: STAYS, 8: replace(LEFT, event="leaves")}
    at_end = {clip: clip not in (4, 5, 6, 8) for clip in range(9)}
    return TrackTruth("red car", does, at_end, dict.fromkeys(does, 15), [(4, 7)], [(4, 7)], left_in=8)


def test_changes_of_a_story(story: TrackTruth) -> None:
    found = [(change.clip, change.kind, change.does) for change in story.changes()]
    assert found == [
        (0, "appears", None),
        (2, "does", LEFT),
        (3, "does", STOPS),
        (4, "gone", None),
        (7, "back", None),
        (8, "gone", None),
    ]


@pytest.mark.parametrize(
    ("before", "now", "implied"),
    [
        (STOPS, STAYS, True),
        (LEFT, STAYS, False),
        (STOPS, LEFT, False),
        (BUMPS, LEFT, True),
        (LEFT, replace(LEFT, direction="right"), False),
        (LEFT, replace(LEFT, speed="slowly", entered="right"), True),
        (BUMPS, replace(BUMPS, other=("blue", "box")), False),
    ],
)
def test_what_is_no_news(before: Attributes, now: Attributes, implied: bool) -> None:
    assert follows(before, now) is implied


def test_a_change_is_told_in_its_clip_or_the_next_by_what_the_sentence_says() -> None:
    drives = Change(2, "does", LEFT)
    assert is_told(drives, [Said(3, "update", "a red car drives slowly to the left")])
    assert not is_told(drives, [Said(4, "update", "a red car drives to the left")]), "two clips later"
    assert not is_told(drives, [Said(2, "update", "a red car drives to the right")])
    assert is_told(Change(3, "does", STOPS), [Said(4, "update", "a red car stays still")])
    assert is_told(Change(4, "gone"), [Said(5, "lost", "the red car is out of sight")])
    assert is_told(Change(4, "gone"), [Said(4, "update", "a red car drives to the left and disappears")])
    assert not is_told(Change(4, "gone"), [Said(4, "update", "a red car stays still")])
    assert is_told(Change(7, "back"), [Said(7, "found", "the red car is in view again")])
    assert not is_told(Change(0, "appears"), [Said(0, "update", "a red car stays still")])


def test_a_sentence_is_judged_by_name_fact_and_news(story: TrackTruth) -> None:
    def verdict(now: Said, before: Said | None = None) -> list[str]:
        return [name for name, right in judged(story, before, now).items() if right]

    drives = Said(2, "update", "a red car drives to the left")
    assert verdict(drives) == ["name", "fact", "new"]
    assert verdict(Said(2, "update", "a blue car drives to the left"), drives) == ["fact"]
    assert verdict(Said(2, "new", "something red drives to the left")) == ["name", "fact", "new"]
    assert verdict(Said(2, "update", "a red car stays still"), drives) == ["name", "new"]
    assert verdict(Said(4, "lost", "the red car is out of sight"), drives) == ["name", "fact", "new"]
    assert verdict(Said(3, "lost", "the red car is out of sight"), drives) == ["name", "new"]
    assert verdict(Said(7, "found", "the red car is in view again")) == ["name", "fact", "new"]
    assert verdict(Said(4, "lost", "a red car drives to the right and disappears")) == ["name", "fact", "new"]


def test_the_name_over_an_absence() -> None:
    before, same = Said(3, "new", "a red car stays still"), Said(8, "found", "the red car is in view again")
    assert over((4, 7), [before, same]) == "same"
    assert over((4, 7), [before, Said(8, "correction", "a red truck stays still")]) == "corrected"
    assert over((4, 7), [before, Said(8, "update", "a red truck stays still")]) == "changed"
    assert over((4, 7), [before]) is None
    assert over((3, 3), [before, same]) is None, "said in the clip of the absence: after it"


def test_figures_of_one_track_by_hand(story: TrackTruth) -> None:
    said = [
        Said(0, "new", "a red car stays still", 4.0, asked=True),
        Said(1, "silent", None, 8.0, asked=True),
        Said(2, "update", "a red truck drives to the left", 12.0, asked=True),  # wrong name
        Said(3, "heartbeat", None, 16.0),
        Said(4, "lost", "the red car is out of sight", 20.0),
        Said(7, "found", "a red car drives to the right", 32.0, asked=True),  # wrong fact
    ]
    counts = Counts()
    counts.add(story, said, fps=4.0)
    found = counts.report()
    assert (found["changes"], found["recall"]) == (6, round(4 / 6, 4)), "neither the stop nor the leaving"
    assert found["recall_of"] == {"appears": 1.0, "back": 1.0, "does": 0.5, "gone": 0.5}
    assert (found["sentences"], found["precision"]) == (4, 0.5)
    assert (found["name_right"], found["fact_right"], found["new"]) == (0.75, 0.75, 1.0)
    assert (found["occlusions"], found["same_name_over_occlusion"]) == (1, 1.0)
    assert found["renamed_without_correction"] == pytest.approx(2 / 3, abs=1e-3)
    minutes = 7 * 15 / 4 / 60
    assert found["sentences_per_object_minute"] == pytest.approx(4 / minutes, abs=1e-3)
    assert found["questions_per_object_minute"] == pytest.approx(4 / minutes, abs=1e-3)
    assert found["heartbeats_per_object_minute"] == pytest.approx(1 / minutes, abs=1e-3)


def test_repeats_of_a_planted_mistake_are_counted() -> None:
    counts, plant = Counts(), Plant(1, 8.0, "blue truck")
    wrong, right = "a blue truck stays still", "a red car stays still"
    texts = [right, wrong, wrong, wrong, right]
    counts.add_planted(plant, [Said(clip, "update", text, 4.0 * clip + 4) for clip, text in enumerate(texts)])
    counts.add_planted(plant, [Said(2, "update", wrong, 12.0), Said(3, "lost", wrong, 16.0)])
    counts.add_planted(plant, [Said(1, "new", wrong, 8.0), Said(2, "silent")])
    found = counts.report()
    assert (found["plants"], found["wrong_repeats_per_plant"]) == (2, 2.0)
    assert (found["plants_corrected"], found["seconds_to_correction"]) == (0.5, 12.0)


def test_a_planted_name_is_believed_as_if_heard() -> None:
    card = TrackMemory().card.heard("red car", 0.9).named("red car")
    planted = believing(TrackMemory(card=card, text="a red car stops"), "blue truck", "a blue truck stops")
    assert planted.label == "blue truck" and planted.card.votes == (("blue truck", 0.9),)
    assert wrong_name("red car") not in (None, "red car") and wrong_name("something red") is None


def hand_made(index: int, shown: list[bool], events: tuple[Event, ...] = ()) -> StreamClip:
    """A clip of 16 small frames with a square that stands still on the frames it is shown on."""
    ids = np.zeros((16, 24, 32), np.uint8)
    ids[shown, 6:14, 8:18] = 1
    visible = np.where(shown, 80, 0).astype(np.int32)
    blank = np.zeros((16, 2), np.float32)
    it = ObjectTruth(
        "car", "red", visible, visible, np.zeros((16, 4), np.float32), blank, blank, blank, events
    )
    return StreamClip(index, (7,), SyntheticClip(np.zeros((16, 24, 32, 3), np.uint8), ids, 4.0, (it,)))


def test_a_stream_by_hand_through_tracker_narrator_and_counts() -> None:
    clips = [
        hand_made(0, [True] * 16),
        hand_made(1, [True] * 10 + [False] * 6, (Event("hidden", 2.5),)),
        hand_made(2, [False] * 16),
        hand_made(3, [False] * 4 + [True] * 12, (Event("reappears", 1.0),)),
        hand_made(4, [True] * 8 + [False] * 8, (Event("leaves", 2.0, side="left"),)),
    ]
    tracker = TruthTracker("cam", seed=1, rough=False)
    followed = [tracker.follow(clip) for clip in clips]
    assert [masklets[0].state for masklets, _ in followed] == [
        "active",
        "hidden",
        "hidden",
        "active",
        "retired",
    ]
    assert followed[4][1] == {"cam-7": "left"}
    scenes = [scene_of("cam", clip, *found) for clip, found in zip(clips, followed, strict=True)]
    truth = truths(clips)[7]
    assert (truth.hidings, truth.left_in, truth.name) == ([(1, 3)], 4, "red car")
    assert truth.occlusions == [(1, 3)]
    captioner, planter = ScriptedCaptioner(), Planter()
    said: list[Narration] = narrate(scenes, captioner, ASKING, DescribeSettings(), planter)
    kinds = [each.kind for each in records_of(said, "cam-7")]
    assert kinds == ["new", "lost", "silent", "correction", "lost"]
    assert planter.plants["cam-7"].label == wrong_name("red car")
    assert said[1].text == f"the {wrong_name('red car')} is out of sight"
    counts = Counts()
    counts.add(truth, records_of(said, "cam-7"), 4.0)
    assert counts.report()["recall"] == 1.0


def test_clips_of_a_real_stream_hold_the_truth_of_their_objects() -> None:
    first, second = stream_clips(5, 8 / 60, "train")
    assert (first.index, second.index) == (0, 1) and len(first.clip.frames) == 16
    for clip in (first, second):
        for k, it in enumerate(clip.clip.objects):
            assert ((clip.clip.ids == k + 1).sum((1, 2)) == it.visible_px).all()
    moved = [np.ptp(it.ground, axis=0).max() for it in (*first.clip.objects, *second.clip.objects)]
    assert max(moved) > 0.2, "somebody moves within eight seconds"
