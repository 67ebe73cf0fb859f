"""What the tracker and the narrator share: one member of a consumer group, in a thread that can be watched."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from services.adapters.worker import TransactionalWorker
from services.settings import Settings, SettingsError

log = logging.getLogger("streamrefer.replica")

STOP_TIMEOUT_S = 30.0
RETRY_S = 3.0
LOOK_EVERY_S = 2.0


class ReplicaUnhealthy(RuntimeError):
    """The replica's thread is dead or stuck: another one should take its place."""


class Replica(ABC):
    """``start`` returns at once; ``check`` raises when the replica should be replaced.

    Subclasses do their work in :meth:`work`, which keeps its worker in ``worker`` while it polls.
    """

    def __init__(self, name: str, stuck_s: float) -> None:
        """``stuck_s``: without a poll for so long the replica counts as stuck."""
        self.name, self._stuck_s = name, stuck_s
        self.stopping = threading.Event()
        self.worker: TransactionalWorker | None = None
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """Connect to everything and work until ``stopping``; called again after an exception."""

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._began = time.monotonic()
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End after the record in hand; what is pending is taken up by whoever gets the partitions."""
        self.stopping.set()
        if self.worker is not None:
            self.worker.stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def check(self) -> None:
        """Raises ReplicaUnhealthy."""
        if not self._thread.is_alive() and not self.stopping.is_set():
            raise ReplicaUnhealthy(f"{self.name}: its thread has ended")
        polled = self.worker.last_poll_at if self.worker else self._began
        silent_s = time.monotonic() - max(polled, self._began)
        if silent_s > self._stuck_s:
            raise ReplicaUnhealthy(f"{self.name}: no poll for {silent_s:.0f} s")

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.work()
            except Exception:
                log.exception("%s: starting anew in %.0f s", self.name, RETRY_S)
                self.stopping.wait(RETRY_S)


def require(settings: Settings, who: str, names: Sequence[str]) -> None:
    """Raises SettingsError naming the addresses that ``who`` needs and does not have."""
    if missing := [name for name in names if not getattr(settings, name)]:
        raise SettingsError(f"{who} needs {', '.join(missing)}: run `streamrefer up` or set them")


def run_process(make: Callable[[], Replica]) -> None:
    """Run one replica as this process until SIGTERM or SIGINT; ends the process when it is unhealthy."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    try:
        replica = make()
    except SettingsError as error:
        sys.exit(str(error))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    replica.start()
    try:
        while not stopping.wait(LOOK_EVERY_S):
            replica.check()
    except ReplicaUnhealthy as error:
        sys.exit(str(error))
    finally:
        replica.stop()
