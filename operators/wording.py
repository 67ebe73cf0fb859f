"""What a sentence says, by plain rules on its words: the subject's label, its content, whether it is news.

Works on English sentences that begin with their subject ("a small red ball rolls to the left and stops").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ARTICLES = frozenset({"a", "an", "the", "this", "that", "one", "another"})
LABEL_WORDS = 4
"""Most words of a label."""

_STOPS = frozenset(
    "is are was were has have does do be and or but with without in on at of off by to from near behind under over "
    "beside next which who while as then seen it its".split()
)
_NOUNS_IN_S = frozenset("bus glass grass cross dress boss compass cactus walrus lens".split())
_IGNORED = ARTICLES | frozenset("and is are it its of to there then still-image".split())
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*|[.,;:!?]")
LABEL_CHARACTERS = 60


def words_of(text: str) -> list[str]:
    """Lower-case words and sentence marks, in order."""
    return _WORD.findall(text.lower())


def label_of(text: str) -> str | None:
    """What the sentence is about, in a few words: "red car" of "A red car drives to the left."

    The words between the article and the verb; None when the sentence does not begin with a subject.
    """
    words = words_of(text)
    while words and words[0] in ARTICLES:
        words = words[1:]
    label: list[str] = []
    for word in words:
        if _ends_label(word, first=not label) or len(label) == LABEL_WORDS:
            break
        label.append(word)
    return " ".join(label)[:LABEL_CHARACTERS] or None


def _ends_label(word: str, first: bool) -> bool:
    """Whether the word is a mark, a joining word, or looks like the verb after a subject."""
    if not word[0].isalnum() or word in _STOPS:
        return True
    if first or word in _NOUNS_IN_S or word.endswith(("ss", "us")):
        return False
    return word.endswith("s") or (word.endswith("ing") and len(word) > 5)


def content_of(text: str) -> frozenset[str]:
    """The words after the label that carry what happens: no articles, no joining words, no manner ("slowly")."""
    label = label_of(text) or ""
    words = words_of(text)
    rest = words[_label_end(words, label) :]
    return frozenset(
        word for word in rest if word[0].isalnum() and word not in _IGNORED and not word.endswith("ly")
    )


def _label_end(words: Sequence[str], label: str) -> int:
    start = 0
    while start < len(words) and words[start] in ARTICLES:
        start += 1
    return start + len(label.split())


def is_news(text: str, spoken: str | None) -> bool:
    """Whether the text says something that what was spoken last does not: a verb, a place, a partner, a state."""
    return spoken is None or bool(content_of(text) - content_of(spoken))


def label_confidence(label: str, pieces: Sequence[str], probabilities: Sequence[float]) -> float | None:
    """Mean probability of the tokens that spell the label; None when the pieces do not contain it.

    ``pieces`` and ``probabilities`` run in step; the joined pieces are the text.
    """
    start = "".join(pieces).lower().find(label.lower()) if label else -1
    if start < 0:
        return None
    end, at = start + len(label), 0
    inside: list[float] = []
    for piece, probability in zip(pieces, probabilities, strict=False):
        if piece.strip() and at < end and at + len(piece) > start:
            inside.append(probability)
        at += len(piece)
    return min(1.0, max(0.0, sum(inside) / len(inside))) if inside else None
