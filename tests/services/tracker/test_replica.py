"""The tracker as Ray Serve runs it, with the shipped weights: its process killed, another one goes on, unnoticed."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import pytest
import torch

from contracts import topics
from contracts.clips import ClipRecord
from contracts.events import TrackEvent
from contracts.segments import HEADER, SegmentHeader
from contracts.tracks import TrackUpdate
from pipelines.ledger import accounts
from pipelines.restore import TrackerMaker
from pipelines.tracking import Tracking
from services.adapters.kafka import KafkaPublisher
from services.engines import leftovers
from services.engines.ray import ServeApp
from services.engines.stack import Stack, running_stack
from services.settings import Settings
from services.tracker.app import load
from services.tracker.settings import TrackerSettings, load_tracker_settings
from synthetic.world import sample_clip
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import FakePartition
from tests.fakes.objects import MemoryObjects
from tests.fakes.video import EPOCH_START_S, Camera, as_record
from tests.services.tracker.test_app import Reader

pytestmark = [pytest.mark.connected, pytest.mark.slow, pytest.mark.timeout(900)]

APP = "tests.services.tracker.replica_app:build"
FPS, SECONDS = 2, 22
CLIPS = 6  # of four seconds, eight pictures; the last of two
CUT_S = 10  # what is sent before the kill: two clips, and half of a third one, which only the replica's memory holds
TAKEOVER_LIMIT_S = 300.0  # of a very busy machine; 20 to 40 s are usual
# Clips are to close by the film alone, however slow the machine is.
OWN = {"device": "cpu", "max_tracks": 3, "stall_s": 900, "thin_after_s": 0, "session_timeout_s": 6}

Sent = list[tuple[SegmentHeader, bytes]]


@pytest.fixture(scope="module")
def group() -> str:
    return f"r-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def serve(s3: Settings, group: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Ray Serve with one replica of the tracker on the session's Kafka and S3."""
    own = {f"STREAMREFER_TRACKER_{name.upper()}": str(value) for name, value in OWN.items()}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**s3.environment(), **own, "STREAMREFER_TRACKER_GROUP_ID": group}.items():
            if value and name not in ("STREAMREFER_DATA", "STREAMREFER_RAY_ADDRESS"):
                patch.setenv(name, value)
        with running_stack(
            tmp_path_factory.mktemp("serve"), {"ray"}, app=ServeApp(APP, ready_timeout_s=600)
        ) as stack:
            yield stack


def film(camera_id: str) -> Sent:
    """Two drawn worlds, one after the other: what was in view leaves, other things come."""
    half = SECONDS * FPS // 2
    worlds = (sample_clip(seed, "held_out", 192, 144, half, float(FPS)) for seed in (3, 5))
    pictures = [picture for world in worlds for picture in world.frames]
    camera = Camera(camera_id, EPOCH_START_S, FPS, float(FPS), pictures=pictures)
    return [*(camera.segment() for _ in range(SECONDS)), camera.end()]


def send(bootstrap: str, segments: Sent) -> None:
    with closing(KafkaPublisher(bootstrap)) as publisher:
        for header, video in segments:
            publisher.publish(topics.SEGMENTS, header.camera_id, video, {HEADER: header.to_bytes()})
        publisher.flush(60)


def unbroken(sent: Sent) -> dict[str, list]:
    """What one tracker that never dies tells of the same segments."""
    own: TrackerSettings = load_tracker_settings({}, **OWN)
    before = torch.get_num_threads()
    torch.set_num_threads(own.threads)
    try:
        store = MemoryObjects()
        trackers = TrackerMaker(store, load(own), own.model(), own.mask_side_px, own.tracks())
        partition = FakePartition([as_record(header, video, at) for at, (header, video) in enumerate(sent)])
        partition.work(Tracking(store, FakeClock(EPOCH_START_S), trackers, own.stream()))
    finally:
        torch.set_num_threads(before)
    read = {topics.CLIPS: ClipRecord, topics.EVENTS: TrackEvent, topics.TRACKS: TrackUpdate}
    return told({name: [kind.from_bytes(v) for v in partition.values(name)] for name, kind in read.items()})


def told(found: dict[str, list]) -> dict[str, list]:
    """Every clip with its objects, every event, and every track's clips, in the order told."""
    return {
        "clips": [(clip.clip_id, clip.track_ids) for clip in found[topics.CLIPS]],
        "events": [(event.event_id, event.kind, event.track_id) for event in found[topics.EVENTS]],
        "tracks": [(track.track_id, track.clip_id) for track in found[topics.TRACKS]],
    }


def replicas(stack: Stack) -> set[int]:
    """Process ids of the tracker's living replicas."""
    pids = leftovers.marked(f"{stack.run_id}/ray")
    return {pid for pid in pids if "ServeReplica" in (line := leftovers.command(pid)) and "tracker" in line}


def wait_for_another(stack: Stack, dead: set[int]) -> set[int]:
    deadline = time.monotonic() + TAKEOVER_LIMIT_S
    while not (fresh := replicas(stack) - dead) and time.monotonic() < deadline:
        time.sleep(0.5)
    return fresh


def read_to_the_end(reader: Reader, expected: dict[str, list]) -> None:
    """Clips come first: wait for what was committed with the last one, and for anything that is too much."""
    reader.wait(clips=CLIPS, limit_s=TAKEOVER_LIMIT_S)
    for _ in range(10):
        if told(reader.found) == expected:
            break
        reader.wait(clips=CLIPS)
    reader.wait(clips=CLIPS)


def test_a_killed_replica_is_taken_over_exactly(serve: Stack, kafka: str, group: str) -> None:
    camera = f"{group}-yard"
    sent = film(camera)
    expected = unbroken(sent)
    assert len(expected["clips"]) == CLIPS
    opened = [track for _, kind, track in expected["events"] if kind == "opened"]
    assert len(opened) >= 2, "the film is worth following"
    with closing(Reader(kafka, {camera})) as reader:
        send(kafka, sent[:CUT_S])
        reader.wait(clips=2, limit_s=TAKEOVER_LIMIT_S)
        first = replicas(serve)
        assert len(first) == 1 and len(reader.found[topics.CLIPS]) == 2
        send(kafka, sent[CUT_S:])
        os.kill(next(iter(first)), signal.SIGKILL)
        assert wait_for_another(serve, first), "Ray Serve has started no other replica"
        read_to_the_end(reader, expected)
    assert told(reader.found) == expected
    introduced = Counter(event.track_id for event in reader.found[topics.EVENTS] if event.kind == "opened")
    assert set(introduced.values()) == {1}
    headers = [header for header, _ in sent]
    found = [reader.found[name] for name in (topics.CLIPS, topics.GAPS, topics.EVENTS)]
    (book,) = accounts(headers, *found, narrations=[])
    assert book.discrepancies == [] and not book.gaps
    assert book.clip_s == pytest.approx(SECONDS) and book.pending_s < 0.01
    assert reader.found[topics.DEADLETTER] == []
