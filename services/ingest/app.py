"""The ingest process: follows the cameras topic and keeps one worker a wanted camera running.

Run as ``python -m services.ingest.app``; engines are found through ``services.settings``.
"""

from __future__ import annotations

import logging
import signal
import threading
import time

from kafka import TopicPartition

from contracts import topics
from contracts.base import InvalidMessage
from contracts.cameras import CameraSettings
from contracts.segments import HEADER, SegmentHeader
from pipelines.ports import ObjectStore, Publisher
from services.adapters.clock import SystemClock
from services.adapters.kafka import KafkaPublisher, committed_consumer, ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.ingest.camera import CameraWorker
from services.ingest.resume import last_segments
from services.settings import Settings, load_settings

log = logging.getLogger("streamrefer.ingest")

STOP_TIMEOUT_S = 12.0


class Fleet:
    """The workers of all wanted cameras. A camera whose settings change gets a new worker."""

    def __init__(self, publisher: Publisher, store: ObjectStore, resumed: dict[str, SegmentHeader]) -> None:
        self.publisher, self.store, self.clock = publisher, store, SystemClock()
        self.workers: dict[str, CameraWorker] = {}
        self._ends = {camera: header.end_s for camera, header in resumed.items()}
        self._gap_reason: dict[str, str] = {}
        for header in resumed.values():
            self._finish_interrupted(header)

    def apply(self, camera_id: str, wanted: CameraSettings | None) -> None:
        """Make one camera as wanted; None or paused means no worker."""
        worker = self.workers.get(camera_id)
        if worker and wanted and worker.camera.same_stream(wanted):
            worker.camera = wanted
            return
        if worker:
            self._remove(
                camera_id, "paused" if wanted and wanted.wanted == "paused" else "changed or removed"
            )
        if wanted is None or wanted.wanted == "paused":
            self._gap_reason[camera_id] = "paused"
            return
        reason = self._gap_reason.pop(camera_id, "camera_lost")
        end_s = self._ends.get(camera_id)
        new = CameraWorker(wanted, self.publisher, self.store, self.clock, end_s, reason)
        self.workers[camera_id] = new
        new.start()

    def watch(self) -> None:
        for worker in self.workers.values():
            worker.watch()

    def stop(self) -> None:
        for worker in self.workers.values():
            worker.stop("ingest is stopping")
        for camera_id in list(self.workers):
            self._remove(camera_id, "ingest is stopping")

    def _remove(self, camera_id: str, words: str) -> None:
        worker = self.workers.pop(camera_id)
        worker.stop(words)
        worker.join(STOP_TIMEOUT_S)
        if worker.last_end_s is not None:
            self._ends[camera_id] = worker.last_end_s

    def _finish_interrupted(self, header: SegmentHeader) -> None:
        """An epoch whose ingest died has no end marker: write it, so that the tracker closes its last clip."""
        if header.end is not None:
            return
        update = {
            "seq": header.seq + 1,
            "start_s": header.end_s,
            "end": "lost",
            "cause": "ingest was interrupted",
            "ref": None,
            "packets": 0,
            "size_bytes": 0,
            "ingested_at": self.clock.now(),
        }
        marker = header.model_copy(update=update)
        self.publisher.publish(topics.SEGMENTS, header.camera_id, b"", {HEADER: marker.to_bytes()})


def follow(settings: Settings, stopping: threading.Event) -> None:
    """Run until ``stopping`` is set."""
    bootstrap = settings.kafka_bootstrap
    ensure_topics(bootstrap)
    publisher = KafkaPublisher(bootstrap, delivery_timeout_s=60.0)
    store = S3Objects(ObjectsConnection.of(settings))
    store.ensure_bucket()
    fleet = Fleet(publisher, store, last_segments(bootstrap))
    try:
        _follow_cameras(bootstrap, fleet, stopping)
    finally:
        fleet.stop()
        publisher.close(5.0)


def _follow_cameras(bootstrap: str, fleet: Fleet, stopping: threading.Event) -> None:
    consumer = committed_consumer(bootstrap, max_poll_records=200)
    try:
        consumer.assign(
            [TopicPartition(topics.CAMERAS, p) for p in consumer.partitions_for_topic(topics.CAMERAS)]
        )
        consumer.seek_to_beginning()
        while not stopping.is_set():
            newest: dict[str, CameraSettings | None] = {}
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    _note(newest, record.key, record.value)
            for camera_id, wanted in newest.items():
                fleet.apply(camera_id, wanted)
            fleet.watch()
    finally:
        consumer.close()


def _note(newest: dict[str, CameraSettings | None], key: bytes | None, value: bytes | None) -> None:
    camera_id = (key or b"").decode(errors="replace")
    try:
        newest[camera_id] = CameraSettings.from_bytes(value) if value else None
    except InvalidMessage as error:
        log.warning("cameras topic: ignoring settings of %r: %s", camera_id, error)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.is_set():
        try:
            follow(load_settings(), stopping)
        except Exception:  # an engine away for long: begin anew rather than die with every camera
            log.exception("ingest starts anew in 2 s")
            time.sleep(2.0)


if __name__ == "__main__":
    main()
