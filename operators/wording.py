"""What a sentence says, by plain rules on its words: the subject's name, its content, whether it is news.

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
_LEADING_ARTICLE = re.compile(r"\s*(an?)\s", re.IGNORECASE)
_CLAUSE = re.compile(r"\band\b|\bthen\b|[.,;]")
_GOING = frozenset("moves goes travels rolls drives walks waddles slides".split())
"""Verbs of plain going: which of them is used depends on what the object is called, not on what it does."""
_STANDING = frozenset("stays stands remains rests waits sits still standing".split())
_LOSS = frozenset("leaves exits disappears vanishes hides hidden gone out".split())
_COLOURS = frozenset(
    "red orange yellow green blue purple pink brown black white grey gray silver golden beige cyan teal "
    "magenta violet turquoise".split()
)
_LAST_LOSS = re.compile(
    r" and (?:leaves the view|disappears(?: behind (?:the [a-z]+ [a-z]+|something(?: [a-z]+)?))?)(?P<end>[.]?\s*)$"
)
"""The clauses with which sentences of the synthetic world end that tell a loss, to the letter."""
_LOSS_BEGUN = re.compile(r" and (?:leaves|disappears)\b")
LABEL_CHARACTERS = 60
UNKNOWN = "something"
"""What a thing is called whose class is not known."""


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


def same_name(fresh: str | None, known: str | None) -> bool:
    """Whether a name does not contradict the known one: it is the same, or only vaguer ("something red")."""
    if fresh == known:
        return True
    words = (fresh or "").split()
    return words[:1] == [UNKNOWN] and known is not None and set(words[1:]) <= set(known.split())


def colour_of(label: str) -> str | None:
    """The first colour word of a label."""
    return next((word for word in label.split() if word in _COLOURS), None)


def renamed(text: str, label: str) -> str | None:
    """The sentence with another subject: "a red truck stops" told of "red car". None if it has no subject."""
    old = label_of(text)
    found = re.search(re.escape(old), text, re.IGNORECASE) if old else None
    if found is None:
        return None
    lead, rest = text[: found.start()], text[found.end() :]
    if _LEADING_ARTICLE.fullmatch(lead) or (old or "").startswith(UNKNOWN):
        lead = "" if label.startswith(UNKNOWN) else "an " if label[0] in "aeiou" else "a "
    told = f"{lead}{label}{rest}"
    return told[0].upper() + told[1:] if text.lstrip()[0].isupper() else told


def content_of(text: str) -> frozenset[str]:
    """The words after the label that carry what happens: no articles, no joining words, no manner ("slowly").

    Where something comes from is one item ("from left"), so that it is not mistaken for where it goes.
    """
    words = words_of(text)
    return _content(words[_label_end(words, label_of(text) or "") :])


def _content(words: Sequence[str]) -> frozenset[str]:
    found: set[str] = set()
    origin = False
    for word in words:
        if word == "from":
            origin = True
        elif word[0].isalnum() and word not in _IGNORED and not word.endswith("ly"):
            plain = "moves" if word in _GOING else word
            found.add(f"from {plain}" if origin else plain)
            origin = False
    return frozenset(found)


def _label_end(words: Sequence[str], label: str) -> int:
    start = 0
    while start < len(words) and words[start] in ARTICLES:
        start += 1
    return start + len(label.split())


def tells_loss(text: str) -> bool:
    """Whether the sentence says that its subject is no longer to be seen."""
    return bool(content_of(text) & _LOSS)


def without_loss(text: str) -> str:
    """The sentence without a last clause that tells a loss: "drives to the left" of "drives to the left and leaves
    the view". For captioners that speak the synthetic world's grammar: other endings stay, and so does a sentence
    that says nothing else."""
    found = _LAST_LOSS.search(text)
    if found is None or not content_of(text[: found.start()]):
        return text
    return text[: found.start()] + found["end"]


def begins_loss(text: str) -> bool:
    """Whether unfinished text of that grammar has come to a clause that `without_loss` may take away."""
    return bool(_LOSS_BEGUN.search(text))


def adds(text: str, spoken: str | None) -> bool:
    """Whether the text has words of content that what was spoken last neither says nor implies.

    Once true of the beginning of a text, it stays true of the whole.
    """
    if spoken is None:
        return True
    known = content_of(spoken)
    return bool(content_of(text) - known - (_STANDING if "stops" in known else frozenset()))


def is_news(text: str, spoken: str | None) -> bool:
    """Whether the text says what was spoken last does not: a verb, a place, a partner, a state.

    Also when it says only a part of it and another end: "drives to the left" after "drives to the left and stops".
    """
    if spoken is None or adds(text, spoken):
        return True
    return content_of(text) < content_of(spoken) and _end_of(text) != _end_of(spoken)


def _end_of(text: str) -> frozenset[str]:
    """Content of the last clause: the state in which the sentence leaves its subject."""
    *before, last = _CLAUSE.split(text.lower().strip().rstrip("."))
    return _content(_WORD.findall(last)) if before else content_of(text)


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
