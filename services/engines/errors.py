"""The one error the engines raise towards the user."""

from __future__ import annotations

import re
from pathlib import Path

START = "--- start "  # the child's runner writes this line before each start
READ_BYTES = 64_000
LAST_LINES, LINE_LIMIT = 3, 300
FRAME = re.compile(r"at [\w.$/<>]+\(|\.\.\. \d+ more|File \"|Traceback |[~^]+$")
"""Lines of a stack trace, which tell nothing to whoever only wants it to start."""
THROWN = re.compile(r"(?:^|[\s:(])((?:[\w$]+\.)*[A-Z]\w*(?:Error|Exception)(?:: .*|$))")
ERROR_WORDS = re.compile(r"error|exception|failed|fatal|refused|denied|missing", re.IGNORECASE)


class EngineError(RuntimeError):
    """Something could not be started, kept or stopped; the text says what failed and what to do."""


def cause(text: str) -> str | None:
    """The one line of a log's text that says best why something failed; None if none speaks of an error.

    A thrown exception says it without what was logged around it: the last root cause of a chain before others, else
    the last one that was thrown; else the last line with a word of failure in it.
    """
    lines = _lines(text)
    roots = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    thrown = [found[1] for line in lines if (found := THROWN.search(line))]
    spoken = [line for line in lines if ERROR_WORDS.search(line)]
    return next((found[-1] for found in (roots, thrown, spoken) if found), None)


def _lines(text: str) -> list[str]:
    """The lines that say something, without those of stack traces."""
    lines = (" ".join(line.split())[:LINE_LIMIT] for line in text.splitlines())
    return [line for line in lines if line and not FRAME.match(line) and not line.startswith(START)]


def failure(name: str, what: str, log: Path) -> EngineError:
    """An error naming the child, what went wrong and why, with the last few lines of its log and where the log is."""
    try:
        text = _this_run(log)
    except OSError:
        return EngineError(f"{name}: {what} (no log was written)")
    why = cause(text)
    last = "".join(f"\n    {line}" for line in _lines(text)[-LAST_LINES:] if line != why)
    return EngineError(f"{name}: {what}{f': {why}' if why else ''}{last}\n  whole log: {log}")


def _this_run(log: Path) -> str:
    """The end of a log, from the newest start on."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - READ_BYTES))
        text = file.read().decode(errors="replace")
    return text[max(0, text.rfind(START)) :]
