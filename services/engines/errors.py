"""The one error the engines raise towards the user."""

from __future__ import annotations

import re
from pathlib import Path

START = "--- start "  # the child's runner writes this line before each start
READ_BYTES = 64_000
LAST_LINES, ERROR_LINES, LINE_LIMIT = 8, 6, 300
ERROR_WORDS = re.compile(r"error|exception|failed|fatal|refused|denied|missing", re.IGNORECASE)


class EngineError(RuntimeError):
    """Something could not be started, kept or stopped; the text says what failed and what to do."""


def tail(log: Path) -> str:
    """What a log says about a failure: its last lines, and before them the last that speak of an error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - READ_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return "    (no log was written)"
    text = text[max(0, text.rfind(START)) :]  # of this run only
    lines = [" ".join(line.split())[:LINE_LIMIT] for line in text.splitlines() if line.strip()]
    told = [at for at, line in enumerate(lines) if ERROR_WORDS.search(line)][-ERROR_LINES:]
    wanted = sorted({*told, *range(max(0, len(lines) - LAST_LINES), len(lines))})
    return "\n".join("    " + lines[at] for at in wanted) or "    (the log is empty)"


def failure(name: str, what: str, log: Path) -> EngineError:
    """An error naming the child, what went wrong, the end of its log and where the log is."""
    return EngineError(f"{name}: {what}\n{tail(log)}\n  whole log: {log}")
