"""The tracker's own deployment alone, as a Ray Serve application: no narrator, so no Triton."""

from __future__ import annotations

from collections.abc import Mapping

from ray import serve

from services.tracker.deployment import Tracker


def build(_args: Mapping[str, str]) -> serve.Application:
    return Tracker.options(num_replicas=1).bind()
