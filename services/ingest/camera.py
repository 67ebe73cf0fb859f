"""One camera's worker: connect, stream, and connect again for ever, with its state told on every change."""

from __future__ import annotations

import logging
import random
import threading
from typing import Literal

import av

from contracts import topics
from contracts.cameras import CameraSettings
from contracts.events import CameraState, CameraStateChanged
from contracts.segments import EndCause
from pipelines.ingest import Break, SegmentCutter, TimedPacket
from pipelines.ports import Clock, ObjectStore, Publisher
from services.ingest.delivery import Delivery, Undelivered
from services.ingest.epoch import Epoch, publish_gap
from services.ingest.source import Source, SourceError, is_file

log = logging.getLogger("streamrefer.ingest")

BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
SILENCE_S = 3.0
LOOP_SLACK_S = 2.0

Outcome = Literal["done", "retry", "again"]  # nothing more to come, connect after a wait, connect at once


class CameraWorker(threading.Thread):
    """Reads one source until stopped. ``last_end_s`` is the camera time already accounted for, if any."""

    def __init__(
        self,
        camera: CameraSettings,
        publisher: Publisher,
        store: ObjectStore,
        clock: Clock,
        last_end_s: float | None = None,
        gap_reason: str = "camera_lost",
    ) -> None:
        super().__init__(name=f"camera-{camera.camera_id}", daemon=True)
        self.camera, self.store, self.clock = camera, store, clock
        self.last_end_s, self.gap_reason = last_end_s, gap_reason
        self.state: CameraState | None = None
        self.attempt = 0
        self._gap_cause: str | None = None
        self._stop_words: str | None = None
        self._stopping = threading.Event()
        self._delivery = Delivery(publisher, self._stopping)
        self._lock = threading.Lock()
        self._packet_at = 0.0
        self._epoch: Epoch | None = None

    def stop(self, words: str = "stopped by the user") -> None:
        """Ask the worker to end its epoch and stop; returns at once. Reading stops within the read timeout."""
        self._stop_words = words
        self._stopping.set()

    def watch(self) -> None:
        """Called about once a second from outside: a live camera that sends nothing becomes degraded."""
        silent_s = self.clock.now() - self._packet_at
        if self.state == "live" and silent_s > SILENCE_S:
            self._tell("degraded", f"connected, but no video for {silent_s:.0f} s")

    def run(self) -> None:
        try:
            self._until_done()
        except Undelivered as error:
            log.warning("camera=%s %s", self.camera.camera_id, error)
            return
        except Exception as error:  # a bug or a dead engine must show as a state, never as a silent thread
            log.exception("camera=%s worker failed", self.camera.camera_id)
            self._tell("lost", f"ingest failed: {type(error).__name__}: {error}"[:500])
            raise
        if self._stopping.is_set():
            self._tell("stopped", self._stop_words)

    def _until_done(self) -> None:
        outcome: Outcome = "again"
        while outcome != "done" and not self._stopping.is_set():
            if outcome == "retry":
                self.attempt += 1
                wait_s = BACKOFF_S[min(self.attempt, len(BACKOFF_S)) - 1]
                self._stopping.wait(wait_s * random.uniform(0.8, 1.2))
            outcome = self._connection()

    def _connection(self) -> Outcome:
        """One connection from open to end."""
        if self.state != "live":  # a looped file stays live
            self._tell("connecting", None)
        try:
            source = Source(self.camera.source)
        except SourceError as error:
            return self._failed(str(error), error.permanent)
        try:
            return self._stream(source)
        except SourceError as error:
            self._end_epoch("lost", str(error))
            return self._failed(str(error), permanent=is_file(self.camera.source))
        finally:
            source.close()

    def _stream(self, source: Source) -> Outcome:
        cutter: SegmentCutter[av.Packet] = SegmentCutter()
        pace_start_s = self.clock.now()
        for packet in source.packets():
            self._packet_at = self.clock.now()
            if self._paced(packet, pace_start_s):
                break
            if not self._take(source, cutter, packet):
                cutter = SegmentCutter()
                self._take(source, cutter, packet)
        self._write(source, cutter.flush())
        return self._ended(source, cutter)

    def _paced(self, packet: TimedPacket[av.Packet], start_s: float) -> bool:
        """Wait until the packet is due (files played in real time); True when stopping."""
        if is_file(self.camera.source) and self.camera.realtime:
            due_s = start_s + packet.dts_s - self.clock.now()
            if due_s > 0:
                return self._stopping.wait(due_s)
        return self._stopping.is_set()

    def _take(self, source: Source, cutter: SegmentCutter[av.Packet], packet: TimedPacket[av.Packet]) -> bool:
        """Feed one packet; False when the epoch broke, and a new cutter has to begin with this packet."""
        results = cutter.push(packet)
        self._write(source, [r for r in results if not isinstance(r, Break)])
        broken = next((r for r in results if isinstance(r, Break)), None)
        if broken:
            self._end_epoch("changed", broken.cause)
            self._gap_cause = broken.cause
            if cutter.seq == 0:
                self._tell("degraded", broken.cause)
        return broken is None

    def _write(self, source: Source, results: list) -> None:
        for segment in results:
            if self._epoch is None:
                self._epoch = self._begin(source, segment.start_s, segment.end_s)
            self._epoch.camera = self.camera  # what to find may have changed; the video goes on
            header = self._epoch.write(segment)
            self.last_end_s = header.end_s
            if self.state != "live":
                self.attempt = 0
                self._tell("live", None)

    def _begin(self, source: Source, first_s: float, first_end_s: float) -> Epoch:
        """Open an epoch whose first picture lies after all accounted camera time; the hole becomes a gap."""
        start_s = self.clock.now() - first_end_s
        previous_s = self.last_end_s
        if previous_s is not None and (start_s + first_s < previous_s or self._continues(start_s + first_s)):
            start_s = previous_s - first_s
        epoch = Epoch(self.camera, source, start_s, self._delivery, self.store, self.clock)
        if previous_s is not None and start_s + first_s > previous_s + 1e-3:
            publish_gap(
                self._delivery, self.camera.camera_id, epoch.number, previous_s, start_s + first_s,
                self.gap_reason, self._gap_cause,
            )  # fmt: skip
        self.gap_reason, self._gap_cause = "camera_lost", None
        return epoch

    def _continues(self, first_s: float) -> bool:
        """A looped file joins its own end: no hole for the moment it takes to open it again."""
        return self.camera.loop and self.last_end_s is not None and first_s - self.last_end_s < LOOP_SLACK_S

    def _ended(self, source: Source, cutter: SegmentCutter[av.Packet]) -> Outcome:
        if self._stopping.is_set():
            self._end_epoch("stopped", self._stop_words)
            return "done"
        if self._epoch is None and cutter.seq == 0:
            words = f"{self.camera.masked_source} has no key frame: it cannot be cut into segments"
            return self._failed(words, permanent=source.finite)
        if not source.finite:
            self._end_epoch("lost", "the source closed the stream")
            return self._failed("the source closed the stream", permanent=False)
        missing = source.missing_words()
        self._end_epoch("end_of_file", missing)
        if self.camera.loop:
            return "again"
        self._tell("stopped", missing or "end of file")
        return "done"

    def _failed(self, words: str, permanent: bool) -> Outcome:
        self._gap_cause = words
        self._tell("stopped" if permanent else "lost", words)
        return "done" if permanent else "retry"

    def _end_epoch(self, cause: EndCause, words: str | None) -> None:
        if self._epoch is not None:
            self._epoch.finish(cause, words)
            self._epoch = None

    def _tell(self, state: CameraState, cause: str | None) -> None:
        with self._lock:
            if state == self.state and state != "lost":
                return
            self.state = state
        level = logging.WARNING if state in ("lost", "degraded") else logging.INFO
        log.log(level, "camera=%s state=%s cause=%s", self.camera.camera_id, state, cause)
        change = CameraStateChanged(
            camera_id=self.camera.camera_id,
            state=state,
            at_s=self.clock.now(),
            epoch=self._epoch.number if self._epoch else None,
            cause=cause and cause[:500],
            attempt=self.attempt,
            source=self.camera.masked_source,
        )
        self._delivery.publish(topics.CAMERA_STATES, self.camera.camera_id, change.to_bytes())
