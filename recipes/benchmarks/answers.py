"""Answers to the items of a benchmark, kept in a file so that a run can be broken off and gone on with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.benchmarks.items import Item

MOST_FAULTS_SHOWN = 20

Record = dict[str, Any]
"""``key``, ``answer``, ``reference``, ``facts``, ``seconds``, and ``run``: what the answers were made with."""


class AnswersError(ValueError):
    """A file of answers that cannot be gone on with; the text says why."""


@dataclass
class Answers:
    """All answers of a run in the order of the items, and what could not be answered, a line each."""

    records: list[Record] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


Speak = Callable[[Item, str], str]
"""Answers an item; the text is the answer before it about the same video, empty at its beginning."""


def answer_all(items: Iterable[Item], speak: Speak, path: Path, run: Mapping[str, Any]) -> Answers:
    """Answer every item that the file does not hold yet; each answer is written as soon as it is there.

    An item that cannot be shown (a missing video, a broken mask) is a fault, not an answer, and is tried again by the
    next run. Raises AnswersError if the file holds answers of another run, or two items have one key.
    """
    known = read_answers(path, run)
    answers, last, video = Answers(), "", None
    seen: set[str] = set()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        for item in items:
            if item.key in seen:
                raise AnswersError(f"two items of the benchmark are called {item.key}")
            seen.add(item.key)
            if item.facts.get("video") != video:
                last, video = "", item.facts.get("video")
            record = known.get(item.key)
            if record is None:
                try:
                    record = _answered(item, speak, last, run)
                except (ValueError, OSError) as error:
                    answers.faults.append(f"{item.key}: {error}")
                    continue
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                file.flush()
            answers.records.append(record)
            last = record["answer"]
    return answers


def _answered(item: Item, speak: Speak, last: str, run: Mapping[str, Any]) -> Record:
    begun = time.perf_counter()
    text = speak(item, last)
    return {
        "key": item.key,
        "answer": text,
        "reference": item.reference,
        "facts": dict(item.facts),
        "seconds": round(time.perf_counter() - begun, 3),
        "run": dict(run),
    }


def read_answers(path: Path, run: Mapping[str, Any]) -> dict[str, Record]:
    """The answers of a file by key; a last line that was cut off is passed over. Raises AnswersError."""
    known: dict[str, Record] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines):
        try:
            record = json.loads(line)
            other = record["run"] != dict(run)
            known[record["key"]] = record
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) - 1:
                path.write_text("".join(f"{whole}\n" for whole in lines[:-1]), encoding="utf-8")
                break
            raise AnswersError(f"{path}, line {number + 1}: is no answer: {error}") from error
        if other:
            raise AnswersError(f"{path}: holds answers of another run ({record['run']}); give another --out")
    return known
