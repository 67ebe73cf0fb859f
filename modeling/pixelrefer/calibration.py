"""Probabilities that mean what they say, and caution where they are low.

A network is surer of its words than it should be, least of all on what it never saw. A model folder may hold a
``calibration.json`` that maps the raw probability of a word to the share of cases in which that word was right, and
says how sure the name of a thing must be to be used: below that the thing is called "something".
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modeling.pixelrefer.tokenizer import Tokenizer
from modeling.weights import WeightsError

FILE = "calibration.json"
MEND = "write it anew with recipes.calibrate_captioner, or take it away to speak uncalibrated"
Knots = tuple[tuple[float, float], ...]
"""Points of a rising curve: raw probability and share of right words."""


@dataclass(frozen=True)
class Calibration:
    """Curves by token, and the caution about names.

    ``curves``: knots for the tokens that have any; ``names``: tokens that name a class, ``articles``: that come before
    a name; ``qualifiers``: that may stand between the two; ``unsure_below``: a less probable name is not used;
    ``instead``: the token in place of its article then, after which no name may follow. ``verbs``: verbs that give a
    name away, and what nameless things do instead.
    """

    curves: Mapping[int, Knots] = field(default_factory=dict)
    names: frozenset[int] = frozenset()
    articles: frozenset[int] = frozenset()
    qualifiers: frozenset[int] = frozenset()
    unsure_below: float = 0.0
    instead: int | None = None
    verbs: Mapping[int, int] = field(default_factory=dict)

    def probability(self, token: int, raw: float) -> float:
        """How often a word of this raw probability is right; the raw value for words without a curve."""
        knots = self.curves.get(token)
        return raw if knots is None else interpolate(knots, raw)

    def unsure(self, token: int, raw: float) -> bool:
        """Whether the token is a name that had better not be used."""
        return (
            self.instead is not None
            and token in self.names
            and self.probability(token, raw) < self.unsure_below
        )

    def verb(self, token: int) -> int:
        """The token, or what a nameless thing does in its place: "moves" for "waddles"."""
        return self.verbs.get(token, token)

    def leaves_out(self, token: int) -> bool:
        """Whether a token after an article and a qualifier leaves the name out: the network had none to give."""
        return (
            self.instead is not None
            and bool(self.qualifiers)
            and token not in self.names | self.qualifiers | self.articles
        )

    @classmethod
    def load(cls, folder: Path, tokenizer: Tokenizer) -> Calibration:
        """The calibration of a model folder, or one that changes nothing.

        Raises WeightsError, naming the file and what to do, for a file that is none.
        """
        path = folder / FILE
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            curves = {
                tokenizer.id_of(word): knots_of(curve["knots"])
                for curve in content["curves"]
                for word in curve["words"]
            }
            caution = content["caution"]
            return cls(
                curves=curves,
                names=frozenset(tokenizer.id_of(word) for word in caution["names"]),
                articles=frozenset(tokenizer.id_of(word) for word in caution["articles"]),
                qualifiers=frozenset(tokenizer.id_of(word) for word in caution.get("qualifiers", ())),
                unsure_below=_share(caution["unsure_below"], "unsure_below"),
                instead=tokenizer.id_of(caution["instead"]),
                verbs={
                    tokenizer.id_of(word): tokenizer.id_of(plain)
                    for word, plain in caution.get("verbs", {}).items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError) as fault:
            cause = f"{fault} is missing" if isinstance(fault, KeyError) else str(fault)
            raise WeightsError(f"{path} is no calibration: {cause}; {MEND}") from None


def knots_of(points: Sequence[Sequence[float]]) -> Knots:
    """Checked knots. Raises ValueError unless they rise and lie within 0..1."""
    knots = tuple((float(raw), float(right)) for raw, right in points)
    rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in zip(knots, knots[1:], strict=False))
    if not knots or not rising or not all(0 <= value <= 1 for knot in knots for value in knot):
        raise ValueError("knots must rise and lie within 0 and 1")
    return knots


def _share(value: object, name: str) -> float:
    """A number of 0..1. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, not {value!r}")
    return float(value)


def interpolate(knots: Knots, raw: float) -> float:
    """The curve at ``raw``: straight between knots, level outside."""
    at = bisect_right(knots, (raw, float("inf")))
    if at == 0:
        return knots[0][1]
    if at == len(knots):
        return knots[-1][1]
    (left, low), (right, high) = knots[at - 1], knots[at]
    return low + (high - low) * (raw - left) / (right - left)
