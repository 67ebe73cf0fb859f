"""Find and end every process a stack has started, however deep, even when the stack itself was killed.

All children inherit one environment variable with the stack's run id, and descendants keep it: Ray's workers and
Triton's Python stubs put themselves into other sessions, but cannot shed it. Run as a program (with the run id as
argument) this module is the *warden*: it waits until its standard input closes, which the kernel does for it when
the stack's process ends in any way, and then kills what is left.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "STREAMREFER_RUN"
# setproctitle (used by Ray's workers) would overwrite the memory that /proc/PID/environ shows.
KEEP_ENVIRONMENT = {"SPT_NOENV": "1"}


def mark(run_id: str, name: str) -> dict[str, str]:
    """The variables that tag a child and all its descendants."""
    return {MARK: f"{run_id}/{name}", **KEEP_ENVIRONMENT}


def marked(prefix: str) -> list[int]:
    """Ids of living processes whose mark starts with ``prefix`` (a run id, or run id and child name)."""
    wanted = f"{MARK}={prefix}".encode()
    own = os.getpid()
    return [pid for pid in _processes() if pid != own and _carries(pid, wanted)]


def command(pid: int) -> str:
    """The command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def end(prefix: str, patience_s: float = 5.0) -> int:
    """SIGKILL all marked processes until none is left or patience ends; returns how many remain."""
    deadline = time.monotonic() + patience_s
    while pids := marked(prefix):
        if time.monotonic() > deadline:
            return len(pids)
        for pid in pids:
            _kill(pid)
        time.sleep(0.05)
    return 0


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        if _is_zombie(pid):
            return False
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(v == wanted or v.startswith(wanted + b"/") for v in variables)


def _is_zombie(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return stat.rpartition(b")")[2].split()[0] == b"Z"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main(run_id: str) -> None:
    """Wait for the stack's end, then end what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(run_id)


if __name__ == "__main__":
    main(sys.argv[1])
