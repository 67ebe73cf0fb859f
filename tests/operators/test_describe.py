"""When the narrator speaks of a track, and when it keeps silent."""

import json
from dataclasses import replace

import pytest

from operators.describe import Decision, DescribeSettings, TrackMemory, decide, judge, worth_streaming
from operators.observe import Look

SETTINGS = DescribeSettings()
CLIP_S = 4.0
STILL = "a red car stays still"
LEFT = "a red car drives to the left"


def look(clip: int, **changes) -> Look:
    """A standing object seen on all 16 frames of clip number ``clip``."""
    start = 1000 + CLIP_S * clip
    base = Look(
        track_id="t",
        start_s=start,
        end_s=start + CLIP_S,
        frames=tuple(range(16)),
        last_seen_s=start + CLIP_S - 0.25,
        first_seen_s=start,
        state="active",
        motion="still",
        centre=(0.5, 0.5),
        width=0.2,
        contacts=(),
    )
    if changes.get("frames") == ():
        changes |= {"last_seen_s": None, "first_seen_s": None, "centre": None}
    return replace(base, **changes)


class Teller:
    """Runs one track through clips, answering every question with the given sentence."""

    def __init__(self) -> None:
        self.memory: TrackMemory | None = None
        self.asked = 0

    def clip(self, number: int, text: str | None = STILL, **changes):
        seen = look(number, **changes)
        decision = decide(self.memory, seen, SETTINGS)
        self.asked += decision.ask
        answer = text if decision.ask else None
        verdict = judge(self.memory, seen, decision, answer, f"n{number}", SETTINGS)
        self.memory = TrackMemory.from_json(json.loads(json.dumps(verdict.memory.to_json())))
        return verdict


@pytest.fixture
def met() -> Teller:
    """A teller that has already introduced its object, in clip 0."""
    teller = Teller()
    assert teller.clip(0).kind == "new"
    return teller


def test_first_sight_is_spoken_with_its_label() -> None:
    verdict = Teller().clip(0, LEFT)
    assert (verdict.kind, verdict.text, verdict.label) == ("new", LEFT, "red car")


def test_a_new_object_is_watched_for_some_frames_first() -> None:
    teller = Teller()
    assert teller.clip(0, frames=(14, 15)).kind == "silent"
    assert teller.asked == 0
    assert teller.clip(1).kind == "new"


def test_a_new_object_that_is_gone_already_is_described_at_once() -> None:
    assert Teller().clip(0, frames=(3, 4), state="retired").kind == "new"


def test_a_tentative_track_is_not_spoken_of() -> None:
    assert Teller().clip(0, state="tentative").kind == "silent"


def test_first_sight_is_tried_again_when_the_captioner_fails() -> None:
    teller = Teller()
    verdict = teller.clip(0, text=None)
    assert (verdict.kind, verdict.reason) == ("silent", "no answer")
    assert teller.clip(1).kind == "new"


def test_a_standing_object_gets_one_sentence_then_signs_of_life() -> None:
    teller = Teller()
    kinds = [teller.clip(number).kind for number in range(16)]
    assert kinds[0] == "new" and set(kinds[1:]) == {"silent", "heartbeat"}
    assert kinds.count("heartbeat") == 3  # 60 s of silence, one each 15 s rounded up to clips
    assert teller.asked == 3, "first sight, confirmation, one refresh after eight clips"


def test_an_object_that_keeps_moving_gets_no_second_sentence_but_signs_of_life() -> None:
    teller = Teller()
    kinds = [teller.clip(n, LEFT, motion="left", centre=(0.9 - 0.3 * n, 0.5)).kind for n in range(9)]
    assert kinds[0] == "new" and set(kinds[1:]) == {"silent", "heartbeat"}


@pytest.mark.parametrize(
    "change", [{"motion": "left"}, {"contacts": ("other",)}, {"centre": (0.8, 0.5)}, {"cut": True}]
)
def test_a_change_is_asked_about_and_spoken_if_the_words_differ(met: Teller, change: dict) -> None:
    assert met.clip(1, LEFT, **change).kind == "update"


def test_a_change_without_new_words_stays_silent(met: Teller) -> None:
    verdict = met.clip(1, STILL, motion="left")
    assert (verdict.kind, verdict.reason) == ("silent", "nothing new to say")
    assert met.clip(2, LEFT, motion="left").kind == "silent", "the motion was weighed already"


