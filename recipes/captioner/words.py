"""The words of the embedded captioner: those of the grammar, of its questions and of times."""

from __future__ import annotations

import re

from modeling.pixelrefer.questions import WORDING
from modeling.pixelrefer.tokenizer import WordTokenizer
from synthetic.grammar import DIRECTIONS, ENDINGS, GERUNDS, NAMES, OTHER_VERB, SPEEDS, VERBS
from synthetic.palette import ALL_COLOURS

_SIGNS = "[ ] - , : . ? 0 1 2 3 4 5 6 7 8 9"
_FORMS = (
    "user assistant Time s until near it nowhere standing still stays a an the and is bumped by bumps into "
    "enters from left right behind"
)


def build_tokenizer() -> WordTokenizer:
    """A tokenizer of about a hundred words, in a fixed order."""
    texts = [_FORMS, OTHER_VERB, *VERBS.values(), *GERUNDS.values(), *DIRECTIONS.values(), *SPEEDS]
    texts += [*ENDINGS.values(), *WORDING.values(), *ALL_COLOURS, *NAMES]
    words = [word for text in texts for word in re.findall(r"[A-Za-z]+", text)]
    return WordTokenizer.build([*_SIGNS.split(), *words])
