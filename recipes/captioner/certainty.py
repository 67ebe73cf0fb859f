"""How sure a captioner was of a word, how often it was right, and the curve from one to the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modeling.pixelrefer.request import Answer
from modeling.pixelrefer.tokenizer import WordTokenizer
from synthetic.grammar import NAMES
from synthetic.palette import ALL_COLOURS

ECE_BINS = 10
CURVE_BINS, BIN_WORDS = 20, 8
LEAST_WORDS = CURVE_BINS * BIN_WORDS
"""A curve of fewer words is too coarse to be relied on."""


def word_certainties(answer: Answer, tokenizer: WordTokenizer) -> dict[str, tuple[str, float]]:
    """The first colour word and the first class word of an answer ("colour", "class") with their probabilities."""
    kinds = {"colour": ALL_COLOURS, "class": NAMES}
    found: dict[str, tuple[str, float]] = {}
    for token, probability in zip(answer.token_ids, answer.token_probabilities, strict=True):
        word = tokenizer.decode([token])
        for kind, words in kinds.items():
            if kind not in found and word in words:
                found[kind] = word, probability
    return found


def calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> float | None:
    """Expected calibration error over ten bins of equal width (Naeini et al. 2015), or None without cases."""
    if not len(probabilities):
        return None
    sure, hit = np.asarray(probabilities, float), np.asarray(right, float)
    bins = np.minimum((sure * ECE_BINS).astype(int), ECE_BINS - 1)
    gaps = [abs((sure[bins == b] - hit[bins == b]).sum()) for b in range(ECE_BINS)]
    return float(sum(gaps) / len(sure))


def rising_curve(probabilities: Sequence[float], right: Sequence[bool]) -> list[list[float]]:
    """Knots of a rising curve from raw probability to the share of right words.

    Cases are sorted into bins of equal size; neighbours that would fall are pooled (isotonic regression by
    pool adjacent violators). One case right and one wrong are added to each bin, so that no curve promises certainty.
    """
    order = np.argsort(probabilities, kind="stable")
    sure, hit = np.asarray(probabilities, float)[order], np.asarray(right, float)[order]
    pools: list[list[float]] = []  # sum of probabilities, of hits, count
    for part in np.array_split(np.arange(len(sure)), min(CURVE_BINS, max(1, len(sure) // BIN_WORDS))):
        pools.append([float(sure[part].sum()), float(hit[part].sum()), float(len(part))])
        while len(pools) > 1 and _share(pools[-2]) >= _share(pools[-1]):
            last = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], last, strict=True)]
    knots: list[list[float]] = []
    for pool in pools:
        raw = round(pool[0] / pool[2], 5)
        if not knots or raw > knots[-1][0]:
            knots.append([raw, round(_share(pool), 4)])
    return knots


def _share(pool: list[float]) -> float:
    return (pool[1] + 1) / (pool[2] + 2)
