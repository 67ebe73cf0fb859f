"""EOC-Bench: questions on first-person video about objects marked by boxes, in past, present and future.

File, as the published evaluation reads it: ``meta_infos.json``, a list with ``video_path``, ``question`` (objects as
``<object 0>``), ``answer`` (letters, or one time), ``choices`` (letter -> text; absent for times), ``video_type`` (one
of eleven kinds), ``box`` ([x0, y0, x1, y1] an object, in pixels), ``choice_type`` ("open-ended" for times). The last
picture of each video is the one before it with the boxes drawn in; a captioner that is given regions is not shown it.
Field names come from that evaluation's code; the file itself was not at hand. Our own: the wording of the task, and
that an answer which chooses no option is wrong (the published script then takes the most similar option).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recipes.benchmarks.items import LAST, FormatError, Item, Reading, Seen, entries, find, need
from recipes.benchmarks.masks import BoxShape

TENSE: dict[str, str] = {
    "Object State Retrospection": "past",
    "Location Retrospection": "past",
    "Object Relationship Evolution": "past",
    "Absolute Time Perception": "past",
    "Immediate State Recognition": "present",
    "Object Relationship": "present",
    "Purpose and Function Inference": "present",
    "Anomaly Perception": "present",
    "Trajectory and Motion Prediction": "future",
    "State Change Prediction": "future",
    "Dynamic Relationship Prediction": "future",
}
TOLERANCES = (0.01, 0.1, 0.2, 0.3)
"""Shares of the true time; an answer scores by the share of them that it meets."""
_OBJECT = re.compile(r"<object \d+>")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CHOICE = re.compile(r"<choice>(.*?)</choice>", re.DOTALL | re.IGNORECASE)
_LETTERS = re.compile(r"\(?[A-E]\)?\.?(?:(?:\s*[,;]\s*|\s+and\s+|\s+)\(?[A-E]\)?\.?)*", re.IGNORECASE)
_AT_FRONT = re.compile(r"\(?([A-E])[).:]\s", re.IGNORECASE)


def read_eoc(folder: Path, reading: Reading) -> Iterator[Item]:
    """The questions. Raises FormatError."""
    path = find(folder, "meta_infos.json", "videos/meta_infos.json")
    for number, (where, entry) in enumerate(entries(path, reading.limit)):
        timed = entry.get("choice_type") == "open-ended"
        choices = (
            {} if timed else {str(k).upper(): str(v) for k, v in need(entry, "choices", dict, where).items()}
        )
        answer = need(entry, "answer", (list, str), where)
        given = [str(part).strip() for part in (answer if isinstance(answer, list) else [answer])]
        if timed and not (given and _NUMBER.search(given[0])):
            raise FormatError(f"{where}: the answer {given} holds no time")
        yield Item(
            key=str(entry.get("idx", number)),
            source=_video(folder, path, need(entry, "video_path", str, where)),
            question=_ask(entry, choices, len(given) > 1, where),
            seen=_seen(entry, where),
            reference=", ".join(given),
            facts={"kind": str(entry.get("video_type", "")), "timed": timed, "choices": choices},
            hidden_end=1,
            describes=False,
        )


def _video(folder: Path, listing: Path, name: str) -> Path:
    places = (listing.parent / name, folder / name, folder / "videos" / name)
    return next((place for place in places if place.exists()), places[0])


def _seen(entry: Mapping, where: str) -> tuple[Seen, ...]:
    boxes = need(entry, "box", list, where)
    found = []
    for number, corners in enumerate(boxes):
        if not isinstance(corners, list) or len(corners) != 4:
            raise FormatError(f"{where}: box {number} is not [x0, y0, x1, y1]")
        x0, y0, x1, y1 = (float(value) for value in corners)
        found.append(Seen(LAST, number, BoxShape((x0, y0, x1, y1))))
    return tuple(found)


def _ask(entry: Mapping, choices: Mapping[str, str], several: bool, where: str) -> str:
    count = len(need(entry, "box", list, where))
    marked = ", ".join(f"<object {number}> <region>" for number in range(count))
    parts = [f"Objects in the video: {marked}."] if count else []
    parts.append(need(entry, "question", str, where).strip())
    if not choices:
        return " ".join([*parts, "Answer with the time in seconds only."])
    parts.append("Options: " + " ".join(f"{letter}. {text}" for letter, text in choices.items()))
    told = (
        "Answer with the letters of all right options" if several else "Answer with the letter of the option"
    )
    return " ".join([*parts, f"{told} only."])


def letters_of(text: str, choices: Mapping[str, str]) -> frozenset[str] | None:
    """The options that an answer chooses, or None: letters (inside <choice>), "B. ...", or one option's text."""
    inside = _CHOICE.search(text)
    plain = (inside.group(1) if inside else text).strip()
    if _LETTERS.fullmatch(plain):
        return frozenset(re.findall(r"\b[A-E]\b", plain.upper()))
    if found := _AT_FRONT.match(plain):
        return frozenset(found.group(1).upper())
    words = plain.rstrip(".").lower()
    named = [letter for letter, option in choices.items() if option.strip().rstrip(".").lower() == words]
    return frozenset(named) if len(named) == 1 else None


def time_score(text: str, true: str) -> float:
    """The share of tolerances that the first number of an answer meets; 0 without a number."""
    found, right = _NUMBER.search(_OBJECT.sub("", text)), _NUMBER.search(true)
    if not found or not right:
        return 0.0
    wanted = float(right.group())
    error = abs(float(found.group()) - wanted)
    return sum(error <= share * wanted for share in TOLERANCES) / len(TOLERANCES)


def eoc_scores(records: Sequence[Mapping]) -> dict:
    """Mean score over all questions, by tense, by kind, and of times and choices apart."""
    scores: dict[str, list[float]] = {}
    unparsed = 0
    for record in records:
        facts = record["facts"]
        if facts["timed"]:
            score = time_score(record["answer"], record["reference"])
        else:
            chosen = letters_of(record["answer"], facts["choices"])
            unparsed += chosen is None
            score = float(chosen is not None and chosen == letters_of(record["reference"], facts["choices"]))
        tense = TENSE.get(facts["kind"], "other")
        for group in ("all", tense, f"kind: {facts['kind']}", "times" if facts["timed"] else "choices"):
            scores.setdefault(group, []).append(score)
    means = {group: round(sum(values) / len(values), 4) for group, values in scores.items()}
    return {
        "score": means.pop("all", None),
        "per_tense": {
            group: means[group] for group in ("past", "present", "future", "other") if group in means
        },
        "per_kind": {
            group[6:]: value for group, value in sorted(means.items()) if group.startswith("kind: ")
        },
        "choices": means.get("choices"),
        "times": means.get("times"),
        "unparsed": unparsed,
    }
