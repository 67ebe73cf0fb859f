"""Card: what the narrator believes a track to be: its name, how surely, and since when it is known.

Every answer given without knowledge of earlier ones votes for a name, by the captioner's own confidence; old votes
fade. The name spoken is that of the card, and changes only when another one was heard often enough *and* outweighs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from operators.wording import colour_of, same_name

FADE = 0.7
"""What is left of a vote at the next one. Just under the square root of one half: two answers in a row that agree,
as sure as all before them, outweigh any history; less sure ones need more."""
MOST_VOTES = 6
MOST_DOUBTS = 8


@dataclass(frozen=True, slots=True)
class Card:
    """One track's subject card. ``votes`` are names with their weights, the strongest first."""

    label: str | None = None  # the name it is spoken of by
    votes: tuple[tuple[str, float], ...] = ()
    doubts: tuple[str, ...] = ()  # names heard in a row that disagree with ``label``
    answers: int = 0  # that voted
    clips_since: int = 0  # clips since the last of them
    first_seen_s: float | None = None  # camera time

    @property
    def colour(self) -> str | None:
        """The colour in its name."""
        return colour_of(self.label or "")

    @property
    def attributes(self) -> tuple[str, ...]:
        """The other words before its noun: "small" and "wooden" of "small red wooden box"."""
        return tuple(word for word in (self.label or "").split()[:-1] if word != self.colour)

    def heard(self, fresh: str | None, confidence: float | None = None) -> Card:
        """The card after an answer that calls the object ``fresh`` (None: by no name)."""
        agrees = same_name(fresh, self.label)
        name = self.label if agrees else fresh
        weights = {known: weight * FADE for known, weight in self.votes}
        if name is not None:
            weights[name] = weights.get(name, 0.0) + (1.0 if confidence is None else confidence)
        ranked = sorted(weights.items(), key=lambda vote: (-vote[1], vote[0]))[:MOST_VOTES]
        return replace(
            self,
            votes=tuple((known, round(weight, 4)) for known, weight in ranked),
            doubts=() if agrees else (*self.doubts, fresh or "?")[-MOST_DOUBTS:],
            answers=self.answers + 1,
            clips_since=0,
        )

    def outvoted_by(self, fresh: str | None, agreement: int) -> bool:
        """Whether ``fresh`` was heard ``agreement`` times against the name and weighs more."""
        if fresh is None or self.doubts.count(fresh) < agreement:
            return False
        weights = dict(self.votes)
        return weights.get(fresh, 0.0) > weights.get(self.label or "", 0.0)

    def named(self, label: str | None) -> Card:
        """The card under a name that is spoken from now on."""
        return replace(self, label=label, doubts=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Card:
        """The inverse of ``to_json``. Raises TypeError or ValueError on what is no card."""
        votes = tuple((str(name), float(weight)) for name, weight in value.get("votes", ()))
        whole: dict[str, Any] = {**value, "votes": votes, "doubts": tuple(value.get("doubts", ()))}
        return cls(**whole)
