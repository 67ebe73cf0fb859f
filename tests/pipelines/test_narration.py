"""The narrator over clip records: what is said, what is committed, and what happens when things fail."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from contracts import topics
from contracts.clips import ClipFrame, ClipRecord, SourceRange, clip_id
from contracts.deadletter import DeadLetter
from contracts.narrations import Narration, Partial
from operators.types import Masklet
from pipelines.asking import Asking
from pipelines.evidence import Evidence
from pipelines.narration import Narrating, NarrationSettings
from pipelines.pictures import shrink
from pipelines.ports import CaptionerUnavailable, CaptionRefused, CaptionRequest, PublisherFull, Record
from tests.fakes.captioner import ScriptedCaptioner
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import Crash, FakePartition, Fuse
from tests.fakes.objects import MemoryObjects

START_S = 1_700_000_000.0
EPOCH = 1_700_000_000_000
LEFT = "a red car drives to the left"


def masklet(track_id: str, x: float = 0.4, step: float = 0.0, frames: Sequence[int] = range(16)) -> Masklet:
    """A square that starts at ``x`` and moves by ``step`` a frame."""
    masks, boxes = np.zeros((16, 40, 40), bool), np.zeros((16, 4), np.float32)
    for frame in frames:
        left = x + step * frame
        boxes[frame] = (left, 0.4, left + 0.2, 0.6)
        masks[frame, 16:24, round(left * 40) : round((left + 0.2) * 40)] = True
    return Masklet(track_id, masks, boxes, np.ones(16, np.float32), "active" if frames else "hidden")


class World:
    """A camera's clips in a store and on a topic, and a narrator that works them off."""

    def __init__(self) -> None:
        self.clock = FakeClock(START_S)
        self.store = MemoryObjects()
        self.topic = FakePartition([])
        self.captioner = ScriptedCaptioner(sleep=self.clock.sleep)
        self.partials = Partials()
        self.settings = NarrationSettings()
        self.questions = ""

    def add(self, *masklets: Masklet, closed: dict[str, str] | None = None) -> ClipRecord:
        index = len(self.topic.records)
        begin = START_S + 4 * index
        times = tuple(begin + 0.25 * frame for frame in range(16))
        pictures = tuple(np.full((48, 64, 3), frame * 10, np.uint8) for frame in range(16))
        evidence = Evidence(
            "cam", EPOCH, index, begin, begin + 4, pictures, times, times, masklets, closed=closed or {}
        )
        record = ClipRecord(
            clip_id=clip_id("cam", EPOCH, index),
            camera_id="cam",
            epoch=EPOCH,
            index=index,
            start_s=begin,
            end_s=begin + 4,
            frames=[ClipFrame(index=i, pts_s=time - START_S, time_s=time) for i, time in enumerate(times)],
            width_px=64,
            height_px=48,
            closed_by="full",
            source=SourceRange(partition=0, first_offset=index, last_offset=index),
            evidence_ref=f"clips/cam/{index}/evidence.safetensors",
            track_ids=[found.track_id for found in masklets],
            model="fake",
            captured_at=begin + 4.5,
            committed_at=begin + 5,
        )
        self.store.objects[record.evidence_ref] = evidence.to_bytes()
        self.put(record.to_bytes())
        self.clock.now_s = begin + 5
        return record

    def put(self, value: bytes | None) -> None:
        offset = len(self.topic.records)
        self.topic.records.append(Record(topics.CLIPS, 0, offset, 0, "cam", value, {}))

    def work(self) -> list[Narration]:
        """A fresh narrator takes the partition and works off what is there."""
        asking = Asking(lambda end_s, near: f"<region> until {end_s}", "t", questions=self.questions)
        self.narrating = Narrating(
            self.store, self.captioner, self.clock, asking, self.partials, self.settings
        )
        self.topic.work(self.narrating)
        return self.said

    @property
    def said(self) -> list[Narration]:
        return [Narration.from_bytes(value) for value in self.topic.values(topics.NARRATIONS)]

    @property
    def letters(self) -> list[DeadLetter]:
        return [DeadLetter.from_bytes(value) for value in self.topic.values(topics.DEADLETTER)]


