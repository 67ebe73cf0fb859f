"""The tracker on a real broker and object store: killed on the way, every clip is there once."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from kafka import TopicPartition

from contracts import topics
from contracts.base import Message
from contracts.clips import ClipRecord
from contracts.deadletter import DeadLetter
from contracts.events import Gap, TrackEvent
from contracts.segments import HEADER
from contracts.tracks import TrackUpdate
from pipelines.evidence import Evidence
from services.adapters.kafka import KafkaPublisher, committed_consumer, ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.replica import ReplicaUnhealthy
from services.settings import Settings, SettingsError
from services.tracker.app import TrackerService
from services.tracker.settings import load_tracker_settings
from tests.fakes.segmenter import ColourSegmenter
from tests.fakes.video import EPOCH_START_S, Camera

SECONDS = 18
CLIPS = 5  # of four seconds each, the last of two


class Mortal(ColourSegmenter):
    """Dies at the clips whose number in the process is listed."""

    born = 0
    dies_at: frozenset[int] = frozenset()

    def begin_clip(self, pictures: list[np.ndarray]) -> None:
        type(self).born += 1
        if type(self).born in self.dies_at:
            raise RuntimeError("killed on the way")
        super().begin_clip(pictures)


class Reader:
    """Everything committed about some cameras."""

    def __init__(self, bootstrap: str, cameras: set[str]) -> None:
        self.cameras = {camera.encode() for camera in cameras}
        self.names = {
            topics.CLIPS: ClipRecord,
            topics.TRACKS: TrackUpdate,
            topics.EVENTS: TrackEvent,
            topics.GAPS: Gap,
            topics.DEADLETTER: DeadLetter,
        }
        self.found: dict[str, list[Message]] = {name: [] for name in self.names}
        self.consumer = committed_consumer(bootstrap)
        parts = [TopicPartition(n, p) for n in self.names for p in range(topics.PARTITIONS)]
        self.consumer.assign(parts)

    def wait(self, clips: int, letters: int = 0, limit_s: float = 120.0) -> None:
        deadline = time.monotonic() + limit_s
        enough = False
        while not enough and time.monotonic() < deadline:
            self._poll(200)
            enough = len(self.found[topics.CLIPS]) >= clips and len(self.found[topics.DEADLETTER]) >= letters
        self._poll(1500)

    def close(self) -> None:
        self.consumer.close()

    def _poll(self, timeout_ms: int) -> None:
        for where, records in self.consumer.poll(timeout_ms).items():
            kept = [record.value for record in records if record.key in self.cameras]
            self.found[where.topic] += [self.names[where.topic].from_bytes(value) for value in kept]


@pytest.fixture
def objects(s3: Settings) -> S3Objects:
    return S3Objects(
        ObjectsConnection(
            s3.s3_endpoint, s3.s3_access_key, s3.s3_secret_key.get_secret_value(), s3.s3_bucket, s3.s3_secure
        )
    )


def service(stack: Settings, group: str, name: str, kind: type[ColourSegmenter]) -> TrackerService:
    own = load_tracker_settings({}, name=f"{group}-{name}", group_id=group, session_timeout_s=4.0)
    return TrackerService(stack, own, lambda size: kind())


def publish(bootstrap: str, cameras: list[Camera]) -> None:
    """Side by side, with one undecodable record between that belongs to no epoch."""
    ensure_topics(bootstrap)
    publisher = KafkaPublisher(bootstrap)
    for second in range(SECONDS + 1):
        for camera in cameras:
            header, video = camera.segment() if second < SECONDS else camera.end()
            publisher.publish(topics.SEGMENTS, camera.camera_id, video, {HEADER: header.to_bytes()})
        if second == 6:
            publisher.publish(topics.SEGMENTS, cameras[0].camera_id, b"\x00garbage")
    publisher.flush(30)
    publisher.close()


def test_members_that_die_and_change_leave_every_clip_once(
    s3: Settings, kafka: str, objects: S3Objects
) -> None:
    group = f"t-{uuid.uuid4().hex[:8]}"
    names = [f"{group}-{i}" for i in range(3)]
    publish(kafka, [Camera(name, EPOCH_START_S + i, picture_limit=150) for i, name in enumerate(names)])

    class Dies(Mortal):
        dies_at = frozenset({2, 6, 7})

    with closing(Reader(kafka, set(names))) as reader:
        change_members(s3, group, Dies, reader, CLIPS * len(names))
    clips = reader.found[topics.CLIPS]
    assert {n for n in Counter(c.clip_id for c in clips).values()} == {1}
    for name in names:
        spans = sorted((c.start_s, c.end_s) for c in clips if c.camera_id == name)
        assert len(spans) == CLIPS and spans[-1][1] - spans[0][0] == pytest.approx(SECONDS)
        assert all(a[1] == b[0] for a, b in zip(spans, spans[1:], strict=False))
    assert reader.found[topics.GAPS] == []
    assert [letter.value for letter in reader.found[topics.DEADLETTER]] == [b"\x00garbage"]
    opened = Counter(e.track_id for e in reader.found[topics.EVENTS] if e.kind == "opened")
    assert len(opened) == 2 * len(names) and set(opened.values()) == {1}
    updates = Counter((t.track_id, t.clip_id) for t in reader.found[topics.TRACKS])
    assert len(updates) == 2 * CLIPS * len(names) and set(updates.values()) == {1}
    assert_all_stored(reader, objects)


def change_members(
    stack: Settings, group: str, kind: type[ColourSegmenter], reader: Reader, clips: int
) -> None:
    """The first member dies now and then and is taken out while a second one joins."""
    first = service(stack, group, "one", kind)
    first.start()
    reader.wait(clips=6)
    second = service(stack, group, "two", ColourSegmenter)
    second.start()
    time.sleep(1.0)
    first.stop()
    reader.wait(clips=clips, letters=1)
    second.check()
    second.stop()


def assert_all_stored(reader: Reader, objects: S3Objects) -> None:
    for clip in reader.found[topics.CLIPS]:
        evidence = Evidence.from_bytes(objects.get(clip.evidence_ref))
        assert [m.track_id for m in evidence.masklets] == clip.track_ids
        assert objects.exists(clip.video_ref)
    for track in reader.found[topics.TRACKS]:
        assert not track.frames or (objects.exists(track.crop_ref) and objects.exists(track.mask_ref))


def test_a_dead_thread_is_unhealthy(s3: Settings) -> None:
    one = service(s3, "t-unstarted", "one", ColourSegmenter)
    with pytest.raises(ReplicaUnhealthy, match="thread has ended"):
        one.check()


def test_missing_engines_and_weights_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="kafka_bootstrap, s3_endpoint"):
        TrackerService(Settings(), load_tracker_settings({}))
    reachable = Settings(kafka_bootstrap="127.0.0.1:1", s3_endpoint="127.0.0.1:2")
    with pytest.raises(SettingsError, match=r"config\.json is not there"):
        TrackerService(reachable, load_tracker_settings({}, weights=tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "weights.safetensors").write_bytes(b"not weights")
    with pytest.raises(SettingsError, match="cannot be used"):
        TrackerService(reachable, load_tracker_settings({}, weights=tmp_path))
    with pytest.raises(SettingsError, match="STREAMREFER_TRACKER_THREADS"):
        load_tracker_settings({"STREAMREFER_TRACKER_THREADS": "many"})
