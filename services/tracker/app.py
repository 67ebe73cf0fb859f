"""The tracker process: a member of its consumer group over the segments, in a thread that can be watched.

Run as ``python -m services.tracker.app``, or as a Ray Serve deployment (``services.tracker.deployment``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from contracts import topics
from modeling.sam2.segmenter import load_segmenter
from operators.ports import Segmenter
from pipelines.inbox import PromptInbox
from pipelines.restore import TrackerMaker
from pipelines.tracking import Tracking
from services.adapters.clock import SystemClock
from services.adapters.kafka import ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.adapters.prompt_reader import PromptReader
from services.adapters.worker import TransactionalWorker, WorkerSettings
from services.replica import Replica, require, run_process
from services.settings import Settings, SettingsError, load_settings
from services.tracker.detecting import detector_of
from services.tracker.settings import TrackerSettings, load_tracker_settings

log = logging.getLogger("streamrefer.tracker")

NEEDS = ("kafka_bootstrap", "s3_endpoint")

SegmenterOpener = Callable[..., Segmenter]
"""Opens a session for a mask size (h, w) and, where a camera wants one of its own, a memory policy."""


class TrackerService(Replica):
    """One replica. The weights are loaded when it is made, so that wrong ones are told at once."""

    def __init__(
        self, settings: Settings, own: TrackerSettings, open_segmenter: SegmenterOpener | None = None
    ) -> None:
        require(settings, "the tracker", NEEDS)
        super().__init__(own.name, own.stuck_s)
        self._settings, self._own = settings, own
        torch.set_num_threads(own.threads)
        self._model = own.model() if open_segmenter is None else "given"
        if warning := own.size_warning():
            log.warning(warning)
        self._detector = detector_of(settings, own)
        self._open_segmenter = open_segmenter or load(own)
        self._tracking: Tracking | None = None

    @property
    def lag_s(self) -> float:
        """Age of the newest segment taken, of the camera that is furthest behind."""
        return max(dict(self._tracking.lag_s).values(), default=0.0) if self._tracking else 0.0

    @property
    def clips_done(self) -> int:
        return self._tracking.clips_done if self._tracking else 0

    @property
    def partitions(self) -> frozenset[int]:
        return self.worker.owned if self.worker else frozenset()

    def work(self) -> None:
        """Connect to everything and track until stopped; the worker itself recovers from what goes wrong there."""
        settings, own = self._settings, self._own
        torch.set_num_threads(own.threads)
        ensure_topics(settings.kafka_bootstrap)
        store = S3Objects(ObjectsConnection.of(settings))
        store.ensure_bucket()
        trackers = TrackerMaker(
            store, self._open_segmenter, self._model, own.mask_side_px, own.tracks(), self._detector
        )
        inbox = PromptInbox()
        prompts = PromptReader(settings.kafka_bootstrap, inbox)
        self._tracking = Tracking(store, SystemClock(), trackers, own.stream(), inbox)
        names = WorkerSettings(
            topics.SEGMENTS, own.group_id, own.name, session_timeout_s=own.session_timeout_s
        )
        self.worker = TransactionalWorker(settings.kafka_bootstrap, names, self._tracking)
        log.info("%s: tracking from %s with %s", own.name, settings.kafka_bootstrap, self._model)
        try:
            prompts.start()
            if not self.stopping.is_set():
                self.worker.run()
        finally:
            prompts.stop()


def load(own: TrackerSettings) -> SegmenterOpener:
    """The network of the settings' folder. Raises SettingsError, in one line, when it cannot be used."""
    device = own.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        mixed = own.precision == "bfloat16" or (own.precision == "auto" and device.startswith("cuda"))
        opened = load_segmenter(
            own.weights,
            device,
            bfloat16=mixed,
            input_px=own.input_px,
            hidden_every=own.hidden_every,
            compiled=own.compiled,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(f"tracker weights in {own.weights} cannot be used: {error}") from error
    return lambda size, policy=own.memory_policy: opened(size, policy)


def main() -> None:
    run_process(lambda: TrackerService(load_settings(), load_tracker_settings()))


if __name__ == "__main__":
    main()
