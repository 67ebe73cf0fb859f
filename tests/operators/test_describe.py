"""When the narrator speaks of a track, and when it keeps silent."""

import json
from dataclasses import replace

import pytest

from operators.describe import Decision, DescribeSettings, TrackMemory, decide
from operators.judge import Heard, judge, worth_streaming
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

    def __init__(self, settings: DescribeSettings = SETTINGS) -> None:
        self.settings = settings
        self.memory: TrackMemory | None = None
        self.asked: list[int] = []

    def clip(self, number: int, text: str | None = STILL, sure: float = 0.9, fresh: bool = True, **changes):
        seen = look(number, **changes)
        self.decision = decide(self.memory, seen, self.settings)
        if self.decision.ask:
            self.asked.append(number)
        answer = Heard(text, sure, fresh) if self.decision.ask and text is not None else None
        verdict = judge(
            self.memory, seen, self.decision, answer, lambda revision: f"n{number}.r{revision}", self.settings
        )
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
    assert teller.asked == []
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
    assert teller.asked == [0, 1, 9], "first sight, confirmation, one refresh after eight clips"


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


def test_a_loss_whose_sentence_does_not_tell_of_it_is_told_plainly(met: Teller) -> None:
    verdict = met.clip(1, LEFT, frames=(0, 1, 2), state="retired", closed_for="left")
    assert (verdict.kind, verdict.text) == ("lost", "the red car has left the view")
    leaving = Decision("t", "lost", "retired", ask=True)
    assert not worth_streaming(met.memory, leaving, "a red car drives to the left and")
    assert worth_streaming(met.memory, leaving, "a red car drives to the left and leaves the")


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


def test_a_short_absence_is_no_return_but_the_loss_is_not_the_last_word(met: Teller) -> None:
    gone = "a red car disappears"
    met.clip(1, gone, frames=tuple(range(14)), state="hidden", last_seen_s=1007.5)
    verdict = met.clip(2, gone, first_seen_s=1008.0)
    assert (verdict.kind, verdict.text) == ("update", "the red car is in view again")
    assert not met.memory.lost
    assert met.clip(3, gone).kind == "silent"


def test_a_question_about_the_name_alone_is_no_occasion_for_an_update(met: Teller) -> None:
    verdict = met.clip(1, LEFT)
    assert (verdict.kind, verdict.reason) == ("silent", "label confirmed")


def test_a_wrong_first_label_is_found_out_without_any_change(met: Teller) -> None:
    assert met.clip(1, "a red truck stays still").reason == "label in doubt"
    assert met.clip(2, "a red truck stays still").kind == "correction"
    met.clip(3, "a red truck stays still")
    assert met.clip(4, "a red bus stays still").reason == "unchanged", "heard often enough"


def test_a_label_is_corrected_when_two_answers_agree(met: Teller) -> None:
    first = met.clip(1, "a red truck drives to the left", motion="left")
    assert (first.kind, first.text, first.label) == ("update", LEFT, "red car"), "told under the known name"
    assert first.heard_label == "red truck"
    second = met.clip(2, "a red truck drives to the left", motion="left")
    assert (second.kind, second.label, second.heard_label) == ("correction", "red truck", None)
    assert (second.supersedes, second.revision, second.narration_id) == ("n1.r0", 1, "n2.r1")
    after = met.clip(3, "a red truck stays still")
    assert (after.kind, after.label, after.revision) == ("update", "red truck", 0)


def test_a_thing_without_a_name_gets_one() -> None:
    teller = Teller()
    assert teller.clip(0, "something red stays still").label == "something red"
    assert teller.clip(1, LEFT, motion="left").text == "something red drives to the left"
    verdict = teller.clip(2, LEFT)
    assert (verdict.kind, verdict.text, verdict.reason) == ("correction", LEFT, "name found")


def test_a_thing_without_a_name_takes_no_article() -> None:
    teller = Teller()
    teller.clip(0, "something red stays still")
    assert teller.clip(1, frames=(), state="hidden").text == "something red is out of sight"


