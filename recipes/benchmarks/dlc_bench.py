"""DLC-Bench: detailed descriptions of one region of a still image, judged by questions instead of a reference.

Files: ``annotations.json`` (COCO form: ``images`` with ``id`` and ``file_name``, ``annotations`` with ``id``,
``image_id`` and ``segmentation``), ``qa.json`` (annotation id -> questions with ``question``, ``type`` "positive" or
"negative", ``choices`` [[text, score], ...]), ``class_names.json`` (annotation id -> class), pictures in ``images/``
or beside them. The judge reads only the description. It is first asked whether the description can be of the class; if
not, no question of the region scores above 0. Positive and negative questions are averaged a region, then over regions;
the score is the mean of the two. Field names come from the published evaluation's code; the files were not at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.benchmarks.items import FormatError, Framework, Item, Reading, Seen, find, load_json, need
from recipes.benchmarks.judge import Judge

ASK: dict[Framework, str] = {
    "pixelrefer": "Please describe the region <region> in the image in detail. Do not describe anything else.",
    "pixelreferlite": "There is one object in the image: <region>. Please describe it in detail. "
    "Do not describe anything else.",
}
LETTERS = "ABCDEFGH"
RULES = (
    "You are given a description of one object in a picture, and a question with lettered choices. Judge by the "
    "description alone. Take the choice that fits it best, even if none fits exactly. Reply with one letter only."
)
_LETTER = re.compile(r"\(?([A-H])\)?(?:[.:)\s].*)?", re.DOTALL)


def read_dlc(folder: Path, reading: Reading) -> Iterator[Item]:
    """The descriptions asked for, one a region that has questions. Raises FormatError."""
    listing = load_json(find(folder, "annotations.json"), dict)
    questions = load_json(find(folder, "qa.json"), dict)
    names = load_json(find(folder, "class_names.json"), dict)
    pictures = find(folder, "images", ".")
    files = {
        image.get("id"): need(image, "file_name", str, "annotations.json, images")
        for image in need(listing, "images", list, "annotations.json")
    }
    count = 0
    for number, entry in enumerate(need(listing, "annotations", list, "annotations.json")):
        where, key = f"annotations.json, annotation {number}", str(entry.get("id"))
        if key not in questions:
            continue
        if reading.limit is not None and count >= reading.limit:
            return
        count += 1
        if entry.get("image_id") not in files:
            raise FormatError(f"{where}: its image {entry.get('image_id')!r} is not listed")
        facts = {"class": str(names.get(key, "")), "questions": _questions(questions[key], f"qa.json, {key}")}
        yield Item(
            key=key,
            source=pictures / files[entry["image_id"]],
            question=ASK[reading.framework],
            seen=(Seen(0, 0, need(entry, "segmentation", (dict, list), where)),),
            reference="",
            facts=facts,
        )


def _questions(given: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not given:
        raise FormatError(f"{where}: no list of questions")
    read = []
    for entry in given:
        choices = need(entry, "choices", list, where)
        kind = need(entry, "type", str, where)
        well = all(isinstance(c, list) and len(c) == 2 and isinstance(c[1], int | float) for c in choices)
        if not well or not 1 < len(choices) <= len(LETTERS) or kind not in ("positive", "negative"):
            raise FormatError(
                f"{where}: a question needs type positive or negative and [text, score] choices"
            )
        read.append({"question": need(entry, "question", str, where), "type": kind, "choices": choices})
    return read


def judge_dlc(judge: Judge, record: Mapping) -> dict | None:
    """Scores of one description: ``recognised``, ``positive``, ``negative`` (None without such questions).

    None when the judge gives no usable reply.
    """
    facts = record["facts"]
    asked = f"Could the description be of this, or of something much like it: {facts['class']}?"
    recognised = _chosen(judge, record["answer"], asked, ["Yes", "No"])
    if recognised is None:
        return None
    scores: dict[str, list[float]] = {"positive": [], "negative": []}
    for entry in facts["questions"]:
        choices = [str(text) for text, _ in entry["choices"]]
        chosen = _chosen(judge, record["answer"], entry["question"], choices)
        if chosen is None:
            return None
        score = float(entry["choices"][chosen][1])
        scores[entry["type"]].append(score if recognised == 0 else min(0.0, score))
    means = {kind: sum(values) / len(values) if values else None for kind, values in scores.items()}
    return {"recognised": recognised == 0} | means


def _chosen(judge: Judge, description: str, question: str, choices: Sequence[str]) -> int | None:
    lettered = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))
    told = f"Description:\n{description}\n\nQuestion: {question}\n{lettered}"
    return judge.ask(RULES, told, lambda reply: chosen_of(reply, len(choices)))


def chosen_of(reply: str, count: int) -> int | None:
    """The number of the choice that a judge's reply names by its letter at the front, or None."""
    found = _LETTER.fullmatch(reply.strip())
    number = LETTERS.index(found.group(1)) if found else count
    return number if number < count else None


def dlc_scores(verdicts: Sequence[Mapping]) -> dict:
    """Means over regions: positive, negative, their mean, and the share recognised."""
    means = {}
    for kind in ("positive", "negative"):
        values = [verdict[kind] for verdict in verdicts if verdict[kind] is not None]
        means[kind] = round(sum(values) / len(values), 4) if values else None
    both = [value for value in means.values() if value is not None]
    recognised = [verdict["recognised"] for verdict in verdicts]
    return means | {
        "score": round(sum(both) / len(both), 4) if len(both) == 2 else None,
        "recognised": round(sum(recognised) / len(recognised), 4) if recognised else None,
    }