class Partials:
    """A publisher that remembers; ``full`` makes it refuse."""

    def __init__(self) -> None:
        self.sent: list[Partial] = []
        self.full = False

    def publish(self, topic: str, key: str, value: bytes | None, headers=None) -> Future:
        if self.full:
            raise PublisherFull("no room")
        assert topic == topics.PARTIALS and key == "cam"
        self.sent.append(Partial.from_bytes(value))
        return Future()

    def flush(self, timeout_s: float) -> None: ...


@pytest.fixture
def world() -> World:
    return World()


def test_a_new_object_is_described_from_six_even_frames(world: World) -> None:
    record = world.add(masklet("cam-1"))
    world.captioner.reply = lambda request: LEFT
    (said,) = world.work()
    assert (said.kind, said.text, said.label) == ("new", LEFT, "red car")
    assert said.narration_id == f"cam-1@{record.clip_id}.r0"
    assert said.evidence_frames == [0, 3, 6, 9, 12, 15] and said.evidence_ref == record.evidence_ref
    assert said.crop_ref == "clips/cam/0/cam-1.jpg"
    assert said.confidence == pytest.approx(0.9) and said.model == "fake@1" and said.prompt_version == "t"
    assert (said.tokens.prompt, said.tokens.object, said.tokens.output) == (100, 48, 7)
    assert said.delay_s == pytest.approx(world.clock.now() - record.frames[15].time_s)
    assert (said.start_s, said.end_s) == (record.frames[0].time_s, record.frames[15].time_s)


def test_the_request_carries_relative_times_masks_and_the_clips_end(world: World) -> None:
    world.add(masklet("cam-1", frames=range(4, 16)))
    world.work()
    (request,) = world.captioner.requests
    assert request.question == "<region> until 4.0"
    assert request.pictures.shape == (6, 48, 64, 3) and request.pictures.dtype == np.uint8
    assert request.times_s.tolist() == [1.0, 1.5, 2.0, 2.75, 3.25, 3.75]
    assert request.masks.shape == (6, 40, 40) and request.masks.any(axis=(1, 2)).all()
    assert request.mask_frames == (0, 1, 2, 3, 4, 5) and request.objects == (0,) * 6


def test_requests_name_their_clip_and_the_one_they_follow(world: World) -> None:
    records = [world.add(masklet("cam-1"), masklet("cam-2", x=0.1 * number)) for number in range(2)]
    world.captioner.reply = lambda request: LEFT
    world.work()
    scenes = {request.scene for request in world.captioner.requests}
    named = {(scene.camera_id, scene.clip_id, scene.previous, scene.begin_s) for scene in scenes if scene}
    assert (("cam", records[0].clip_id, "", START_S)) in named
    assert (("cam", records[1].clip_id, records[0].clip_id, START_S + 4)) in named


def test_large_pictures_are_shrunk() -> None:
    assert shrink(np.zeros((720, 1280, 3), np.uint8), 320).shape == (180, 320, 3)
    assert shrink(np.zeros((720, 405, 3), np.uint8), 320).shape == (320, 180, 3)
    small = np.zeros((48, 64, 3), np.uint8)
    assert shrink(small, 320) is small


def test_words_stream_before_the_final(world: World) -> None:
    world.add(masklet("cam-1"))
    world.captioner.reply = lambda request: LEFT
    (said,) = world.work()
    texts = [partial.text for partial in world.partials.sent]
    assert texts[0] == "a" and texts[-1] == LEFT and len(texts) == 7
    assert [partial.seq for partial in world.partials.sent] == list(range(7))
    assert {partial.narration_id for partial in world.partials.sent} == {said.narration_id}


