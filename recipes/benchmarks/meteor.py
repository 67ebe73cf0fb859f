"""METEOR with exact and stem matches only: ``meteor_exact_stem``.

Banerjee and Lavie 2005, with the parameters of Lavie and Agarwal 2007 (alpha 0.9, beta 3, gamma 0.5). Left out
against METEOR 1.5, which papers report: synonyms (WordNet), paraphrases, function words weighed apart, tuned
parameters. So it never reaches METEOR's value for a caption that says the same in other words, and the two must not
be compared with each other. :mod:`recipes.benchmarks.meteor_jar` runs METEOR 1.5 itself where it is installed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache

from recipes.benchmarks.tokens import caption_words

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
BEAM = 64
"""Alignments followed at once; more than enough for sentences, so the fewest chunks are found."""


def meteor_exact_stem(candidate: str, references: Sequence[str]) -> float:
    """The best score over the references, 0..1. Raises ValueError when there is no reference."""
    if not references:
        raise ValueError("a candidate needs at least one reference")
    mine = [stem(word) for word in caption_words(candidate)]
    return max(_score(mine, [stem(word) for word in caption_words(text)]) for text in references)


@cache
def stem(word: str) -> str:
    """The word without its endings, by the Snowball rules for English."""
    import snowballstemmer  # needed by this metric alone

    return snowballstemmer.stemmer("english").stemWord(word)


def _score(mine: list[str], reference: list[str]) -> float:
    matches = sum((Counter(mine) & Counter(reference)).values())
    if not matches:
        return 0.0
    precision, recall = matches / len(mine), matches / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    fragments = fewest_chunks(mine, reference, matches) / matches
    return mean * (1 - GAMMA * fragments**BETA)


def fewest_chunks(mine: list[str], reference: list[str], matches: int) -> int:
    """Fewest runs of words that stand side by side in both texts, over all alignments of ``matches`` words.

    Equal words match in any order, each once. Words of ``mine`` may stay unmatched only while enough are left.
    """
    places: dict[str, list[int]] = {}
    for at, word in enumerate(reference):
        places.setdefault(word, []).append(at)
    # An alignment so far: chunks, then the reference places used, and the one matched last (-1: previous unmatched).
    beam: dict[tuple[frozenset[int], int], int] = {(frozenset(), -1): 0}
    for number, word in enumerate(mine):
        left = sum((Counter(mine[number + 1 :]) & Counter(reference)).values())
        found: dict[tuple[frozenset[int], int], int] = {}
        for (used, last), chunks in beam.items():
            if len(used) + left >= matches:
                _keep(found, (used, -1), chunks)
            for at in places.get(word, ()):
                if at not in used:
                    _keep(found, (used | {at}, at), chunks + (last < 0 or at != last + 1))
        best = sorted(found.items(), key=lambda entry: (entry[1], -len(entry[0][0])))
        beam = dict(best[:BEAM])
    return min(chunks for (used, _), chunks in beam.items() if len(used) == matches)


def _keep(found: dict, state: tuple[frozenset[int], int], chunks: int) -> None:
    found[state] = min(chunks, found.get(state, chunks))