def test_a_correction_of_a_correction_has_the_next_revision(met: Teller) -> None:
    for number in (1, 2):
        met.clip(number, "a red truck stays still")
    for number in (3, 4):
        verdict = met.clip(number, "a red bus stays still", sure=0.99, motion=f"way {number}")
    assert (verdict.kind, verdict.supersedes, verdict.revision) == ("correction", "n2.r1", 2)


def test_one_odd_label_changes_nothing(met: Teller) -> None:
    met.clip(1, "a red truck drives to the left", motion="left")
    verdict = met.clip(2, "a red car drives to the right", motion="right")
    assert (verdict.kind, verdict.label) == ("update", "red car")
    assert met.memory.card.doubts == ()


def test_a_long_known_name_yields_only_to_answers_as_sure_as_its_own(met: Teller) -> None:
    for number in range(1, 6):
        met.clip(number, STILL, motion=f"way {number}")
    truck = "a red truck stays still"
    assert met.clip(6, truck, sure=0.6, motion="left").kind == "silent"
    assert met.clip(7, truck, sure=0.6, motion="right").reason == "label in doubt"
    assert met.clip(8, truck, sure=0.9).kind == "correction"


def test_a_vaguer_name_is_no_doubt(met: Teller) -> None:
    verdict = met.clip(1, "something red drives to the left", motion="left")
    assert (verdict.kind, verdict.text, verdict.heard_label) == ("update", LEFT, "something red")
    assert met.memory.card.doubts == ()


def test_answers_that_never_settle_are_asked_for_four_times_in_a_row_and_then_now_and_then(
    met: Teller,
) -> None:
    for number in range(1, 16):
        met.clip(number, f"a red thing{number} stays still")
    assert met.asked == [0, 1, 2, 3, 4, 12]


def test_history_is_shown_only_where_the_name_is_not_asked_for(met: Teller) -> None:
    met.clip(1, LEFT, motion="left")
    assert not met.decision.history, "the name was heard only once"
    met.clip(2, "a red car drives to the right", motion="right")
    assert met.decision.history
    met.clip(3, "a red car disappears", frames=(0, 1, 2), state="hidden")
    met.clip(5, LEFT)
    assert met.decision.kind == "found" and not met.decision.history


def test_an_answer_that_knew_the_last_sentence_has_no_vote(met: Teller) -> None:
    for number, way in enumerate(("left", "right", "left", "right"), start=1):
        met.clip(number, "a red truck drives", motion=way, fresh=False)
    assert met.memory.card.answers == 1 and met.memory.label == "red car"
    assert met.decision.reason.startswith("motion")


def test_other_ways_of_naming_to_compare_with() -> None:
    truck = "a red truck drives to the left"
    fresh, card = Teller(replace(SETTINGS, naming="fresh")), Teller(replace(SETTINGS, naming="card"))
    for teller in (fresh, card):
        teller.clip(0)
        teller.clip(1, truck, motion="left")
        verdict = teller.clip(2, "a red truck stays still")
        assert verdict.kind == "update" and verdict.label == ("red truck" if teller is fresh else "red car")
        assert teller.asked == [0, 1, 2]


def test_a_loss_in_the_pause_after_a_sentence_is_spoken_later(met: Teller) -> None:
    met.clip(1, LEFT, motion="left", end_s=1008.0)
    short = {"start_s": 1008.0, "end_s": 1009.0}
    early = met.clip(2, frames=(0,), state="retired", closed_for="left", **short)
    assert early.reason == "spoken of a moment ago" and met.memory.closed_for == "left"
    late = met.clip(3, frames=(), state="retired", closed_for=met.memory.closed_for)
    assert (late.kind, late.text) == ("lost", "the red car has left the view")


def test_memory_stays_small_over_a_thousand_clips() -> None:
    teller, sizes = Teller(), []
    for number in range(1000):
        text = f"a red thing{number % 37} goes to place{number}" + " and on" * 80
        others = tuple(f"cam-{number}-{k}" for k in range(20))
        teller.clip(number, text, motion=f"way {number}", contacts=others)
        sizes.append(len(json.dumps(teller.memory.to_json())))
    assert max(sizes[20:]) < 2500


def test_memory_refuses_foreign_fields() -> None:
    with pytest.raises(ValueError, match="memory"):
        TrackMemory.from_json({"colour": "red"})
