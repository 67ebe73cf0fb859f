"""Publishing from a camera's thread: in order, one at a time, and never given up while the camera is wanted."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from pipelines.ports import Publisher, StoreUnavailable

log = logging.getLogger("streamrefer.ingest")

DELIVERY_TIMEOUT_S = 90.0
RETRY_WAIT_S = 1.0


class Undelivered(RuntimeError):
    """The camera was stopped while its record could not be delivered."""


class Delivery:
    """Hands records to the broker and waits until it has them. While it does not answer the source waits too,
    so memory stays bounded: what the camera sends meanwhile is lost at the source and accounted as a gap."""

    def __init__(self, publisher: Publisher, stopping: threading.Event) -> None:
        self.publisher, self.stopping = publisher, stopping

    def publish(self, topic: str, key: str, value: bytes, headers: Mapping[str, bytes] | None = None) -> None:
        """Returns when the broker has the record. Raises Undelivered when stopped before that."""

        def once() -> None:
            self.publisher.publish(topic, key, value, headers).result(DELIVERY_TIMEOUT_S)

        self.insist(once, f"publish to {topic}")

    def insist(self, deed: Callable[[], None], words: str) -> None:
        """Do it until it works; the stop of the camera ends the trying."""
        while True:
            try:
                return deed()
            except (RuntimeError, TimeoutError, OSError, StoreUnavailable) as error:
                log.warning("cannot %s, trying again: %s", words, error)
                if self.stopping.wait(RETRY_WAIT_S):
                    raise Undelivered(f"stopped while trying to {words}: {error}") from error
