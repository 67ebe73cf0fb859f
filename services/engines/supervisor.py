"""Start children side by side, keep them running, and stop them in order."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from services.engines import leftovers
from services.engines.child import Child, ChildSpec
from services.engines.errors import EngineError, failure
from services.engines.progress import Progress

READY_POLL_S = 0.2
MINUTE_S = 60.0
LONGEST_BACKOFF_S = 10.0


class Restarts:
    """How long to wait before the next restart of one child, and when to give up."""

    def __init__(self, deaths_per_minute: int) -> None:
        self._limit = deaths_per_minute
        self._deaths: list[float] = []

    def backoff_s(self, now_s: float) -> float | None:
        """Record a death; seconds to wait, doubling from a half, or None when there were too many in a minute."""
        self._deaths = [t for t in self._deaths if now_s - t < MINUTE_S] + [now_s]
        if len(self._deaths) > self._limit:
            return None
        return min(0.5 * 2 ** (len(self._deaths) - 1), LONGEST_BACKOFF_S)


class Supervisor:
    """Owns the children of one run.

    A child that dies before it was ever ready fails the start. One that dies later, or is found unwell, is restarted,
    with a growing pause, until that has happened more than five times in a minute; then the whole run fails.
    """

    def __init__(self, specs: Sequence[ChildSpec], logs: Path, run_id: str, progress: Progress) -> None:
        self._keepers = {spec.name: _Keeper(self, spec, logs / f"{spec.name}.log") for spec in specs}
        self.run_id = run_id
        self.progress = progress
        self.stopping = threading.Event()
        self.failed = threading.Event()
        self._failures: list[EngineError] = []
        self._warden: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start all children and return when all are ready.

        Raises:
            EngineError: one of them failed; the others run on until ``stop``.
        """
        self._warden = _start_warden(self.run_id)
        for keeper in self._keepers.values():
            keeper.thread.start()
        for keeper in self._keepers.values():
            while not keeper.ready.wait(READY_POLL_S):
                if self.failed.is_set() or self.stopping.is_set():
                    break
        self.raise_failure()

    def wait(self, seconds: float | None = None) -> bool:
        """Block until a failure (returns True) or for so many seconds (returns False)."""
        return self.failed.wait(seconds)

    def raise_failure(self) -> None:
        """Raise what made the run fail, if anything did."""
        if self._failures:
            raise self._failures[0]

    def stop(self) -> None:
        """Stop all children, highest layer first, each layer side by side; then make sure nothing is left."""
        self.stopping.set()
        layers = sorted({keeper.spec.layer for keeper in self._keepers.values()}, reverse=True)
        for layer in layers:
            self._stop_layer([k for k in self._keepers.values() if k.spec.layer == layer])
        leftovers.end(self.run_id)
        self._dismiss_warden()

    def fail(self, error: EngineError) -> None:
        """Called by a keeper that gives up."""
        self._failures.append(error)
        self.failed.set()

    def is_ready(self, name: str) -> bool:
        """True once the child of that name serves; names of children not in this run count as ready."""
        return name not in self._keepers or self._keepers[name].ready.is_set()

    def pids(self) -> dict[str, int]:
        """Process ids of the living children by name."""
        return {name: k.child.pid for name, k in self._keepers.items() if k.child is not None}

    def _stop_layer(self, keepers: list[_Keeper]) -> None:
        threads = [threading.Thread(target=keeper.stop, daemon=True) for keeper in keepers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _dismiss_warden(self) -> None:
        if self._warden is not None:
            self._warden.communicate()
            self._warden = None


class _Keeper:
    """The thread that looks after one child."""

    def __init__(self, supervisor: Supervisor, spec: ChildSpec, log: Path) -> None:
        self.spec = spec
        self.ready = threading.Event()
        self.child: Child | None = None
        self.thread = threading.Thread(target=self._run, name=f"keep-{spec.name}", daemon=True)
        self._supervisor = supervisor
        self._log = log
        self._lock = threading.Lock()  # between spawning and stopping

    def stop(self) -> None:
        """Stop the child and wait for the thread."""
        with self._lock:
            child = self.child
        if child is not None:
            self._say("stopping")
            child.stop()
        if self.thread.is_alive():
            self.thread.join(timeout=10.0)
        self._supervisor.progress.stopped(self.spec.name)

    def _run(self) -> None:
        try:
            self._keep()
        except EngineError as error:
            self._give_up(error)
        except Exception as error:  # a bug of ours or of a library: name the child all the same
            self._give_up(EngineError(f"{self.spec.name}: {type(error).__name__}: {error}"))

    def _give_up(self, error: EngineError) -> None:
        if not self._supervisor.stopping.is_set():
            self._supervisor.progress.failed(self.spec.name)
            self._supervisor.fail(error)

    def _keep(self) -> None:
        limit = self.spec.deaths_per_minute
        restarts = Restarts(limit)
        first = True
        while not self._supervisor.stopping.is_set():
            problem = self._live_once(first)
            if problem is None or self._supervisor.stopping.is_set():
                return
            if first and not self.ready.is_set():
                raise failure(self.spec.name, problem, self._log)
            first = False
            self.ready.clear()
            pause_s = restarts.backoff_s(time.monotonic())
            if pause_s is None:
                raise failure(self.spec.name, f"{problem}, more than {limit} times in a minute", self._log)
            self._supervisor.progress.restarting(self.spec.name, problem, pause_s)
            self._supervisor.stopping.wait(pause_s)

    def _live_once(self, first: bool) -> str | None:
        """One life of the child; returns what ended it, None when we are stopping."""
        if first and not self.spec.warm and not self._await_others():
            return None
        launch = self.spec.prepare(self._say)
        with self._lock:
            if self._supervisor.stopping.is_set():
                return None
            self.child = Child(self.spec, launch, self._log, self._supervisor.run_id)
        self._say("starting")
        problem = self._await_ready(self.child)
        if problem is None and not self._supervisor.stopping.is_set():
            self.ready.set()
            self._supervisor.progress.ready(self.spec.name)
            problem = self.child.wait()
        self.child.end()
        return problem

    def _await_others(self, child: Child | None = None) -> bool:
        """Wait for the children this one depends on; False when stopping or when the own child died."""
        for name in self.spec.after:
            while not self._supervisor.is_ready(name):
                if self._supervisor.stopping.wait(READY_POLL_S) or self._supervisor.failed.is_set():
                    return False
                if child is not None and child.exit_code() is not None:
                    return False
        return True

    def _await_ready(self, child: Child) -> str | None:
        """Wait until the child serves; returns what went wrong, None when all is well or we are stopping."""
        if self.spec.warm and self._await_others(child):
            child.go()
        deadline = time.monotonic() + self.spec.ready_timeout_s
        reason = "no answer"
        while not self._supervisor.stopping.is_set():
            if (code := child.exit_code()) is not None:
                return f"ended with exit code {code} before it was ready"
            try:
                return self.spec.ready()
            except Exception as error:  # any failure of the check means: not yet
                reason = f"{type(error).__name__}: {error}"
            if time.monotonic() > deadline:
                return f"not ready after {self.spec.ready_timeout_s:.0f} s ({reason})"
            self._supervisor.stopping.wait(READY_POLL_S)
        return None

    def _say(self, what: str) -> None:
        self._supervisor.progress.doing(self.spec.name, what)


def _start_warden(run_id: str) -> subprocess.Popen[bytes]:
    """A process outside the stack that cleans up if this one is killed; it costs about 9 MB."""
    return subprocess.Popen(
        [sys.executable, "-S", "-E", leftovers.__file__, run_id],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
