"""The narrator process: a member of its consumer group over the clip records, in a thread that can be watched.

Run as ``python -m services.narrator.app``, or as a Ray Serve deployment (``services.narrator.deployment``).
"""

from __future__ import annotations

import logging

from contracts import topics
from pipelines.narration import Narrating
from services.adapters.clock import SystemClock
from services.adapters.kafka import KafkaPublisher, ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.adapters.triton import TritonCaptioner
from services.adapters.worker import TransactionalWorker, WorkerSettings
from services.captioner import assumed_profile
from services.narrator.settings import NarratorSettings, load_narrator_settings
from services.narrator.wishes import CameraWishes
from services.narrator.wording import asking_by_camera
from services.replica import Replica, require, run_process
from services.settings import Settings, load_settings

log = logging.getLogger("streamrefer.narrator")

NEEDS = ("kafka_bootstrap", "s3_endpoint", "triton_url")
PARTIAL_PATIENCE_S = 0.05
"""A token's preview is not worth a longer wait for the broker."""


class NarratorService(Replica):
    """One replica of the narrator."""

    def __init__(self, settings: Settings, own: NarratorSettings) -> None:
        require(settings, "the narrator", NEEDS)
        super().__init__(own.name, own.stuck_s)
        self._settings, self._own = settings, own
        self._assumed = assumed_profile(settings)
        self._narrating: Narrating | None = None

    @property
    def lag_s(self) -> float:
        """Age of the newest narrated clip of the camera that is furthest behind."""
        return max(self._narrating.lag_s.values(), default=0.0) if self._narrating else 0.0

    @property
    def clips_done(self) -> int:
        return self._narrating.clips_done if self._narrating else 0

    def work(self) -> None:
        """Connect to everything and narrate until stopped; the worker itself recovers from what goes wrong there."""
        settings, own = self._settings, self._own
        ensure_topics(settings.kafka_bootstrap)
        store = S3Objects(ObjectsConnection.of(settings))
        store.ensure_bucket()
        captioner = TritonCaptioner(settings.triton_url, assumed=self._assumed)
        publisher = KafkaPublisher(settings.kafka_bootstrap, patience_s=PARTIAL_PATIENCE_S, linger_ms=5)
        wishes = CameraWishes(settings.kafka_bootstrap)
        asking = own.asking(self._assumed)
        asking_of = asking_by_camera(wishes.of, captioner.profile, own.asking)
        self._narrating = Narrating(
            store, captioner, SystemClock(), asking, publisher, own.narration(), asking_of
        )
        names = WorkerSettings(topic=topics.CLIPS, group_id=own.group_id, transactional_id=own.name)
        self.worker = TransactionalWorker(settings.kafka_bootstrap, names, self._narrating)
        log.info("%s: narrating from %s with %s", own.name, settings.kafka_bootstrap, settings.triton_url)
        try:
            wishes.start()
            if not self.stopping.is_set():
                self.worker.run()
        finally:
            wishes.stop()
            captioner.close()
            publisher.close(2.0)


def main() -> None:
    run_process(lambda: NarratorService(load_settings(), load_narrator_settings()))


if __name__ == "__main__":
    main()