def test_no_second_sentence_within_three_seconds() -> None:
    teller = Teller()
    teller.clip(0, end_s=1004.0)
    assert teller.clip(1, LEFT, motion="left", end_s=1006.0).reason == "spoken of a moment ago"
    assert teller.clip(2, LEFT, motion="left").kind == "update"


def test_loss_is_spoken_once_with_the_last_pictures(met: Teller) -> None:
    gone = "a red car drives to the left and leaves the view"
    verdict = met.clip(1, gone, frames=(0, 1, 2), state="hidden")
    assert (verdict.kind, verdict.text) == ("lost", gone)
    assert met.clip(2, frames=(), state="hidden").reason == "out of sight"
    assert met.clip(3, frames=(), state="retired").kind == "silent"


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ({"state": "retired", "closed_for": "left"}, "has left the view"),
        ({"state": "retired", "closed_for": "lost"}, "is out of sight"),
        ({"state": "hidden"}, "is out of sight"),
    ],
)
def test_a_loss_nobody_pictured_is_said_from_the_label(met: Teller, why: dict, words: str) -> None:
    verdict = met.clip(1, frames=(), **why)
    assert (verdict.kind, verdict.text) == ("lost", f"the red car {words}")


def test_a_loss_or_return_is_not_told_of_another_object(met: Teller) -> None:
    lost = met.clip(1, "a blue box leaves the view", frames=(0, 1, 2), state="retired", closed_for="left")
    assert (lost.kind, lost.text) == ("lost", "the red car has left the view")
    found = met.clip(2, "a green duck stays still", first_seen_s=1011.0)
    assert (found.kind, found.text, found.label) == ("found", "the red car is in view again", "red car")


def test_a_track_that_was_no_object_of_its_own_ends_in_silence(met: Teller) -> None:
    verdict = met.clip(1, state="retired", closed_for="twin")
    assert (verdict.kind, verdict.reason) == ("silent", "given up: twin")
    assert met.memory.gone


def test_only_text_that_will_be_spoken_is_streamed(met: Teller) -> None:
    update, first = Decision("t", "update", "moved", ask=True), Decision("t", "new", "first sight", ask=True)
    assert worth_streaming(None, first, "a")
    assert not worth_streaming(met.memory, update, "a red car stays still and")
    assert not worth_streaming(met.memory, update, "a red truck drives to the left")
    assert not worth_streaming(met.memory, update, "a red car dri")
    assert worth_streaming(met.memory, update, "a red car drives to")


def test_a_return_is_spoken_after_two_seconds(met: Teller) -> None:
    met.clip(1, "a red car disappears", frames=(0, 1, 2), state="hidden")
    verdict = met.clip(2, LEFT, frames=(10, 11, 12, 13), first_seen_s=1010.5)
    assert verdict.kind == "found"
    assert met.clip(3, "a red car disappears", frames=(0,), state="hidden").kind == "lost"


def test_a_short_absence_is_no_return(met: Teller) -> None:
    met.clip(1, "a red car disappears", frames=tuple(range(14)), state="hidden", last_seen_s=1007.5)
    verdict = met.clip(2, "a red car disappears", first_seen_s=1008.0)
    assert verdict.kind == "silent"
    assert not met.memory.lost


def test_a_wrong_first_label_is_found_out_without_any_change(met: Teller) -> None:
    assert met.clip(1, "a red truck stays still").reason == "label in doubt"
    assert met.clip(2, "a red truck stays still").kind == "correction"
    assert met.clip(3, "a red bus stays still").reason == "unchanged", "heard often enough"


def test_a_label_is_corrected_when_two_answers_agree(met: Teller) -> None:
    first = met.clip(1, "a red truck drives to the left", motion="left")
    assert (first.kind, first.reason) == ("silent", "label in doubt")
    second = met.clip(2, "a red truck drives to the left", motion="left")
    assert (second.kind, second.label, second.supersedes) == ("correction", "red truck", "n0")
    assert met.clip(3, "a red truck stays still").kind == "update"


def test_one_odd_label_changes_nothing(met: Teller) -> None:
    met.clip(1, "a red truck drives to the left", motion="left")
    verdict = met.clip(2, LEFT, motion="left")
    assert (verdict.kind, verdict.label) == ("update", "red car")
    assert met.memory.doubts == ()


def test_memory_refuses_foreign_fields() -> None:
    with pytest.raises(ValueError, match="memory"):
        TrackMemory.from_json({"colour": "red"})
