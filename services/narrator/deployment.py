"""The narrator on Ray Serve: each replica is one member of the consumer group.

Kafka decides which replica narrates which cameras; Serve decides where replicas run, how many, and restarts them.
"""

from __future__ import annotations

from ray import serve

from services.logs import join_serve_logs
from services.narrator.app import NarratorService
from services.narrator.settings import load_narrator_settings
from services.settings import load_settings


@serve.deployment(
    name="narrator",
    num_replicas=1,
    ray_actor_options={"num_cpus": 0.1},
    health_check_period_s=2,
    health_check_timeout_s=15,
    graceful_shutdown_timeout_s=40,
)
class Narrator:
    """Holds the thread; everything else is in ``services.narrator.app``."""

    def __init__(self) -> None:
        join_serve_logs()
        name = f"narrator-{serve.get_replica_context().replica_id.unique_id}"
        self._service = NarratorService(load_settings(), load_narrator_settings(name=name))
        self._service.start()

    def check_health(self) -> None:
        self._service.check()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"lag": self._service.lag_s}

    def status(self) -> dict[str, float]:
        """Clips narrated by this replica and its lag in seconds."""
        return {"clips": self._service.clips_done, "lag_s": self._service.lag_s}

    async def __del__(self) -> None:
        self._service.stop()
