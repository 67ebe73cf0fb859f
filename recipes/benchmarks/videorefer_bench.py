"""VideoRefer-Bench: D (descriptions) and Q (multiple choice).

Files, as the benchmark's page describes them: ``VideoRefer-Bench-D.json`` beside ``Panda-70M-part/`` and
``VideoRefer-Bench-Q.json`` beside the folders that its ``video`` fields name (MeViS, DAVIS: folders of pictures). Each
entry holds ``annotation``, one mapping an object from picture number to ``{"segmentation": run lengths}``, and
``frame_idx``, the picture whose mask is shown in single-mask mode; D has ``caption``, Q ``Question`` (each object as
``<objectN><region>``), ``options``, ``Answer`` and ``type``. Questions are worded as the published evaluation words
them for each framework, since answers depend on it. Not checked against the published files themselves: whether a
folder's picture number is always its place in order of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recipes.benchmarks.items import (
    FormatError,
    Framework,
    Item,
    Reading,
    Seen,
    entries,
    find,
    need,
    picture_number,
    seen_of,
)

ASK_D: dict[Framework, str] = {
    "pixelrefer": "Please describe in detail the marked object <region> in the video.",
    "pixelreferlite": "There is one object in the video: <region>. "
    "Please describe in detail the marked object in the video.",
}
ASK_LETTER = "Answer with the option's letter from the given choices directly."
_IN_BRACKETS = re.compile(r"\(([A-Z])\)")
_AT_FRONT = re.compile(r"([A-Z])(?:[).:]|$)")


def read_bench_d(folder: Path, reading: Reading) -> Iterator[Item]:
    """The descriptions asked for. Raises FormatError."""
    path = find(folder, "VideoRefer-Bench-D.json")
    videos = find(folder, "Panda-70M-part", ".")
    for where, entry in entries(path, reading.limit):
        yield Item(
            key=str(entry.get("id", where)),
            source=videos / need(entry, "video", str, where),
            question=ASK_D[reading.framework],
            seen=_seen(entry, reading, where),
            reference=need(entry, "caption", str, where),
        )


def read_bench_q(folder: Path, reading: Reading) -> Iterator[Item]:
    """The multiple-choice questions. Raises FormatError."""
    path = find(folder, "VideoRefer-Bench-Q.json", "VideoRefer-Bench-Q-allframe.json")
    for where, entry in entries(path, reading.limit):
        options = [str(option) for option in need(entry, "options", list, where)]
        question = need(entry, "Question", str, where)
        answer = need(entry, "Answer", str, where)
        if letter_of(answer, options) is None:
            raise FormatError(f"{where}: the answer {answer!r} is none of the options")
        yield Item(
            key=str(entry.get("id", where)),
            source=folder / need(entry, "video", str, where),
            question=f"{question} {' '.join(options)}. {ASK_LETTER}",
            seen=_seen(entry, reading, where),
            reference=answer,
            facts={"type": str(entry.get("type", "")), "options": options},
            describes=False,
        )


def _seen(entry: Mapping, reading: Reading, where: str) -> tuple[Seen, ...]:
    single = picture_number(entry.get("frame_idx"), where) if reading.masks == "single" else None
    return seen_of(need(entry, "annotation", list, where), single, where)


def letter_of(text: str, options: Sequence[str]) -> str | None:
    """The letter that an answer chooses, or None when it chooses none.

    A letter in brackets anywhere, else one at the front ("B", "B.", "B) ..."), else the text of exactly one option.
    The published script takes the first character of any other answer; such an answer counts as none here.
    """
    plain = text.strip()
    if found := _IN_BRACKETS.search(plain) or _AT_FRONT.match(plain):
        return found.group(1)
    words = plain.rstrip(".").lower()
    named = [
        option for option in options if _IN_BRACKETS.sub("", option).strip().rstrip(".").lower() == words
    ]
    letters = [found.group(1) for option in named if (found := _IN_BRACKETS.search(option))]
    return letters[0] if len(letters) == 1 else None


def choice_scores(records: Sequence[Mapping]) -> dict:
    """Accuracy over all answers and by type of question; answers that choose nothing count as wrong."""
    right: dict[str, list[bool]] = {}
    unparsed = 0
    for record in records:
        options = record["facts"]["options"]
        chosen = letter_of(record["answer"], options)
        unparsed += chosen is None
        right.setdefault(record["facts"]["type"], []).append(
            chosen is not None and chosen == letter_of(record["reference"], options)
        )
    every = [verdict for verdicts in right.values() for verdict in verdicts]
    return {
        "accuracy": _share(every),
        "per_type": {kind: _share(verdicts) for kind, verdicts in sorted(right.items())},
        "unparsed": unparsed,
    }


def _share(values: Sequence[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
