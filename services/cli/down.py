"""``streamrefer down``: stop the stack that runs on a data folder."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import typer

from services.cli.client import fail
from services.settings import DEFAULT_DATA, STATE_FILE, is_alive

TIMEOUT_S = 90.0


def down(
    data: Path = typer.Option(DEFAULT_DATA, "--data", envvar="STREAMREFER_DATA", help="folder of all state"),
) -> None:
    """Ask a running stack to stop, and wait until it has."""
    pid = running_pid(data)
    if pid is None:
        fail(f"nothing is running on {data}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + TIMEOUT_S
    while is_alive(pid):
        if time.monotonic() > deadline:
            fail(f"process {pid} has not stopped within {TIMEOUT_S:.0f} s")
        time.sleep(0.2)
    typer.echo("stopped")


def running_pid(data: Path) -> int | None:
    """The process that runs the folder's stack, None when there is none."""
    try:
        pid = json.loads((data / STATE_FILE).read_text()).get("pid")
    except (OSError, ValueError, AttributeError):
        return None
    return pid if is_alive(pid) else None
