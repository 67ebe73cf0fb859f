"""The tracker on Ray Serve: each replica is one member of the consumer group.

Kafka decides which replica tracks which cameras; Serve decides where replicas run, how many, and restarts them.
"""

from __future__ import annotations

from ray import serve
from ray.serve.handle import DeploymentHandle

from services.logs import join_serve_logs
from services.settings import load_settings
from services.tracker.settings import load_tracker_settings


@serve.deployment(
    name="tracker",
    ray_actor_options={"num_cpus": 0.5},
    health_check_period_s=2,
    health_check_timeout_s=15,
    graceful_shutdown_timeout_s=40,
)
class Tracker:
    """Holds the thread; everything else is in ``services.tracker.app``.

    As the application's entry it also answers for the narrator, whose handle it is given.
    """

    def __init__(self, narrator: DeploymentHandle | None = None) -> None:
        # Imported here: torch belongs in the replica, not in whoever builds the application (300 MB and seconds).
        from services.tracker.app import TrackerService

        join_serve_logs()
        name = f"tracker-{serve.get_replica_context().replica_id.unique_id}"
        self._narrator = narrator
        self._service = TrackerService(load_settings(), load_tracker_settings(name=name))
        self._service.start()

    def check_health(self) -> None:
        self._service.check()

    def record_autoscaling_stats(self) -> dict[str, float]:
        return {"lag": self._service.lag_s}

    async def status(self) -> dict[str, object]:
        """Clips tracked by this replica, its lag in seconds, and a narrator's answer to the same question."""
        own = {
            "clips": self._service.clips_done,
            "lag_s": self._service.lag_s,
            "partitions": sorted(self._service.partitions),
        }
        narrator = await self._narrator.status.remote() if self._narrator is not None else None
        return {"tracker": own, "narrator": narrator}

    async def __call__(self, _request: object = None) -> dict[str, object]:
        return await self.status()

    async def __del__(self) -> None:
        self._service.stop()
