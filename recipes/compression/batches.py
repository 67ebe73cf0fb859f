"""Batches of training: some halves of stored clips under one setting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.captioner.cache import read_attributes
from recipes.captioner.clips import FPS
from recipes.captioner.language_stage import RARITY, fact_numbers, moves_of
from recipes.compression.cache import Features, Half
from recipes.compression.samples import Ask, PromptMaker, Trees, mistaken
from recipes.compression.settings import MOST_MASKS, Setting

HALVES_A_STEP = 4
PAST_SHARE = 0.8
"""Of the batches: second halves, on which settings differ the most."""
SINGLE_SHARE = 0.3
"""Of the batches: objects shown by the first of their masks only, so that the scene must tell the rest."""


@dataclass(frozen=True)
class Batch:
    """One step's halves.

    ``grids`` [B,T,rows,columns,Cv] with the block edges ``factors`` of its T frames; padded cells [M,n,Cv] of all masks
    with ``position_xy`` [M,n,2] and ``counts`` [M], and what the place
    head should say of each, ``moves`` [M,6]; of the P objects ``facts`` int64 [P,6] and ``tracks`` [P,8,3].
    """

    setting: Setting
    factors: list[int]
    grids: Tensor
    cells: Tensor
    position_xy: Tensor
    counts: Tensor
    trees: Trees
    moves: Tensor
    facts: Tensor
    tracks: Tensor


class BatchMaker:
    """Draws halves, those with rare events more often."""

    def __init__(self, features: Features, tokenizer: WordTokenizer, config: CaptionerConfig) -> None:
        self.features = features
        self.prompts = PromptMaker(tokenizer, config.mask_num, config.vision.patch_px)
        halves = [half for half in features.halves if half.pieces]
        counts = Counter(_kind(piece) for half in halves for piece in half.pieces)
        self._halves = {past: [half for half in halves if half.has_past == past] for past in (False, True)}
        self._shares = {past: _shares(those, counts) for past, those in self._halves.items()}

    def draw(self, settings: Sequence[Setting], rng: np.random.Generator) -> Batch:
        """A random batch under one of the settings."""
        weights = np.array([setting.weight for setting in settings])
        setting = settings[int(rng.choice(len(settings), p=weights / weights.sum()))]
        past = bool(rng.random() < PAST_SHARE)
        masks = 1 if rng.random() < SINGLE_SHARE else MOST_MASKS
        halves = self._halves[past]
        size = min(HALVES_A_STEP, len(halves))
        chosen = rng.choice(len(halves), size, replace=False, p=self._shares[past])
        return self.batch([halves[number] for number in chosen], setting, masks, rng)

    def batch(self, halves: Sequence[Half], setting: Setting, masks: int, rng: np.random.Generator) -> Batch:
        """The batch of these halves, which all have a past or none, with at most so many masks an object."""
        past = halves[0].has_past
        shown = [
            (half, number) for half in halves for piece in half.pieces for number in piece["masks"][:masks]
        ]
        cells = [self.features.cells(half, number) for half, number in shown]
        pieces = [piece for half in halves for piece in half.pieces]
        asks = [(past, [self._ask(piece, masks, setting, rng) for piece in half.pieces]) for half in halves]
        return Batch(
            setting=setting,
            factors=setting.factors(past),
            grids=torch.stack([self.features.grids(half, setting.carries(past)) for half in halves]),
            cells=nn.utils.rnn.pad_sequence([part for part, _ in cells], batch_first=True),
            position_xy=nn.utils.rnn.pad_sequence([place for _, place in cells], batch_first=True),
            counts=torch.tensor([len(part) for part, _ in cells]),
            trees=self.prompts.trees(setting, asks),
            moves=torch.cat([_moves(piece, masks) for piece in pieces]),
            facts=torch.tensor([fact_numbers(read_attributes(piece["said"]), ())[:-1] for piece in pieces]),
            tracks=torch.tensor([piece["track"] for piece in pieces]),
        )

    def _ask(self, piece: dict, masks: int, setting: Setting, rng: np.random.Generator) -> Ask:
        before = piece["before"] if setting.history else None
        last = "" if before is None else mistaken(read_attributes(before), rng)
        return Ask(piece["times"][:masks], read_attributes(piece["said"]), last)


def _moves(piece: dict, masks: int) -> Tensor:
    track = torch.tensor(piece["track"])[:, :2]
    return moves_of(track[[round(at * FPS) for at in piece["times"][:masks]]])


def _kind(piece: dict) -> tuple[str, str | None]:
    return piece["said"]["event"], piece["said"]["direction"]


def _shares(halves: Sequence[Half], counts: Counter) -> np.ndarray:
    rarity = [np.mean([counts[_kind(piece)] ** -RARITY for piece in half.pieces]) for half in halves]
    return np.array(rarity) / sum(rarity)
