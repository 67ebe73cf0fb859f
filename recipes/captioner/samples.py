"""Token sequences of stage 2: one object's evidence and its neighbours', then several questions with their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modeling.pixelrefer.prompt import place_regions, render, timed_region_tag
from modeling.pixelrefer.questions import WORDING, QuestionKind, question
from modeling.pixelrefer.tokenizer import REGION, TURN_END, WordTokenizer
from synthetic.grammar import Attributes
from synthetic.language import answer

ALWAYS: tuple[QuestionKind, ...] = ("detail", "direction", "event")
SOMETIMES: tuple[QuestionKind, ...] = ("brief", "class", "colour")
SINGLE_FRAME: tuple[QuestionKind, ...] = ("class", "colour", "brief")
IGNORED = -100


@dataclass(frozen=True)
class Sequences:
    """A batch of B sequences of S tokens.

    ``ids``, ``positions``, ``targets`` int64 [B,S] (targets: the next token, or -100); ``parts`` int64 [B,S]: 0 for
    the shared prefix, 1.. for question and answer pairs, -1 for padding; ``kinds`` int64 [B,S]: number of the
    question a token belongs to; ``prefix_ends`` [B].
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    parts: Tensor
    kinds: Tensor
    prefix_ends: Tensor

    @property
    def mask(self) -> Tensor:
        """Attention mask bool [B,1,S,S]: each pair sees the prefix and its own past."""
        length = self.ids.shape[1]
        past = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        key, query = self.parts[:, None, :], self.parts[:, :, None]
        allowed = past & ((key == 0) | (key == query)) & (key >= 0)
        own = torch.eye(length, dtype=torch.bool, device=self.ids.device)
        return (allowed | own)[:, None]


@dataclass(frozen=True)
class _Sequence:
    ids: list[int]
    positions: list[int]
    targets: list[int]
    parts: list[int]
    kinds: list[int]
    prefix: int


class SequenceMaker:
    """Writes prompts exactly as production does and joins their answers to them."""

    def __init__(self, tokenizer: WordTokenizer, mask_num: int) -> None:
        self.tokenizer, self.mask_num = tokenizer, mask_num
        self.region = tokenizer.id_of(REGION)
        self.kinds: tuple[QuestionKind, ...] = tuple(WORDING)

    def make(self, notes: Sequence[dict], said: Sequence[Attributes], rng: np.random.Generator) -> Sequences:
        """A batch over pieces of evidence, each given by its note (see `CachedFeatures`) and its truth."""
        made = [
            self._one(note, true, self._choose(note, rng)) for note, true in zip(notes, said, strict=True)
        ]
        return _stack(made)

    def _choose(self, note: dict, rng: np.random.Generator) -> list[QuestionKind]:
        if len(note["times"][0]) == 1:
            return list(SINGLE_FRAME)
        return [*ALWAYS, SOMETIMES[int(rng.integers(len(SOMETIMES)))]]

    def prompt(self, kind: QuestionKind, times_s: Sequence[Sequence[float]], end_s: float) -> list[int]:
        """Token ids of the whole prompt of one question; ``times_s`` of each object shown."""
        tags = [timed_region_tag(times, self.mask_num) for times in times_s]
        return self.tokenizer.encode(render(place_regions(question(kind, end_s, len(tags) - 1), tags)))

    def _one(self, note: dict, said: Attributes, chosen: Sequence[QuestionKind]) -> _Sequence:
        prompts = [self.prompt(kind, note["times"], note["end"]) for kind in chosen]
        prefix = common_length(prompts)
        ids, positions = prompts[0][:prefix], list(range(prefix))
        targets, parts, kinds = [IGNORED] * prefix, [0] * prefix, [-1] * prefix
        for number, (kind, prompt) in enumerate(zip(chosen, prompts, strict=True), start=1):
            asked = prompt[prefix:]
            told = [*self.tokenizer.encode(answer(kind, said)), self.tokenizer.id_of(TURN_END)]
            pair = [*asked, *told[:-1]]
            ids += pair
            positions += range(prefix, prefix + len(pair))
            targets += [IGNORED] * (len(asked) - 1) + told
            parts += [number] * len(pair)
            kinds += [self.kinds.index(kind)] * len(pair)
        return _Sequence(ids, positions, targets, parts, kinds, prefix)


def common_length(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the part that all prompts share; at least one token of each is left to itself."""
    shortest = min(len(prompt) for prompt in prompts) - 1
    same = [len({prompt[at] for prompt in prompts}) == 1 for at in range(shortest)]
    return same.index(False) if False in same else shortest


def _stack(made: Sequence[_Sequence]) -> Sequences:
    length = max(len(one.ids) for one in made)

    def padded(name: str, fill: int) -> Tensor:
        rows = [getattr(one, name) for one in made]
        return torch.tensor([row + [fill] * (length - len(row)) for row in rows])

    return Sequences(
        ids=padded("ids", 0),
        positions=padded("positions", 0),
        targets=padded("targets", IGNORED),
        parts=padded("parts", -1),
        kinds=padded("kinds", -1),
        prefix_ends=torch.tensor([one.prefix for one in made]),
    )