@pytest.mark.parametrize(
    ("questions", "frames", "told"),
    [
        ("own", range(16), LEFT),
        ("own", range(15), f"{LEFT} and leaves the view"),
        ("any", range(16), f"{LEFT} and leaves the view"),
    ],
)
def test_no_loss_is_told_of_what_the_last_frame_shows(
    world: World, questions: str, frames: range, told: str
) -> None:
    world.questions = questions
    world.add(masklet("cam-1", frames=frames))
    world.captioner.reply = lambda request: f"{LEFT} and leaves the view"
    (said,) = world.work()
    assert (said.kind, said.text, said.label) == ("new", told, "red car")
    shown = [partial.text for partial in world.partials.sent]
    assert told.startswith(shown[-1].removesuffix(" and"))
    assert any("leaves" in text for text in shown) == ("leaves" in told)


def test_a_loss_that_is_not_told_is_no_news(world: World) -> None:
    world.questions = "own"
    for step in (0.0, -0.02):
        world.add(masklet("cam-1", step=step))
    world.captioner.reply = lambda request: (
        LEFT + " and disappears behind the blue box" * (len(world.captioner.requests) > 1)
    )
    assert [said.kind for said in world.work()] == ["new", "silent"]
    assert len(world.captioner.requests) == 2


def test_a_full_broker_costs_the_partials_only(world: World) -> None:
    world.add(masklet("cam-1"))
    world.partials.full = True
    assert world.work()[0].kind == "new"


def test_nothing_is_said_twice_of_a_standing_object(world: World) -> None:
    for _ in range(6):
        world.add(masklet("cam-1"))
    kinds = [said.kind for said in world.work()]
    assert kinds == ["new", "silent", "silent", "silent", "heartbeat", "silent"]
    assert len(world.captioner.requests) == 2, "once at first sight, once to confirm the label"


def test_an_object_that_leaves_is_said_to_be_lost(world: World) -> None:
    world.add(masklet("cam-1"))
    world.add(masklet("cam-1", frames=()), closed={"cam-1": "left"})
    world.add(masklet("cam-2"))
    said = world.work()
    assert [(s.track_ids, s.kind) for s in said] == [
        (["cam-1"], "new"),
        (["cam-1"], "lost"),
        (["cam-2"], "new"),
    ]
    assert said[1].text == "the red car has left the view" and said[1].evidence_frames == []


def test_a_track_that_vanishes_from_the_records_is_lost_once(world: World) -> None:
    world.add(masklet("cam-1"))
    world.add(masklet("cam-2"))
    world.add(masklet("cam-2"))
    kinds = [(said.track_ids[0], said.kind) for said in world.work()]
    assert kinds == [("cam-1", "new"), ("cam-1", "lost"), ("cam-2", "new"), ("cam-2", "silent")]


def test_memories_go_to_the_next_owner(world: World) -> None:
    world.add(masklet("cam-1"))
    world.work()
    world.add(masklet("cam-1"))
    assert [(said.kind, said.reason) for said in world.work()][1] == ("silent", "label confirmed")
    assert world.topic.metadata in world.store.objects


def test_lost_memories_mean_a_new_introduction_and_no_failure(world: World) -> None:
    world.add(masklet("cam-1"))
    world.work()
    del world.store.objects[world.topic.metadata]
    world.add(masklet("cam-1"))
    assert [said.kind for said in world.work()] == ["new", "new"]


def test_old_memories_are_deleted(world: World) -> None:
    for _ in range(5):
        world.add(masklet("cam-1"), masklet("cam-2", 0.1))
    world.work()
    assert len(world.store.list("narrator/")) == 2


def test_garbage_and_missing_evidence_go_to_the_dead_letters(world: World) -> None:
    world.put(b"\xff garbage")
    missing = world.add(masklet("cam-1"))
    del world.store.objects[missing.evidence_ref]
    broken = world.add(masklet("cam-1"))
    world.store.objects[broken.evidence_ref] = b"no safetensors"
    world.add(masklet("cam-1"))
    said = world.work()
    assert [s.kind for s in said] == ["new"]
    causes = [letter.cause for letter in world.letters]
    assert "ClipRecord" in causes[0]
    assert missing.evidence_ref in causes[1] and "evidence" in causes[2]
    assert [letter.met_by for letter in world.letters] == ["narrator"] * 3
    assert world.topic.offset == 4


