"""What the person at the terminal sees while a stack starts and runs: one line per child."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table


@dataclass
class _Line:
    what: str = "waiting"
    state: str = "waiting"
    since_s: float = field(default_factory=time.monotonic)
    took_s: float | None = None


STYLES = {
    "ready": "green",
    "failed": "bold red",
    "restarting": "yellow",
    "stopped": "dim",
    "external": "green",
}


class Progress:
    """Collects the state of every child; on a terminal a live table, elsewhere one plain line per change.

    Args:
        console: where to write; None is silent (tests).
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._lines: dict[str, _Line] = {}
        self._lock = threading.Lock()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self._console is not None and self._console.is_terminal:
            live = Live(get_renderable=self._table, console=self._console, refresh_per_second=5)
            live.start()
            self._live = live
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()

    def doing(self, name: str, what: str) -> None:
        """The child is at work on something worth showing."""
        self._set(name, what, "working")

    def ready(self, name: str) -> None:
        """The child serves; its clock stops."""
        self._set(name, "ready", "ready")

    def external(self, name: str, address: str) -> None:
        """An engine that was configured by address and answers."""
        self._set(name, f"ready at {address} (not ours)", "external")

    def failed(self, name: str) -> None:
        """The child was given up."""
        self._set(name, "failed", "failed")

    def restarting(self, name: str, problem: str, pause_s: float) -> None:
        """The child died and will be started again."""
        self._set(name, f"{problem}; starting again in {pause_s:.1f} s", "restarting")

    def stopped(self, name: str) -> None:
        """The child is gone, as wanted."""
        self._set(name, "stopped", "stopped")

    def seconds(self) -> dict[str, float]:
        """Seconds from first mention to ready, by name, of those that became ready."""
        with self._lock:
            return {name: line.took_s for name, line in self._lines.items() if line.took_s is not None}

    def _set(self, name: str, what: str, state: str) -> None:
        with self._lock:
            line = self._lines.setdefault(name, _Line())
            if state in ("ready", "external") and line.took_s is None:
                line.took_s = time.monotonic() - line.since_s
            line.what, line.state = what, state
            text = f"{name:<8} {line.took_s or time.monotonic() - line.since_s:6.1f} s  {what}"
        if self._console is not None and self._live is None:
            self._console.print(text, style=STYLES.get(state), highlight=False, markup=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        now_s = time.monotonic()
        with self._lock:
            for name, line in self._lines.items():
                seconds = line.took_s if line.took_s is not None else now_s - line.since_s
                table.add_row(name, f"{seconds:5.1f} s", line.what, style=STYLES.get(line.state))
        return table
