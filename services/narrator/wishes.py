"""The cameras' settings as the narrator needs them: read from their topic by a thread, looked up by camera id."""

from __future__ import annotations

import logging
import threading

from kafka import KafkaConsumer, TopicPartition

from contracts import topics
from contracts.base import InvalidMessage
from contracts.cameras import CameraSettings
from services.adapters.kafka import committed_consumer

log = logging.getLogger("streamrefer.narrator")

RETRY_S = 2.0


class CameraWishes:
    """Newest settings of every camera. While the broker is away the last ones known count."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._cameras: dict[str, CameraSettings] = {}
        self._read_once = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera-wishes", daemon=True)

    def start(self, timeout_s: float = 10.0) -> None:
        """Begin to read; returns when all that is there has been read, or after the time given."""
        self._thread.start()
        if not self._read_once.wait(timeout_s):
            log.warning("the cameras' settings are not read yet; until then all are narrated in detail")

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def of(self, camera_id: str) -> CameraSettings | None:
        """The camera's settings; None for one that was removed or never heard of."""
        return self._cameras.get(camera_id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception:  # the broker may be away for long; what is known stays
                log.exception("the cameras' settings are read anew in %.0f s", RETRY_S)
                self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        consumer: KafkaConsumer = committed_consumer(self._bootstrap, max_poll_records=200)
        try:
            parts = [TopicPartition(topics.CAMERAS, p) for p in consumer.partitions_for_topic(topics.CAMERAS)]
            consumer.assign(parts)
            ends = consumer.end_offsets(parts)
            consumer.seek_to_beginning()
            while not self._stopping.is_set():
                for records in consumer.poll(timeout_ms=500).values():
                    for record in records:
                        self._note((record.key or b"").decode(errors="replace"), record.value)
                if all(consumer.position(part) >= ends[part] for part in parts):
                    self._read_once.set()
        finally:
            consumer.close()

    def _note(self, camera_id: str, value: bytes | None) -> None:
        if not value:
            self._cameras.pop(camera_id, None)
            return
        try:
            self._cameras[camera_id] = CameraSettings.from_bytes(value)
        except InvalidMessage as error:
            log.warning("cameras topic: ignoring settings of %r: %s", camera_id, error)
