"""The Ray Serve application: the same on one machine and on a cluster (``serve run services.app:build``)."""

from __future__ import annotations

from collections.abc import Mapping

from ray import serve

from services.narrator.deployment import Narrator
from services.tracker.deployment import Tracker
from services.tracker.settings import load_tracker_settings


def build(args: Mapping[str, str] | None = None) -> serve.Application:
    """Tracker and narrator. ``args`` may give ``tracker_replicas`` and ``narrator_replicas``."""
    given = args or {}
    trackers = int(given.get("tracker_replicas", load_tracker_settings().replicas))
    narrators = int(given.get("narrator_replicas", 1))
    return Tracker.options(num_replicas=trackers).bind(Narrator.options(num_replicas=narrators).bind())
