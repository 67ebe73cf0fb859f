"""The tracker process: a member of its consumer group over the segments, in a thread that can be watched.

Run as ``python -m services.tracker.app``, or as a Ray Serve deployment (``services.tracker.deployment``).
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable

import torch

from contracts import topics
from modeling.sam2.segmenter import load_segmenter
from operators.ports import Segmenter
from pipelines.restore import TrackerMaker
from pipelines.tracking import Tracking
from services.adapters.clock import SystemClock
from services.adapters.kafka import ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.adapters.worker import TransactionalWorker, WorkerSettings
from services.settings import Settings, SettingsError, load_settings
from services.tracker.settings import TrackerSettings, load_tracker_settings

log = logging.getLogger("streamrefer.tracker")

STOP_TIMEOUT_S = 30.0
RETRY_S = 3.0

SegmenterOpener = Callable[[tuple[int, int]], Segmenter]


class TrackerUnhealthy(RuntimeError):
    """The tracker's thread is dead or stuck."""


class TrackerService:
    """One replica. The weights are loaded at once, so that wrong ones are told at once; ``start`` returns at once;
    ``check`` raises when the replica should be replaced."""

    def __init__(
        self, settings: Settings, own: TrackerSettings, open_segmenter: SegmenterOpener | None = None
    ) -> None:
        missing = [name for name in ("kafka_bootstrap", "s3_endpoint") if not getattr(settings, name)]
        if missing:
            raise SettingsError(f"the tracker needs {', '.join(missing)}: run `streamrefer up` or set them")
        self._settings, self._own = settings, own
        torch.set_num_threads(own.threads)
        self._model = own.model() if open_segmenter is None else "given"
        self._open_segmenter = open_segmenter or load(own)
        self._stopping = threading.Event()
        self._worker: TransactionalWorker | None = None
        self._tracking: Tracking | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=own.name, daemon=True)

    def start(self) -> None:
        self._began = time.monotonic()
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End after the record in hand; what is pending is taken up by whoever gets the partitions."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def check(self) -> None:
        """Raises TrackerUnhealthy."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise TrackerUnhealthy(f"{self._own.name}: its thread has ended")
        polled = self._worker.last_poll_at if self._worker else self._began
        silent_s = time.monotonic() - max(polled, self._began)
        if silent_s > self._own.stuck_s:
            raise TrackerUnhealthy(f"{self._own.name}: no poll for {silent_s:.0f} s")

    @property
    def lag_s(self) -> float:
        """Age of the newest segment taken, of the camera that is furthest behind."""
        return max(dict(self._tracking.lag_s).values(), default=0.0) if self._tracking else 0.0

    @property
    def clips_done(self) -> int:
        return self._tracking.clips_done if self._tracking else 0

    @property
    def partitions(self) -> frozenset[int]:
        return self._worker.owned if self._worker else frozenset()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except Exception:
                log.exception("%s: starting anew in %.0f s", self._own.name, RETRY_S)
                self._stopping.wait(RETRY_S)

    def _work(self) -> None:
        """Connect to everything and track until stopped; the worker itself recovers from what goes wrong there."""
        settings, own = self._settings, self._own
        torch.set_num_threads(own.threads)
        ensure_topics(settings.kafka_bootstrap)
        store = S3Objects(ObjectsConnection.of(settings))
        store.ensure_bucket()
        trackers = TrackerMaker(store, self._open_segmenter, self._model, own.mask_side_px, own.tracks())
        self._tracking = Tracking(store, SystemClock(), trackers, own.stream())
        names = WorkerSettings(
            topics.SEGMENTS, own.group_id, own.name, session_timeout_s=own.session_timeout_s
        )
        self._worker = TransactionalWorker(settings.kafka_bootstrap, names, self._tracking)
        log.info("%s: tracking from %s with %s", own.name, settings.kafka_bootstrap, self._model)
        if not self._stopping.is_set():
            self._worker.run()


def load(own: TrackerSettings) -> SegmenterOpener:
    """The network of the settings' folder. Raises SettingsError, in one line, when it cannot be used."""
    device = own.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return load_segmenter(own.weights, device, bfloat16=device.startswith("cuda"))
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(f"tracker weights in {own.weights} cannot be used: {error}") from error


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    try:
        service = TrackerService(load_settings(), load_tracker_settings())
    except SettingsError as error:
        sys.exit(str(error))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    service.start()
    try:
        while not stopping.wait(2.0):
            service.check()
    except TrackerUnhealthy as error:
        sys.exit(str(error))
    finally:
        service.stop()


if __name__ == "__main__":
    main()
