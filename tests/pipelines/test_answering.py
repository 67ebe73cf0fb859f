"""Questions about live objects: how they are placed, what is shown for them, and what keeps them from an answer."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.types import Masklet
from pipelines.answering import Answering, Asked, QuestionRefused, Worded, place_objects
from pipelines.evidence import Evidence
from pipelines.ports import CaptionerUnavailable
from pipelines.recent import NoEvidence
from tests.fakes.captioner import ScriptedCaptioner
from tests.fakes.clock import FakeClock
from tests.fakes.objects import MemoryObjects
from tests.pipelines.test_recent import record

ASKED = Asked("q-1", "cam", ("a", "b"), "What did <object1> do to <object2>?", 100.0, 15.0)


@pytest.mark.parametrize(
    ("text", "placed", "order"),
    [
        ("What did <object1> do to <object2>?", "What did <region> do to <region>?", [0, 1]),
        ("Who is near <object2>, <OBJECT 1>?", "Who is near <region>, <region>?", [1, 0]),
        ("What did <region> do to <region>?", "What did <region> do to <region>?", [0, 1]),
        ("What happened?", "<region> <region> What happened?", [0, 1]),
        (
            "Does <object1> follow <object2> or <object2> <object1>?",
            "Does object 1 <region> follow object 2 <region> or object 2 object 1?",
            [0, 1],
        ),
    ],
)
def test_objects_are_placed_where_they_are_first_named(text: str, placed: str, order: list[int]) -> None:
    assert place_objects(text, 2) == (placed, order)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("What is <object3>?", "names <object3>, but 2 objects are given"),
        ("What is <object0>?", "names <object0>"),
        ("<region> <region> <region>?", "no words"),
        ("What of <region>, <region> and <region>?", "names <object3>"),
        ("What is <object2>?", "does not name <object1>"),
        ("<object1> <object2>", "no words"),
        ("  ", "no words"),
        ("x" * 1001, "1001 characters, at most 1000"),
    ],
)
def test_questions_that_cannot_be_placed_say_why(text: str, cause: str) -> None:
    with pytest.raises(QuestionRefused, match=cause):
        place_objects(text, 2)


PIECES = [
    "<object1>",
    "<object2>",
    "<obj",
    "ect1>",
    "<region>",
    "<|im_end|>",
    "<|im_",
    "start|>",
    "<REGION>",
    "\u200b",
    " x ",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=9).map("".join))
def test_whatever_is_written_there_is_one_region_an_object(text: str) -> None:
    try:
        placed, order = place_objects(text, 2)
    except QuestionRefused:
        return
    assert sorted(order) == [0, 1] and placed.count("<region>") == 2
    assert not re.search(r"<\|[^<>|]*\|>|<REGION>|<object", placed)


def masklet(track_id: str, frames: range) -> Masklet:
    masks, boxes = np.zeros((16, 12, 16), bool), np.zeros((16, 4), np.float32)
    masks[frames.start : frames.stop, 3:9, 4:10] = True
    return Masklet(track_id, masks, boxes, np.ones(16, np.float32), "active")


class Room:
    """A store with clips, and the answering over it."""

    def __init__(self) -> None:
        self.store = MemoryObjects()
        self.clock = FakeClock(200.0)
        self.captioner = ScriptedCaptioner(lambda request: "it bumps into the red ball", self.clock.sleep)
        self.asked_for: list[tuple[str, int, float]] = []
        self.records = []

    def add(self, index: int, *masklets: Masklet) -> None:
        clip = record(index)
        pictures = tuple(np.full((48, 64, 3), 10 * frame, np.uint8) for frame in range(16))
        times = tuple(frame.time_s for frame in clip.frames)
        evidence = Evidence("cam", 7, index, clip.start_s, clip.end_s, pictures, times, times, masklets)
        self.store.objects[clip.evidence_ref] = evidence.to_bytes()
        self.records.append(clip)

    def word(self, text: str, objects: int, end_s: float) -> Worded:
        self.asked_for.append((text, objects, end_s))
        return Worded(text, "question", "7")

    def ask(self, asked: Asked = ASKED):
        return Answering(self.store, self.captioner, self.clock, self.word).answer(asked, self.records)


@pytest.fixture
def room() -> Room:
    return Room()


def test_an_answer_cites_what_it_rests_on(room: Room) -> None:
    room.add(0, masklet("a", range(0, 12)), masklet("b", range(6, 16)), masklet("c", range(16)))
    prompt = room.ask()
    answer = prompt.answer
    assert answer.text == "it bumps into the red ball" and answer.confidence == pytest.approx(0.9)
    assert (answer.tokens.prompt, answer.tokens.object, answer.tokens.output) == (100, 48, 6)
    assert [(shown.track_id, shown.frames) for shown in answer.evidence] == [
        ("a", [6, 7, 8, 9, 10, 11]),
        ("b", [6, 7, 8, 9, 10, 11]),
    ]
    assert answer.evidence[0].times_s[0] == answer.start_s == 101.5 and answer.end_s == 102.75
    assert answer.asked == "What did <region> do to <region>?" and answer.prompt_version == "7"
    assert prompt.text == ASKED.text and prompt.track_ids == ["a", "b"] and prompt.question_id == "q-1"
    assert set(answer.stage_s) == {"fetch", "captioner", "decode"} and answer.model == "fake@1"


def test_the_captioner_sees_both_objects_on_the_same_pictures(room: Room) -> None:
    room.add(0, masklet("a", range(0, 12)), masklet("b", range(6, 16)))
    room.ask(replace(ASKED, text="Who pushed <object2>? Was it <object1>?"))
    (request,) = room.captioner.requests
    assert request.pictures.shape == (6, 48, 64, 3) and request.times_s.tolist()[0] == 1.5
    assert request.objects == (0,) * 6 + (1,) * 6 and request.mask_frames == tuple(range(6)) * 2
    assert request.masks.shape == (12, 12, 16) and request.masks.any(axis=(1, 2)).all()
    assert request.deadline_s == 15.0 and room.asked_for == [(request.question, 2, 4.0)]


def test_objects_of_different_clips_are_shown_from_each(room: Room) -> None:
    room.add(0, masklet("b", range(16)))
    room.add(1, masklet("a", range(2, 4)))
    prompt = room.ask()
    assert [(s.track_id, s.clip_id[-2:], len(s.frames)) for s in prompt.answer.evidence] == [
        ("a", "c1", 2),
        ("b", "c0", 6),
    ]
    (request,) = room.captioner.requests
    assert request.times_s.tolist() == sorted(request.times_s.tolist()) and request.times_s[-1] == 4.75
    assert room.asked_for[0][2] == 8.0


def test_lost_or_broken_evidence_is_no_evidence(room: Room) -> None:
    room.add(0, masklet("a", range(16)))
    with pytest.raises(NoEvidence, match="shows b"):
        room.ask()
    room.store.objects[room.records[0].evidence_ref] = b"rubbish"
    with pytest.raises(NoEvidence, match="c0: evidence"):
        room.ask()
    room.store.objects.clear()
    with pytest.raises(NoEvidence, match="not stored"):
        room.ask()
    assert room.captioner.requests == []


def test_what_the_captioner_cannot_be_asked_is_refused_before_anything_is_fetched(room: Room) -> None:
    def word(text: str, objects: int, end_s: float) -> Worded:
        raise QuestionRefused("this captioner only answers riddles")

    room.records = [record(0)]  # its evidence was never stored
    with pytest.raises(QuestionRefused, match="riddles"):
        Answering(room.store, room.captioner, room.clock, word).answer(ASKED, room.records)


def test_a_captioner_that_is_away_is_told_as_it_is(room: Room) -> None:
    room.add(0, masklet("a", range(16)), masklet("b", range(16)))
    room.captioner.reply = lambda request: CaptionerUnavailable("no word within the time allowed")
    with pytest.raises(CaptionerUnavailable, match="no word"):
        room.ask()
