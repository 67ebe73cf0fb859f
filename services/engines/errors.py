"""The one error the engines raise towards the user."""

from __future__ import annotations

from pathlib import Path

TAIL_LINES = 12


class EngineError(RuntimeError):
    """Something could not be started, kept or stopped; the text says what failed and what to do."""


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented, or a note that there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return "    (no log was written)"
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join("    " + line for line in kept) or "    (the log is empty)"


def failure(name: str, what: str, log: Path) -> EngineError:
    """An error naming the child, what went wrong, the end of its log and where the log is."""
    return EngineError(f"{name}: {what}\n{tail(log)}\n  whole log: {log}")
