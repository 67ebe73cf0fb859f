"""Our own log lines in a Ray Serve replica: into the replica's log file, beside Serve's."""

from __future__ import annotations

import logging

OURS = ("streamrefer", "services", "pipelines")


def join_serve_logs(level: int = logging.INFO) -> None:
    """Send what our loggers say to the handlers that Serve set up for this replica."""
    handlers = logging.getLogger("ray.serve").handlers
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = list(handlers)
        logger.propagate = False
    logging.getLogger("kafka").setLevel(logging.WARNING)
