"""Prompts through the tracker's commits: in their clip, on their frame, once, answered, whatever breaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from contracts import topics
from contracts.clips import ClipRecord
from contracts.events import Gap, TrackEvent
from contracts.prompts import PromptAnswer, TrackPrompt
from contracts.tracks import TrackUpdate
from operators.track import TrackSettings
from operators.types import Clip, Frame
from pipelines.inbox import CAMERAS_KEPT, PROMPTS_KEPT, PromptInbox
from pipelines.ports import Record
from pipelines.prompt_book import PromptBook
from pipelines.prompting import MOST_A_CLIP, MOST_WAITING, SILENT_S, frame_of
from pipelines.restore import TrackerMaker
from pipelines.tracking import Tracking
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import Crash, FakePartition, Fuse
from tests.fakes.objects import MemoryObjects
from tests.fakes.segmenter import ColourSegmenter
from tests.fakes.video import EPOCH_START_S as START_S
from tests.fakes.video import Camera, as_record

ALONE = TrackSettings(grid_every=0, motion_every=0)
"""Nothing is found but what people mark."""


class RoughSegmenter(ColourSegmenter):
    """Knows colours also after JPEG has touched them."""

    def begin_clip(self, pictures: Sequence[np.ndarray]) -> None:
        super().begin_clip([(picture.astype(int) + 40) // 80 * 80 for picture in pictures])


def tracking(store: MemoryObjects, inbox: PromptInbox, clock: FakeClock | None = None) -> Tracking:
    makers = TrackerMaker(store, lambda size: RoughSegmenter(), "colours", settings=ALONE)
    return Tracking(store, clock or FakeClock(START_S), makers, inbox=inbox)


def prompt(number: int = 1, kind: str = "follow", **fields) -> TrackPrompt:
    """A click on the upper square (red value 80) as it is at the very beginning, unless said otherwise."""
    given = {
        "prompt_id": f"p-{number}",
        "kind": kind,
        "camera_id": "door",
        "asked_at": START_S,
        "valid_until": START_S + 30,
        **fields,
    }
    if kind in ("follow", "correct"):
        given = {"mark": {"points": [{"x": 20 / 128, "y": 24 / 96}]}, **given}
    return TrackPrompt.model_validate(given)


def inbox_of(*prompts: TrackPrompt) -> PromptInbox:
    inbox = PromptInbox()
    for offset, one in enumerate(prompts):
        inbox.take(one.to_bytes(), offset, START_S)
    return inbox


def segments(seconds: int, camera: Camera | None = None, first: int = 0) -> list[Record]:
    camera = camera or Camera()
    return [as_record(*camera.segment(), first + at) for at in range(seconds)]


def answers(partition: FakePartition) -> list[PromptAnswer]:
    return [PromptAnswer.from_bytes(value) for value in partition.values(topics.PROMPTS)]


def play(
    inbox: PromptInbox, seconds: int = 8, clock: FakeClock | None = None
) -> tuple[FakePartition, MemoryObjects]:
    partition, store = FakePartition(segments(seconds)), MemoryObjects()
    partition.work(tracking(store, inbox, clock))
    return partition, store


def frames_of(partition: FakePartition, track_id: str) -> list[float]:
    updates = [TrackUpdate.from_bytes(value) for value in partition.values(topics.TRACKS)]
    return [frame.time_s - START_S for u in updates if u.track_id == track_id for frame in u.frames]


def test_a_click_is_followed_from_the_marked_picture_on_and_answered_in_the_clips_transaction() -> None:
    there = {"points": [{"x": 36 / 128, "y": 24 / 96}]}
    partition, store = play(inbox_of(prompt(at_s=START_S + 1.1, name="Tom", mark=there)))
    (answer,) = answers(partition)
    assert (answer.code, answer.name, answer.deed, answer.prompt_id) == ("followed", "Tom", "follow", "p-1")
    assert answer.time_s == START_S + 1.0, "the sampled frame next to the time"
    assert answer.box and answer.mask and answer.mask.height == 96
    assert frames_of(partition, answer.track_id)[:2] == [1.0, 1.25]
    first = {out.topic for out in partition.outputs[:4]}
    assert first == {topics.TRACKS, topics.EVENTS, topics.CLIPS, topics.PROMPTS}
    clips = [ClipRecord.from_bytes(value) for value in partition.values(topics.CLIPS)]
    assert [clip.names for clip in clips] == [{answer.track_id: "Tom"}] * 2
    assert clips[0].clip_id == answer.clip_id and store.exists(clips[0].evidence_ref)
    updates = [TrackUpdate.from_bytes(value) for value in partition.values(topics.TRACKS)]
    assert {(u.name, u.pinned) for u in updates} == {("Tom", None)}


def test_deeds_without_a_mark_take_effect_one_after_the_other() -> None:
    track = f"door-{round(START_S * 1000)}-0001"
    inbox = inbox_of(
        prompt(1, at_s=START_S + 0.1),
        prompt(2, "rename", track_id=track, name="Ann", asked_at=START_S + 0.6),
        prompt(3, "pin", track_id=track, asked_at=START_S + 1.2),
    )
    camera, store = Camera(), MemoryObjects()
    partition = FakePartition(segments(4, camera))
    partition.work(tracking(store, inbox))
    later = [
        prompt(4, "drop", track_id=track, asked_at=START_S + 5.2),
        prompt(5, "unpin", track_id=track, asked_at=START_S + 6.0),
    ]
    for offset, one in enumerate(later, start=3):
        inbox.take(one.to_bytes(), offset, START_S)
    partition.records += segments(4, camera, first=4)
    partition.work(tracking(store, inbox))
    told = [
        (a.prompt_id, a.code, None if a.time_s is None else a.time_s - START_S) for a in answers(partition)
    ]
    assert told == [
        ("p-1", "followed", 0.0),
        ("p-2", "renamed", 0.75),
        ("p-3", "pinned", 1.25),
        ("p-4", "dropped", 5.25),
        ("p-5", "track_unknown", None),
    ]
    events = [TrackEvent.from_bytes(value) for value in partition.values(topics.EVENTS)]
    assert [(e.kind, e.reason) for e in events] == [("opened", None), ("closed", "dropped")]


def test_a_click_on_a_past_picture_follows_the_object_to_the_present() -> None:
    inbox, camera, store = PromptInbox(), Camera(), MemoryObjects()
    partition = FakePartition(segments(4, camera))
    worker = tracking(store, inbox)
    partition.work(worker)
    x = (8 + 2 * 16 + 12) / 128  # where the upper square was after two seconds
    click = prompt(at_s=START_S + 2.0, mark={"points": [{"x": x, "y": 24 / 96}]})
    inbox.take(click.to_bytes(), 0, START_S)
    for record in segments(4, camera, first=4):
        for commit in worker.handle(record):
            partition.transact(commit)
    (answer,) = answers(partition)
    assert (answer.code, answer.time_s) == ("followed", START_S + 4.0), answer.words
    assert answer.box == pytest.approx((72 / 128, 12 / 96, 96 / 128, 36 / 96), abs=0.02)
    assert frames_of(partition, answer.track_id)[0] == 4.0
    assert answer.trail is not None, "from the very picture that was clicked"
    assert [passing.time_s - START_S for passing in answer.trail] == [2.0 + at / 4 for at in range(8)]
    assert answer.trail[0].box == pytest.approx((40 / 128, 12 / 96, 64 / 128, 36 / 96), abs=0.02)
    again = PromptBook.of("door", {})
    again.note(0, answer)
    assert again.entry(answer.prompt_id).answer.trail is None, "checkpoints stay small"


def test_a_correction_on_a_past_picture_keeps_the_id() -> None:
    inbox, camera, store = inbox_of(prompt(at_s=START_S)), Camera(), MemoryObjects()
    partition = FakePartition(segments(4, camera))
    partition.work(tracking(store, inbox))
    track = answers(partition)[0].track_id
    x = (8 + 2 * 16 + 16 + 12) / 128  # the lower square after two seconds
    wanted = prompt(
        2, "correct", track_id=track, at_s=START_S + 2.0, mark={"points": [{"x": x, "y": 64 / 96}]}
    )
    inbox.take(wanted.to_bytes(), 7, START_S)
    partition.records += segments(4, camera, first=4)
    partition.work(tracking(store, inbox))  # another replica: what is held comes from the store
    assert [(a.code, a.track_id) for a in answers(partition)] == [("followed", track), ("corrected", track)]
    newest = TrackUpdate.from_bytes(partition.values(topics.TRACKS)[-1])
    assert newest.track_id == track and newest.frames[0].box[1] == pytest.approx(52 / 96, abs=0.02)


@pytest.mark.parametrize("cut", [False, True], ids=["gone", "long ago"])
def test_pictures_that_are_not_held_any_more_are_refused(cut: bool) -> None:
    inbox, camera, store = PromptInbox(), Camera(), MemoryObjects()
    partition, worker = FakePartition(segments(4, camera)), tracking(store, inbox)
    partition.work(worker)
    if not cut:
        store.delete(ClipRecord.from_bytes(partition.values(topics.CLIPS)[0]).evidence_ref)
    at_s = START_S + (-3.0 if cut else 2.0)
    inbox.take(prompt(at_s=at_s).to_bytes(), 0, START_S)
    for record in segments(4, camera, first=4):
        for commit in worker.handle(record):
            partition.transact(commit)
    assert [a.code for a in answers(partition)] == ["too_old"]


def test_a_clip_that_somebody_waits_for_is_closed_at_once() -> None:
    inbox, camera, store = PromptInbox(), Camera(), MemoryObjects()
    worker, partition = tracking(store, inbox), FakePartition(segments(2, camera))
    partition.work(worker)
    assert partition.outputs == []
    inbox.take(prompt(at_s=START_S + 0.1).to_bytes(), 0, START_S)
    inbox.take(prompt(2, at_s=START_S + 2.1).to_bytes(), 1, START_S)
    for commit in worker.tick():
        partition.transact(commit)
    assert [(a.prompt_id, a.code) for a in answers(partition)] == [("p-1", "followed")]
    assert list(worker.tick()) == [], "nobody waits for more"
    for record in segments(3, camera, first=2):
        for commit in worker.handle(record):
            partition.transact(commit)
        for commit in worker.tick():
            partition.transact(commit)
    clips = [ClipRecord.from_bytes(value) for value in partition.values(topics.CLIPS)]
    assert [(c.start_s - START_S, c.end_s - START_S) for c in clips] == [(0, 2), (2, 3)]
    assert [frame.index for clip in clips for frame in clip.frames] == list(range(12))
    assert {a.prompt_id for a in answers(partition)} == {"p-1", "p-2"}


def test_a_crash_anywhere_changes_neither_ids_nor_answers() -> None:
    track = f"door-{round(START_S * 1000)}-0001"
    given = [
        prompt(1, at_s=START_S + 2.0),
        prompt(2, "rename", track_id=track, name="Ann", asked_at=START_S + 5),
        prompt(3, at_s=START_S + 5.0, mark={"box": (0.0, 0.5, 1.0, 1.0)}),
    ]

    slow = Camera(fps=2, sample_fps=1.0, picture_limit=20)
    records = [as_record(*slow.segment(), at) for at in range(9)]

    def run(fuse: Fuse) -> tuple[FakePartition, MemoryObjects]:
        partition, store, inbox = FakePartition(records, fuse), MemoryObjects(fuse), inbox_of(*given)
        for _ in range(2):
            try:
                partition.work(tracking(store, inbox))
                return partition, store
            except Crash:
                continue
        raise AssertionError("crashed twice")

    def all_of(partition: FakePartition) -> list[str]:
        told = [f"{a.prompt_id} {a.code} {a.track_id} {a.time_s}" for a in answers(partition)]
        clips = [ClipRecord.from_bytes(value) for value in partition.values(topics.CLIPS)]
        events = [TrackEvent.from_bytes(value).event_id for value in partition.values(topics.EVENTS)]
        return [*told, *events, *(f"{c.evidence_ref} {c.track_ids} {c.names}" for c in clips)]

    whole = all_of(run(Fuse(10_000))[0])
    assert sum(" followed " in line for line in whole) == 2 and any(" renamed " in line for line in whole)
    for at in range(200):
        fuse = Fuse(at)
        partition, store = run(fuse)
        if not fuse.burnt:
            break
        assert all_of(partition) == whole, f"after crash {at}"
    assert at > 10


def test_a_prompt_sent_twice_takes_effect_once_and_is_answered_by_the_first_answer() -> None:
    inbox, camera, store = inbox_of(prompt(at_s=START_S)), Camera(), MemoryObjects()
    partition = FakePartition(segments(4, camera))
    partition.work(tracking(store, inbox))
    inbox.take(prompt(at_s=START_S + 6.0).to_bytes(), 9, START_S)
    partition.records += segments(8, camera, first=4)
    partition.work(tracking(store, inbox))
    first, again = answers(partition)
    assert first.mask is not None and again == first.model_copy(update={"mask": None})
    assert len({out.key for out in partition.outputs}) == 1
    opened = [TrackEvent.from_bytes(v).kind for v in partition.values(topics.EVENTS)]
    assert opened == ["opened"]


def test_answers_on_the_topic_take_prompts_out_of_the_inbox() -> None:
    inbox = inbox_of(prompt())
    (answer,) = answers(play(inbox_of(prompt(at_s=START_S)))[0])
    inbox.take(answer.to_bytes(), 1, START_S)
    assert inbox.of("door") == []
    inbox.take(b"no record", 2, START_S)
    inbox.take(None, 3, START_S)
    assert inbox.of("door") == []


def test_too_many_prompts_and_too_late_ones_are_refused_and_the_rest_spread_over_clips() -> None:
    box = {"mark": {"box": (0.9, 0.4, 1.0, 0.45)}, "at_s": START_S + 1.0}  # nothing is there
    many = [prompt(n, **box) for n in range(MOST_WAITING + 2)]
    late = prompt(90, asked_at=START_S - 20, valid_until=START_S - 1)
    partition, _ = play(inbox_of(late, *many))
    told = {a.prompt_id: a for a in answers(partition)}
    assert told["p-90"].code == "too_late"
    assert [told[f"p-{n}"].code for n in (MOST_WAITING, MOST_WAITING + 1)] == ["too_many_prompts"] * 2
    met = [a for a in answers(partition) if a.code == "nothing_there"]
    assert [a.clip_id[-1] for a in met[:MOST_A_CLIP]] == ["0"] * MOST_A_CLIP
    assert len(told) == len(answers(partition)), "each is answered once"


def test_a_silent_cameras_prompts_are_refused_by_the_clock() -> None:
    clock, inbox = FakeClock(START_S), PromptInbox()
    partition, store = FakePartition(segments(4)), MemoryObjects()
    worker = tracking(store, inbox, clock)
    partition.work(worker)
    inbox.take(prompt(at_s=START_S + 60).to_bytes(), 0, START_S)
    inbox.take(prompt(2, camera_id="elsewhere").to_bytes(), 1, START_S)
    clock.sleep(30.0)
    assert list(worker.tick()) == []
    clock.sleep(SILENT_S + 1)
    for commit in worker.tick():
        partition.transact(commit)
    (answer,) = answers(partition)
    assert (answer.prompt_id, answer.code) == ("p-1", "too_late") and "silent or behind" in answer.words
    assert list(worker.tick()) == [] and len(inbox.of("elsewhere")) == 1


def test_a_poisonous_prompt_costs_no_clip() -> None:
    class Explodes(RoughSegmenter):
        def add_object(self, prompt):
            raise RuntimeError("out of memory")

    store, inbox = MemoryObjects(), inbox_of(prompt(at_s=START_S))
    partition = FakePartition(segments(4))
    maker = TrackerMaker(store, lambda size: Explodes(), "colours", settings=ALONE)
    worker = Tracking(store, FakeClock(START_S), maker, inbox=inbox)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            partition.work(worker)
        worker.revoked(0)
    partition.work(worker)
    assert len(partition.values(topics.CLIPS)) == 1 and not partition.values(topics.GAPS)
    assert [a.code for a in answers(partition)] == ["failed"]
    assert [Gap.from_bytes(v) for v in partition.values(topics.GAPS)] == []


def test_the_inbox_is_bounded() -> None:
    inbox = inbox_of(*(prompt(n) for n in range(PROMPTS_KEPT + 5)))
    assert [a.prompt.prompt_id for a in inbox.of("door")][-1] == f"p-{PROMPTS_KEPT - 1}"
    for n in range(CAMERAS_KEPT):
        inbox.take(prompt(n, camera_id=f"c{n}").to_bytes(), n, START_S)
    assert inbox.of("door") == [] and len(inbox.of("c0")) == 1
    inbox.take(prompt(1, camera_id="c0").to_bytes(), 5, START_S + 1000)
    assert [a.offset for a in inbox.of("c0")] == [0], "what is too old is not taken"


@pytest.mark.parametrize(
    ("fields", "frame"),
    [
        ({"at_s": START_S + 0.6}, 2),
        ({"at_s": START_S - 0.1}, -1),
        ({"at_s": START_S + 1.0}, None),
        ({"asked_at": START_S + 0.3}, 2),
        ({"asked_at": START_S - 9}, 0),
        ({"asked_at": START_S + 0.9}, 3),
        ({"asked_at": START_S + 1.1}, None),
        ({"kind": "pin", "track_id": "a", "asked_at": START_S + 9}, 3),
        ({"kind": "pin", "track_id": "a", "asked_at": START_S + 9, "at_s": START_S - 9}, 3),
    ],
)
def test_where_in_a_clip_a_prompt_takes_effect(fields: dict, frame: int | None) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    frames = tuple(Frame(pixels, at / 4, START_S + at / 4, at) for at in range(4))
    clip = Clip("door", 1, 0, frames, START_S, START_S + 1.0, "full")
    asked_at = fields.get("asked_at", START_S)
    assert frame_of(prompt(**{**fields, "valid_until": asked_at + 20}), clip) == frame
