"""One child process: what to run, and the running of it in a process group of its own with its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.engines import leftovers

LOG_LIMIT_BYTES = 5_000_000
LOOK_EVERY_S = 2.0
"""How often a serving child is looked at."""
REPOSITORY = Path(__file__).resolve().parents[2]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Launch:
    """A command ready to run; ``env`` is added to our own environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = REPOSITORY


@dataclass(frozen=True)
class ChildSpec:
    """How one child is prepared, recognised as ready, ordered among the others and stopped.

    ``prepare`` does what comes before the process (downloads, formatting), saying what it does, and returns the
    command; it runs again at each restart. ``ready`` raises while the child does not serve yet: the text of its last
    error is shown when time runs out. ``after`` names children that must be ready first; with ``warm`` the process
    starts at once all the same and gets the line "go" on its standard input when they are. ``unwell`` gets the mark of
    the child's processes (:mod:`services.engines.leftovers`) every few seconds while it serves; a cause that it
    returns ends the child, as if it had died. Children of the highest ``layer`` are stopped first.
    """

    name: str
    prepare: Callable[[Say], Launch]
    ready: Callable[[], None]
    unwell: Callable[[str], str | None] = lambda _mark: None
    after: tuple[str, ...] = ()
    warm: bool = False
    layer: int = 0
    ready_timeout_s: float = 420.0  # for an overloaded machine: a child that dies is told at once
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    deaths_per_minute: int = 5


class Child:
    """A running process of a spec; its standard output and error go to ``log``."""

    def __init__(self, spec: ChildSpec, launch: Launch, log: Path, run_id: str) -> None:
        self.name = spec.name
        self.log = log
        self._spec = spec
        self._mark = f"{run_id}/{spec.name}"
        self._process = _spawn(launch, log, leftovers.mark(run_id, spec.name))

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while the process lives."""
        return self._process.poll()

    def wait(self) -> str:
        """Block until the process ends, by itself or by ``stop``, or is found unwell; says which."""
        while (code := self._exit_code_within(LOOK_EVERY_S)) is None:
            if cause := self._spec.unwell(self._mark):
                return cause
        return f"ended with exit code {code}"

    def go(self) -> None:
        """Tell a warm child that what it waits for is ready."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"go\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has just died; whoever waits for its readiness will find out

    def stop(self) -> None:
        """Ask it to end, and after the grace kill it with all its descendants. Safe to call twice."""
        if self.exit_code() is None:
            self._send(self._spec.stop_signal)
            _wait_quietly(self._process, self._spec.stop_grace_s)
        self.end()

    def end(self) -> None:
        """Kill its process group and whatever else still carries its mark; bounded."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        _wait_quietly(self._process, 5.0)
        leftovers.end(self._mark)
        if self._process.stdin is not None:
            self._close_stdin()

    def _exit_code_within(self, seconds: float) -> int | None:
        _wait_quietly(self._process, seconds)
        return self.exit_code()

    def _close_stdin(self) -> None:
        try:
            self._process.stdin.close()  # type: ignore[union-attr]
        except OSError:
            pass

    def _send(self, number: signal.Signals) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            pass


def _spawn(launch: Launch, log: Path, tags: Mapping[str, str]) -> subprocess.Popen[bytes]:
    _rotate(log)
    with log.open("ab") as out:
        out.write(
            f"--- {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} start {launch.argv[0]}\n".encode()
        )
        out.flush()
        return subprocess.Popen(
            launch.argv,
            cwd=launch.cwd,
            env={**os.environ, **launch.env, **tags},
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _rotate(log: Path) -> None:
    """Keep at most one older log of a bounded size."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".1.log"))


def _wait_quietly(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        pass


def python_command(*arguments: str) -> tuple[str, ...]:
    """This interpreter with arguments, unbuffered, so that logs are complete when a child dies."""
    return (sys.executable, "-u", *arguments)


def python_path() -> str:
    """PYTHONPATH that lets a child import our packages from this checkout or installation."""
    known = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    return os.pathsep.join(dict.fromkeys([str(REPOSITORY), *known]))
