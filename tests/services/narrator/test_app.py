"""The narrator on real engines: clips in, words out, exactly once, over a change of owner."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import wait

import numpy as np
import pytest
from kafka import TopicPartition

from contracts import topics
from contracts.base import Message
from contracts.cameras import CameraSettings
from contracts.clips import ClipFrame, ClipRecord, SourceRange, clip_id
from contracts.deadletter import DeadLetter
from contracts.narrations import Narration, Partial
from operators.types import Masklet
from pipelines.evidence import Evidence
from services.adapters.kafka import KafkaPublisher, committed_consumer, ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.engines.stack import Stack
from services.narrator.app import NarratorService
from services.narrator.settings import NarratorSettings, load_narrator_settings
from services.replica import ReplicaUnhealthy
from services.settings import Settings, SettingsError

PATIENCE_S = 90.0


@pytest.fixture
def settings(s3: Settings, captioner_server: Stack) -> Settings:
    """All three engines; the topics exist."""
    ensure_topics(s3.kafka_bootstrap)
    return s3.model_copy(update={"triton_url": captioner_server.settings.triton_url})


class Camera:
    """A camera of its own in topics that tests share; one standing object, seen in every clip."""

    def __init__(self, settings: Settings) -> None:
        self.id = f"cam-{uuid.uuid4().hex[:8]}"
        self.settings = settings
        self.start_s = time.time() - 60
        keys = settings.s3_access_key, settings.s3_secret_key.get_secret_value()
        self.store = S3Objects(ObjectsConnection(settings.s3_endpoint, *keys, settings.s3_bucket))
        self.publisher = KafkaPublisher(settings.kafka_bootstrap)

    def clip(self, index: int, evidence: bool = True) -> None:
        begin, epoch = self.start_s + 4 * index, round(self.start_s * 1000)
        times = tuple(begin + 0.25 * frame for frame in range(16))
        record = ClipRecord(
            clip_id=clip_id(self.id, epoch, index),
            camera_id=self.id,
            epoch=epoch,
            index=index,
            start_s=begin,
            end_s=begin + 4,
            frames=[ClipFrame(index=i, pts_s=at - begin, time_s=at) for i, at in enumerate(times)],
            width_px=96,
            height_px=72,
            closed_by="full",
            source=SourceRange(partition=0, first_offset=0, last_offset=0),
            evidence_ref=f"clips/{self.id}/{index}/evidence.safetensors",
            track_ids=[f"{self.id}-1"],
            model="none",
            captured_at=time.time(),
            committed_at=time.time(),
        )
        if evidence:
            self.store.put(record.evidence_ref, self._evidence(epoch, index, begin, times).to_bytes())
        self.publish(record.to_bytes())

    def publish(self, value: bytes) -> None:
        wait([self.publisher.publish(topics.CLIPS, self.id, value)], timeout=20)

    def read(self, topic: str, message: type[Message], enough: Callable[[list], bool]) -> list:
        """Committed messages of this camera, as soon as there are enough of them."""
        consumer = committed_consumer(self.settings.kafka_bootstrap)
        try:
            consumer.assign([TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))])
            consumer.seek_to_beginning()
            found: list = []
            deadline = time.monotonic() + PATIENCE_S
            while not enough(found) and time.monotonic() < deadline:
                for records in consumer.poll(timeout_ms=300).values():
                    found += [message.from_bytes(r.value) for r in records if r.key == self.id.encode()]
            assert enough(found), f"{len(found)} messages on {topic} within {PATIENCE_S:.0f} s"
            return found
        finally:
            consumer.close()

    def _evidence(self, epoch: int, index: int, begin: float, times: tuple[float, ...]) -> Evidence:
        masks = np.zeros((16, 18, 24), bool)
        masks[:, 4:12, 6:16] = True
        boxes = np.tile(np.array([6 / 24, 4 / 18, 16 / 24, 12 / 18], np.float32), (16, 1))
        masklet = Masklet(f"{self.id}-1", masks, boxes, np.ones(16, np.float32), "active")
        picture = np.random.default_rng(1).integers(0, 255, (72, 96, 3), np.uint8)
        return Evidence(
            self.id, epoch, index, begin, begin + 4, (picture,) * 16, times, times, masklets=(masklet,)
        )


@pytest.fixture
def camera(settings: Settings) -> Iterator[Camera]:
    camera = Camera(settings)
    yield camera
    camera.publisher.close()


@pytest.fixture
def narrator(settings: Settings) -> Iterator[Callable[[], NarratorService]]:
    """Starts members of one consumer group, one after another under one name; stops them at the end."""
    group = f"narrator-{uuid.uuid4().hex[:8]}"
    started: list[NarratorService] = []

    def start() -> NarratorService:
        service = NarratorService(settings, NarratorSettings(name=group, group_id=group))
        started.append(service)
        service.start()
        return service

    yield start
    for service in started:
        service.stop()


def test_clips_become_words_once_over_a_change_of_owner(camera: Camera, narrator) -> None:
    first = narrator()
    camera.clip(0)
    (new,) = camera.read(topics.NARRATIONS, Narration, lambda found: len(found) == 1)
    assert new.kind == "new" and new.text and new.tokens.output > 0 and "@" in new.model
    assert new.delay_s > 0 and new.prompt_version and set(new.stage_s) >= {"fetch", "captioner", "decode"}
    partials = camera.read(topics.PARTIALS, Partial, lambda found: bool(found) and found[-1].text == new.text)
    assert [partial.seq for partial in partials] == list(range(len(partials)))
    assert {partial.narration_id for partial in partials} == {new.narration_id}
    first.check()
    first.stop()
    camera.clip(1)
    narrator()
    camera.clip(2)
    said = camera.read(topics.NARRATIONS, Narration, lambda found: len(found) == 3)
    assert [narration.kind for narration in said] == ["new", "silent", "silent"], "the object is remembered"
    assert len({narration.narration_id for narration in said}) == 3


def test_a_cameras_style_counts_from_its_next_clip(camera: Camera, narrator) -> None:
    def want(**wording) -> None:
        wanted = CameraSettings(camera_id=camera.id, source="none", created_at=camera.start_s, **wording)
        wait([camera.publisher.publish(topics.CAMERAS, camera.id, wanted.to_bytes())], timeout=20)

    want(style="short")
    narrator()
    camera.clip(0)
    (first,) = camera.read(topics.NARRATIONS, Narration, lambda found: len(found) == 1)
    assert (first.style, first.prompt_id) == ("short", "brief") and first.prompt_version
    want(style="detailed")
    camera.clip(1)
    asked = camera.read(topics.NARRATIONS, Narration, lambda found: len(found) == 2)[1]
    assert asked.prompt_id in ("brief", "detail"), "the change travels beside the clips"
    camera.clip(2)
    last = camera.read(topics.NARRATIONS, Narration, lambda found: len(found) == 3)[2]
    assert last.prompt_id in ("", "detail"), "silence was not asked for"
    wait([camera.publisher.publish(topics.CAMERAS, camera.id, None)], timeout=20)


def test_garbage_and_missing_evidence_are_dead_letters_and_work_goes_on(camera: Camera, narrator) -> None:
    narrator()
    camera.publish(b"{garbage")
    camera.clip(0, evidence=False)
    camera.clip(1)
    (said,) = camera.read(topics.NARRATIONS, Narration, lambda found: len(found) == 1)
    assert said.kind == "new"
    letters = camera.read(topics.DEADLETTER, DeadLetter, lambda found: len(found) == 2)
    assert "ClipRecord" in letters[0].cause and "is not in the object store" in letters[1].cause
    assert {letter.met_by for letter in letters} == {"narrator"}


def test_a_thread_that_died_or_hangs_is_unhealthy(settings: Settings) -> None:
    service = NarratorService(settings, NarratorSettings(name="unstarted", group_id="unstarted"))
    with pytest.raises(ReplicaUnhealthy, match="its thread has ended"):
        service.check()
    stuck = NarratorService(settings, NarratorSettings(name="stuck", group_id="stuck", stuck_s=1e-6))
    stuck.start()
    try:
        with pytest.raises(ReplicaUnhealthy, match="no poll"):
            stuck.check()
    finally:
        stuck.stop()


def test_missing_addresses_are_named() -> None:
    with pytest.raises(SettingsError, match="kafka_bootstrap, s3_endpoint, triton_url"):
        NarratorService(Settings(), NarratorSettings(name="n"))


def test_settings_come_from_variables_and_wrong_ones_are_named() -> None:
    assert (
        load_narrator_settings({"STREAMREFER_NARRATOR_QUIET_LIMIT_S": "7"}).narration().describe.quiet_limit_s
        == 7
    )
    with pytest.raises(SettingsError, match="STREAMREFER_NARRATOR_MAX_NEW_TOKENS"):
        load_narrator_settings({"STREAMREFER_NARRATOR_MAX_NEW_TOKENS": "many"})
