"""Caption metrics over the answers of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from recipes.benchmarks.cider import cider
from recipes.benchmarks.meteor import meteor_exact_stem
from recipes.benchmarks.meteor_jar import meteor_1_5

MOST_WORDS = 100
"""Longer answers are cut, as the published evaluation does."""


def caption_scores(records: Sequence[Mapping], jar: Path | None = None) -> dict:
    """``cider``, ``meteor_exact_stem`` and, given its jar, ``meteor`` (version 1.5) over all answers.

    Raises MeteorError.
    """
    told = [" ".join(record["answer"].split()[:MOST_WORDS]) for record in records]
    wanted = [[record["reference"]] for record in records]
    if not records:
        return {"cider": None, "meteor_exact_stem": None}
    stems = [meteor_exact_stem(text, texts) for text, texts in zip(told, wanted, strict=True)]
    scores = {"cider": _mean(cider(told, wanted)), "meteor_exact_stem": _mean(stems)}
    if jar is not None:
        scores["meteor"] = round(meteor_1_5(told, wanted, jar)[0], 4)
    return scores


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
