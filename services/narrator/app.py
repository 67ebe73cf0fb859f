"""The narrator process: a member of its consumer group over the clip records, in a thread that can be watched.

Run as ``python -m services.narrator.app``, or as a Ray Serve deployment (``services.narrator.deployment``).
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time

from contracts import topics
from pipelines.narration import Narrating
from services.adapters.clock import SystemClock
from services.adapters.kafka import KafkaPublisher, ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.adapters.triton import TritonCaptioner
from services.adapters.worker import TransactionalWorker, WorkerSettings
from services.captioner import takes_any_question
from services.narrator.settings import NarratorSettings, load_narrator_settings
from services.narrator.wishes import CameraWishes
from services.narrator.wording import asking_by_camera
from services.settings import Settings, SettingsError, load_settings

log = logging.getLogger("streamrefer.narrator")

STOP_TIMEOUT_S = 30.0
RETRY_S = 3.0
PARTIAL_PATIENCE_S = 0.05
"""A token's preview is not worth a longer wait for the broker."""


class NarratorUnhealthy(RuntimeError):
    """The narrator's thread is dead or stuck."""


class NarratorService:
    """One replica. ``start`` returns at once; ``check`` raises when the replica should be replaced."""

    def __init__(self, settings: Settings, own: NarratorSettings) -> None:
        missing = [
            name for name in ("kafka_bootstrap", "s3_endpoint", "triton_url") if not getattr(settings, name)
        ]
        if missing:
            raise SettingsError(f"the narrator needs {', '.join(missing)}: run `streamrefer up` or set them")
        self._settings, self._own = settings, own
        self._any_question = takes_any_question(settings)
        self._stopping = threading.Event()
        self._worker: TransactionalWorker | None = None
        self._narrating: Narrating | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=own.name, daemon=True)

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End after the clip in hand."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def check(self) -> None:
        """Raises NarratorUnhealthy."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise NarratorUnhealthy(f"{self._own.name}: its thread has ended")
        polled = self._worker.last_poll_at if self._worker else self._began
        silent_s = time.monotonic() - max(polled, self._began)
        if silent_s > self._own.stuck_s:
            raise NarratorUnhealthy(f"{self._own.name}: no poll for {silent_s:.0f} s")

    @property
    def lag_s(self) -> float:
        """Age of the newest narrated clip of the camera that is furthest behind."""
        return max(self._narrating.lag_s.values(), default=0.0) if self._narrating else 0.0

    @property
    def clips_done(self) -> int:
        return self._narrating.clips_done if self._narrating else 0

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception:
                log.exception("%s: starting anew in %.0f s", self._own.name, RETRY_S)
                self._stopping.wait(RETRY_S)

    def _work(self) -> None:
        """Connect to everything and narrate until stopped; the worker itself recovers from what goes wrong there."""
        settings, own = self._settings, self._own
        ensure_topics(settings.kafka_bootstrap)
        store = S3Objects(ObjectsConnection.of(settings))
        store.ensure_bucket()
        captioner = TritonCaptioner(settings.triton_url)
        publisher = KafkaPublisher(settings.kafka_bootstrap, patience_s=PARTIAL_PATIENCE_S, linger_ms=5)
        wishes = CameraWishes(settings.kafka_bootstrap)
        asking = own.asking()
        asking_of = asking_by_camera(wishes.of, asking, self._any_question)
        self._narrating = Narrating(
            store, captioner, SystemClock(), asking, publisher, own.narration(), asking_of
        )
        names = WorkerSettings(topic=topics.CLIPS, group_id=own.group_id, transactional_id=own.name)
        self._worker = TransactionalWorker(settings.kafka_bootstrap, names, self._narrating)
        log.info("%s: narrating from %s with %s", own.name, settings.kafka_bootstrap, settings.triton_url)
        try:
            wishes.start()
            if not self._stopping.is_set():
                self._worker.run()
        finally:
            wishes.stop()
            captioner.close()
            publisher.close(2.0)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    try:
        service = NarratorService(load_settings(), load_narrator_settings())
    except SettingsError as error:
        sys.exit(str(error))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    service.start()
    try:
        while not stopping.wait(2.0):
            service.check()
    except NarratorUnhealthy as error:
        sys.exit(str(error))
    finally:
        service.stop()


if __name__ == "__main__":
    main()
