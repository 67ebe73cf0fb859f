"""CIDEr as the COCO caption evaluation computes it (the variant called CIDEr-D).

Vedantam, Zitnick and Parikh, "CIDEr: Consensus-based Image Description Evaluation" (arXiv 1411.5726): n-grams of 1 to
4 words weighed by tf-idf over the references of the whole set, clipped, with a Gaussian penalty on the difference in
length, times 10. The value of one caption depends on the set it stands in; a set of a single item scores 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recipes.benchmarks.tokens import caption_words

LONGEST = 4
SIGMA = 6.0
SCALE = 10.0

Gram = tuple[str, ...]


@dataclass(frozen=True)
class _Weighed:
    """One caption: tf-idf weights and their norm for each n, and the number of word pairs."""

    weights: tuple[dict[Gram, float], ...]
    norms: tuple[float, ...]
    length: int


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The score of every candidate against its references; the corpus score is their mean.

    Raises ValueError when the two differ in length or a candidate has no reference.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError("every candidate needs at least one reference")
    wanted = [[_grams(text) for text in texts] for texts in references]
    seen_in = Counter(gram for texts in wanted for gram in set().union(*texts))
    log_sets = math.log(len(references)) if references else 0.0
    scores = []
    for text, texts in zip(candidates, wanted, strict=True):
        mine = _weigh(_grams(text), seen_in, log_sets)
        parts = [_similarity(mine, _weigh(reference, seen_in, log_sets)) for reference in texts]
        scores.append(SCALE * sum(parts) / len(parts))
    return scores


def _grams(text: str) -> Counter[Gram]:
    words = caption_words(text)
    spans = ((at, n) for n in range(1, LONGEST + 1) for at in range(len(words) - n + 1))
    return Counter(tuple(words[at : at + n]) for at, n in spans)


def _weigh(grams: Mapping[Gram, int], seen_in: Mapping[Gram, int], log_sets: float) -> _Weighed:
    weights: tuple[dict[Gram, float], ...] = tuple({} for _ in range(LONGEST))
    for gram, count in grams.items():
        weights[len(gram) - 1][gram] = count * (log_sets - math.log(max(1, seen_in.get(gram, 0))))
    norms = tuple(math.sqrt(sum(value * value for value in part.values())) for part in weights)
    return _Weighed(weights, norms, sum(count for gram, count in grams.items() if len(gram) == 2))


def _similarity(mine: _Weighed, reference: _Weighed) -> float:
    """Mean over n of the clipped cosine, times the penalty on length."""
    penalty = math.exp(-((mine.length - reference.length) ** 2) / (2 * SIGMA**2))
    total = 0.0
    for own, other, own_norm, other_norm in zip(
        mine.weights, reference.weights, mine.norms, reference.norms, strict=True
    ):
        if own_norm and other_norm:
            shared = sum(
                min(value, other.get(gram, 0.0)) * other.get(gram, 0.0) for gram, value in own.items()
            )
            total += shared / (own_norm * other_norm)
    return penalty * total / LONGEST
