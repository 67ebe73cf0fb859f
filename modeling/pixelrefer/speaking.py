"""Greedy speech: one token after another, from the embeddings of a prompt to words with probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from modeling.pixelrefer.calibration import Calibration
from modeling.pixelrefer.checkpoint import GenerationSettings
from modeling.pixelrefer.language import KvCache
from modeling.pixelrefer.model import CaptionNetwork
from modeling.pixelrefer.stopwatch import Stopwatch
from modeling.pixelrefer.tokenizer import TURN_END, PieceReader, Tokenizer

OnToken = Callable[[str, float], bool]
"""Called with each text piece and its probability; returning False ends the answer."""

Finish = Literal["stop", "length", "cancelled"]

LONGEST_NAME = 3
"""Tokens of a name, article included: so many are held back until it is sure how the thing is called."""


@dataclass
class Spoken:
    """Tokens generated so far, with the probability of each."""

    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    finish: Finish = "length"


class Speaker:
    """Speaks for one network. Where the calibration is unsure of a name, the thing is called "something".

    The network itself goes on from what it would have said: it never learned what follows a name taken back.
    An answer that names nothing ("it waddles") is told of a nameless thing in the same plain verbs.
    """

    def __init__(
        self,
        network: CaptionNetwork,
        tokenizer: Tokenizer,
        generation: GenerationSettings,
        calibration: Calibration,
    ) -> None:
        self._network, self._tokenizer = network, tokenizer
        self._generation, self._calibration = generation, calibration
        self.ends = {tokenizer.id_of(TURN_END), *generation.end_tokens}

    def speak(
        self,
        embeds: Tensor,
        limit: int,
        on_token: OnToken | None,
        watch: Stopwatch,
        is_nameless: Callable[[], bool] = lambda: False,
    ) -> Spoken:
        """At most ``limit`` tokens after the prompt ``embeds`` [S,C].

        ``is_nameless`` tells whether the thing would be called "something"; it is called where an answer that has
        not named the thing is about to give its name away.
        """
        spoken, teller = Spoken(), _Teller(PieceReader(self._tokenizer), on_token)
        thought: list[int] = []
        cache = self._network.new_cache(len(embeds) + limit + 1)
        with watch.stage("prefill"):
            scores = self._read(embeds[None], cache)
        with watch.stage("decode"):
            while True:
                token, raw = self._choose(scores, thought)
                is_said = self._settle_name(spoken, token, raw)
                if token in self.ends:
                    spoken.finish = "stop" if teller.tell(spoken, wait=0) else "cancelled"
                    return spoken
                thought.append(token)
                if is_said:
                    self._say(spoken, token, raw, is_nameless)
                last = len(thought) == limit
                if not teller.tell(spoken, self._held_back(spoken.ids) if not last else 0):
                    spoken.finish = "cancelled"
                    return spoken
                if last:
                    return spoken
                scores = self._read(self._embed([token]), cache)

    def _read(self, embeds: Tensor, cache: KvCache) -> Tensor:
        """Scores of the token after ``embeds`` [1,n,C]."""
        return self._network.logits(self._network.decode(embeds, cache=cache)[0, -1])

    def _embed(self, ids: list[int]) -> Tensor:
        return self._network.embed_tokens(torch.tensor([ids], device=self._network.device))

    def _settle_name(self, spoken: Spoken, token: int, raw: float) -> bool:
        """Make the name now being spoken "something" if ``token`` shows that it must be; whether to say the token."""
        at, known = self._open_name(spoken.ids), self._calibration
        if at is None:
            return True
        begun = spoken.ids[at] in known.articles
        if not begun and token == known.instead:
            return False  # once is enough
        unsure = token in known.names and (not begun or known.unsure(token, raw))
        # "the" may well begin something else than a name: only a qualifier ("the red") calls for a noun.
        left_out = begun and len(spoken.ids) - at > 1 and known.leaves_out(token)
        if begun and (unsure or left_out):
            assert known.instead is not None
            spoken.ids[at] = known.instead
            spoken.probabilities[at] = 1.0  # that it is something is always true
        return not unsure

    def begins_with_something(self, embeds: Tensor) -> bool:
        """Whether the answer to a prompt begins with a thing that is not named."""
        said = self.speak(embeds, LONGEST_NAME, None, Stopwatch()).ids
        return bool(said) and said[0] == self._calibration.instead

    def _say(self, spoken: Spoken, token: int, raw: float, is_nameless: Callable[[], bool]) -> None:
        known = self._calibration
        gives_away = known.verb(token) != token
        plainly = gives_away and self._tells_of_something(spoken.ids, is_nameless)
        spoken.ids.append(known.verb(token) if plainly else token)
        spoken.probabilities.append(known.probability(token, raw))

    def _tells_of_something(self, ids: list[int], is_nameless: Callable[[], bool]) -> bool:
        """Whether the subject of what was said so far has no name; "it" has the one that it would be given."""
        known = self._calibration
        if not ids or ids[0] in known.articles | known.names:
            return False
        return ids[0] == known.instead or is_nameless()

    def _open_name(self, ids: list[int]) -> int | None:
        """Where the name now being spoken, which has no noun yet, begins: with an article, or "something"."""
        known = self._calibration
        for at in range(len(ids) - 1, max(-1, len(ids) - LONGEST_NAME), -1):
            if ids[at] in known.articles or ids[at] == known.instead:
                return at
            if ids[at] in known.names or (known.qualifiers and ids[at] not in known.qualifiers):
                return None
        return None

    def _held_back(self, ids: list[int]) -> int:
        """How many of the last tokens may still be taken back: those of a name that has no noun yet."""
        at = self._open_name(ids) if self._calibration.instead is not None else None
        return len(ids) - at if at is not None and ids[at] in self._calibration.articles else 0

    def _choose(self, scores: Tensor, said: list[int]) -> tuple[int, float]:
        """The likeliest token and its probability, after the penalty on tokens already generated."""
        scores = scores.float()
        penalty = self._generation.repetition_penalty
        if penalty != 1.0 and said:
            rows = torch.tensor(sorted(set(said)), device=scores.device)
            before = scores[rows]
            scores[rows] = torch.where(before < 0, before * penalty, before / penalty)
        token = int(scores.argmax())
        return token, float(torch.softmax(scores, -1)[token])


class _Teller:
    """Hands on the tokens that will not be taken back."""

    def __init__(self, reader: PieceReader, on_token: OnToken | None) -> None:
        self._reader, self._on_token = reader, on_token
        self._told = 0

    def tell(self, spoken: Spoken, wait: int) -> bool:
        """Tell all but the last ``wait`` tokens; False: the listener has heard enough."""
        until = len(spoken.ids) - wait
        while self._told < until:
            piece = self._reader.push(spoken.ids[self._told])
            probability = spoken.probabilities[self._told]
            self._told += 1
            if self._on_token is not None and not self._on_token(piece, probability):
                return False
        return True
