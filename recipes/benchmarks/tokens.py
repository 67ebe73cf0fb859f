"""Words of a caption as caption metrics count them: like the Penn Treebank, lower case, without punctuation.

Stands in for the Stanford tokenizer that the COCO caption evaluation runs in Java. Contractions are split ("don't" ->
"do n't", "dog's" -> "dog 's"), hyphenated words and numbers stay whole. Rarer rules of the original (abbreviations,
fractions, currency, brackets written as -lrb-) are left out.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:[.,:/](?=\d)[^\W_]+)*(?:[-'’&/][^\W_]+)*")
_ENDING = re.compile(r"(?<=\w)(n't|'s|'re|'ve|'ll|'d|'m)$")
_SPLIT = {"cannot": ["can", "not"], "gonna": ["gon", "na"], "wanna": ["wan", "na"]}


def caption_words(text: str) -> list[str]:
    """The words in order."""
    words: list[str] = []
    for word in _WORD.findall(text.lower().replace("’", "'")):
        words += _SPLIT.get(word) or _parts(word)
    return words


def _parts(word: str) -> list[str]:
    found = _ENDING.search(word)
    if not found:
        return [word]
    stem = word[: found.start()]
    return [stem, found.group()]
