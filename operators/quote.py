"""Quote: make text of another origin (a label, an earlier sentence, a person's words) safe to set into a question.

What is quoted is data. It may hold no placeholder of a region or object, no marker that chat or vision models know,
nothing invisible and no line end, and it has a limit, so that nothing in it can pass for an instruction's structure.
"""

from __future__ import annotations

import re
import unicodedata

_TAG = re.compile(r"<\|[^<>|]*\|>|</?(?i:region|image|video|stream|object\s*\d*)>")
_JOINERS = "\u200c\u200d"
"""Invisible, but part of the spelling in several scripts."""


def quote(text: str, most_characters: int) -> str:
    """The text on one line without tags and invisible characters, cut at a word where it is too long."""
    text = "".join(_visible(character) for character in text[: 8 * most_characters])
    previous = None
    while previous != text:  # taking one tag out must not join the halves of another
        previous, text = text, _TAG.sub(" ", text)
    return _cut(" ".join(text.split()), most_characters)


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cs", "Zl", "Zp"):
        return " "
    return "" if kind == "Cf" and character not in _JOINERS else character


def _cut(text: str, most_characters: int) -> str:
    if len(text) <= most_characters:
        return text
    whole_words = text[: most_characters + 1].rsplit(" ", 1)[0]
    return whole_words[:most_characters].rstrip()