def test_a_slow_captioner_is_asked_about_the_newest_first_and_the_rest_is_shed(world: World) -> None:
    world.captioner.takes_s = 2.0
    old, mid, new = (
        masklet("old", 0.1),
        masklet("mid", 0.4, frames=range(4, 16)),
        masklet("new", 0.7, frames=range(8, 16)),
    )
    world.add(old, mid, new)
    said = {s.track_ids[0]: s for s in world.work()}
    assert [request.request_id.split("@")[0] for request in world.captioner.requests] == ["new", "mid"]
    assert (said["old"].kind, said["old"].reason) == ("silent", "shed")
    world.add(old, mid, new)
    assert {s.track_ids[0]: s.kind for s in world.work()[3:]} == {
        "old": "new",
        "mid": "silent",
        "new": "silent",
    }


def test_clips_far_behind_are_asked_about_first_sights_only(world: World) -> None:
    world.add(masklet("cam-1"))
    world.add(masklet("cam-1", step=-0.02), masklet("cam-2", 0.1))
    world.clock.now_s += 60
    said = [(s.track_ids[0], s.kind, s.reason) for s in world.work()]
    assert said[1:] == [("cam-1", "silent", "shed"), ("cam-2", "new", "first sight")]


def test_a_captioner_that_is_down_is_not_waited_for_again_and_again(world: World) -> None:
    world.captioner.reply = lambda request: CaptionerUnavailable("gone")
    world.add(masklet("a", 0.1), masklet("b", 0.4), masklet("c", 0.7))
    world.add(masklet("a", 0.1))
    said = world.work()
    assert {s.kind for s in said if s.track_ids[0] == "a"} == {"silent"}
    assert [request.deadline_s for request in world.captioner.requests] == [20.0, 1.0]
    world.captioner.reply = lambda request: LEFT
    world.add(masklet("a", 0.1))
    assert [s.kind for s in world.work()][-1] == "new"


def test_a_refused_request_is_recorded_and_the_others_go_on(world: World) -> None:
    def reply(request: CaptionRequest) -> str | Exception:
        return CaptionRefused("refused: too many masks") if request.request_id.startswith("a@") else LEFT

    world.captioner.reply = reply
    world.add(masklet("a", 0.1), masklet("b", 0.6))
    assert [(s.kind, s.reason) for s in world.work()] == [
        ("silent", "refused: too many masks"),
        ("new", "first sight"),
    ]


def test_tentative_tracks_are_not_recorded(world: World) -> None:
    world.add(replace(masklet("cam-1"), state="tentative"))
    assert world.work() == [] and world.topic.offset == 1


def test_a_clip_that_always_fails_is_given_up(world: World) -> None:
    world.captioner.reply = lambda request: ZeroDivisionError("bug")
    world.add(masklet("cam-1"))
    narrating = Narrating(
        world.store,
        world.captioner,
        world.clock,
        Asking(question=lambda end_s, near: "?"),
        None,
        world.settings,
    )
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            world.topic.work(narrating)
    world.topic.work(narrating)
    assert "3 times" in world.letters[0].cause and world.topic.offset == 1


@pytest.mark.parametrize("at", range(14))
def test_a_crash_anywhere_loses_and_doubles_nothing(at: int) -> None:
    def told(world: World) -> list[tuple]:
        return [(s.narration_id, s.kind, s.text, s.evidence_frames) for s in world.said]

    def filled() -> World:
        world = World()
        world.captioner.reply = lambda request: (
            LEFT if int(request.request_id[-4]) % 2 else "a red car stays still"
        )
        for clip in range(4):
            world.add(masklet("cam-1", step=-0.02 * (clip % 2)), masklet("cam-2", 0.7))
        return world

    calm, rough = filled(), filled()
    calm.work()
    fuse = Fuse(at)
    rough.store.happens = rough.topic.happens = fuse
    for _ in range(3):
        try:
            rough.work()
            break
        except Crash:
            continue
    assert fuse.burnt
    assert told(rough) == told(calm)
    assert rough.topic.offset == calm.topic.offset == 4
