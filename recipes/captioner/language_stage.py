"""Stage 2: region encoder and language model learn to answer from cached features; the encoder rests.

Token loss alone finds motion late, so helper heads (thrown away afterwards) ask for it directly: where the mask of
every frame lies and how it moved, and at the end of the object's tokens what it did and with what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from modeling.pixelrefer.model import PixelReferLite
from modeling.pixelrefer.region import InfusionAttention, LiteRegionEncoder, even_start, merge_tokens
from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.captioner.cache import CachedFeatures
from recipes.captioner.progress import Parts, Stage, make_optimizer
from recipes.captioner.samples import IGNORED, SequenceMaker, Sequences
from synthetic.casting import HELD_OUT_PAIRS
from synthetic.grammar import DIRECTIONS, ENDINGS, NAMES, SPEEDS, STRANGER, Attributes
from synthetic.palette import ALL_COLOURS, COLOURS
from synthetic.shapes import CLASSES

OBJECTS_A_STEP = 24
PEAK_RATE = 1.5e-3
DECAY = 0.05
PLACE_WEIGHT, FACT_WEIGHT, NAME_WEIGHT = 1.5, 0.25, 0.5
RARITY = 0.2
"""How much more often rare events are drawn (0: as they come); at 0.5 the common ones, like standing still, suffer."""
STRANGER_SHARE, COLOUR_RARITY = 0.35, 0.5
"""Part of nameless things among what is drawn: the real world is full of them. Rare colours among them come more
often than their number says (1: all alike)."""
PLACE_SCALES = (4.0, 8.0, 16.0)
"""Scales of the place itself, its change since the first frame, and since the frame before."""
FACTS: dict[str, tuple] = {
    "direction": (None, *DIRECTIONS),
    "event": ("stays", "moves", "bumps", "is_bumped", *ENDINGS),
    "speed": (None, *SPEEDS),
    "entered": (None, "left", "right"),
    "other_colour": (None, *COLOURS),
    "other_class": (None, *CLASSES),
    "partner": (None, 1, 2, "unseen"),
}
"""``partner``: which of the neighbours shown the sentence names."""
CALLED: dict[str, tuple[str, ...]] = {"class_name": NAMES, "colour": ALL_COLOURS}


@dataclass(frozen=True)
class Batch:
    """Some pieces of cached evidence: padded cells of M masks, views, sequences, and truths for the helper heads.

    Masks come in the order of their tokens: object after object. ``last_tokens`` [M,2]: row and column of the last
    region token of each mask; ``moves`` [M,9] and ``names`` [M,2]: what the place and name heads should say of it
    (IGNORED where that is not to be learned); ``facts`` [B,7]: what the fact heads should say.
    """

    cells: Tensor
    position_xy: Tensor
    counts: Tensor
    locals_: Tensor
    globals_: Tensor
    sequences: Sequences
    last_tokens: Tensor
    moves: Tensor
    names: Tensor
    facts: Tensor


class Trainee(nn.Module):
    """What stage 2 trains: the network without its encoder, and the helper heads."""

    def __init__(self, network: PixelReferLite, region_id: int) -> None:
        super().__init__()
        body = network.model
        self.region_id = region_id
        self.region = body.region_encoder
        self.embed_tokens, self.layers, self.norm = body.embed_tokens, body.layers, body.norm
        self._network = [network]  # not registered: its encoder is not trained here
        width = network.config.language.width
        self.place_head = nn.Linear(width, 3 * len(PLACE_SCALES))
        self.name_heads = nn.ModuleDict({name: nn.Linear(width, len(all_)) for name, all_ in CALLED.items()})
        self.fact_heads = nn.ModuleDict({name: nn.Linear(width, len(all_)) for name, all_ in FACTS.items()})

    def forward(self, batch: Batch, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token logits [B,S,V], region hidden states [M,C], end-of-prefix hidden states [B,C]."""
        network, sequences = self._network[0], batch.sequences
        region = self.region
        assert isinstance(region, LiteRegionEncoder)
        query = merge_tokens(
            batch.cells.float() + region.position(batch.position_xy),
            batch.counts,
            region.limit,
            region.rounds,
            start,
        )
        query = query + look(region.fusion_attention_local, region.ln_local(query), batch.locals_)
        query = query + look(region.fusion_attention_global, region.ln_global(query), batch.globals_)
        objects = region.feat_linear(query)
        embeds = network.embed_tokens(sequences.ids).to(objects.dtype).clone()
        embeds[sequences.ids == self.region_id] = objects.flatten(0, 1)
        hidden = network.decode(embeds, sequences.positions, sequences.mask)
        rows, columns = batch.last_tokens.T
        ends = hidden[torch.arange(len(hidden), device=hidden.device), sequences.prefix_ends - 1]
        return network.logits(hidden), hidden[rows, columns], ends

    def loss(self, batch: Batch, start: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The sum of all losses and its parts."""
        logits, at_masks, at_ends = self(batch, start)
        words = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), batch.sequences.targets.flatten(), ignore_index=IGNORED
        )
        places = nn.functional.smooth_l1_loss(self.place_head(at_masks).float(), batch.moves, beta=0.2)
        parts = {"words": words.item(), "places": places.item()}
        total = words + PLACE_WEIGHT * places
        asked = (
            (self.name_heads, at_masks, batch.names, NAME_WEIGHT),
            (self.fact_heads, at_ends, batch.facts, FACT_WEIGHT),
        )
        for heads, states, truths, weight in asked:
            for (name, head), truth in zip(heads.items(), truths.T, strict=True):
                wrong = nn.functional.cross_entropy(head(states).float(), truth, ignore_index=IGNORED)
                parts[name] = wrong.item()
                total = total + weight * wrong
        return total, parts


def look(attention: InfusionAttention, query: Tensor, view: Tensor) -> Tensor:
    """What `attention` does, ordered for few queries on large, frozen views: [M,K,C], [M,T,C] -> [M,K,C].

    Keys are never made: each head's query is brought into the space of the view, and its mixture of the view out of
    it. The key bias shifts all scores of a query alike and falls out of the softmax.
    """
    heads, width = attention.heads, query.shape[-1]
    size = width // heads
    to_query, to_key, to_value = attention.in_proj_weight.chunk(3)
    query_bias, _, value_bias = attention.in_proj_bias.chunk(3)
    asked = nn.functional.linear(query, to_query, query_bias).unflatten(-1, (heads, size))
    inside = torch.einsum("mkhd,hdc->mhkc", asked * size**-0.5, to_key.unflatten(0, (heads, size)))
    scores = inside.flatten(1, 2) @ view.to(inside.dtype).transpose(1, 2)
    mixed = (scores.softmax(-1).to(inside.dtype) @ view.to(inside.dtype)).unflatten(1, (heads, -1))
    heard = torch.einsum("mhkc,hdc->mkhd", mixed, to_value.unflatten(0, (heads, size)))
    return attention.out_proj(heard.flatten(2) + value_bias)


def fact_numbers(said: Attributes, near: Sequence[Sequence[str]]) -> list[int]:
    """Numbers of the true facts, in the order of :data:`FACTS`; ``near``: colour and class of the neighbours."""
    colour, class_name = said.other or (None, None)
    values = {"other_colour": colour, "other_class": class_name, "partner": _partner(said, near)}
    return [
        all_.index(values[name] if name in values else getattr(said, name)) for name, all_ in FACTS.items()
    ]


def _partner(said: Attributes, near: Sequence[Sequence[str]]) -> int | str | None:
    if said.other is None:
        return None
    places = [number for number, name in enumerate(near, start=1) if tuple(name) == said.other]
    return places[0] if places else "unseen"


def _name_numbers(name: tuple[str, str]) -> list[int]:
    """Class and colour number, in the order of :data:`CALLED`."""
    colour, class_name = name
    if name in HELD_OUT_PAIRS:
        return [IGNORED, IGNORED]
    return [NAMES.index(class_name), ALL_COLOURS.index(colour) if colour else IGNORED]


class BatchMaker:
    """Draws pieces of evidence, rare events more often, and brings them into one batch."""

    def __init__(self, cached: CachedFeatures, tokenizer: WordTokenizer, mask_num: int) -> None:
        self.cached = cached
        self.said = [cached.attributes(number) for number in range(len(cached.notes))]
        self.sequences = SequenceMaker(tokenizer, mask_num)
        self.shares = _shares(self.said)

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """A batch of ``count`` random pieces."""
        chosen = rng.choice(len(self.shares), min(count, len(self.shares)), replace=False, p=self.shares)
        return self.batch(chosen.tolist(), rng)

    def batch(self, chosen: list[int], rng: np.random.Generator) -> Batch:
        """The batch of these pieces of evidence."""
        cached = self.cached
        notes, said = [cached.notes[number] for number in chosen], [self.said[number] for number in chosen]
        objects = [masks for note in notes for masks in note["masks"]]
        rows = torch.tensor([mask for masks in objects for mask in masks])
        cells = [torch.arange(*_limits(cached.cell_ends, mask)) for mask in rows.tolist()]
        sequences = self.sequences.make(notes, said, rng)
        return Batch(
            cells=nn.utils.rnn.pad_sequence([cached.cells[part] for part in cells], batch_first=True),
            position_xy=nn.utils.rnn.pad_sequence([cached.position_xy[p] for p in cells], batch_first=True),
            counts=torch.tensor([len(part) for part in cells]),
            locals_=cached.locals_[rows],
            globals_=cached.globals_[cached.global_of_mask[rows]],
            sequences=sequences,
            last_tokens=_last_tokens(sequences.ids == self.sequences.region, self.sequences.mask_num),
            moves=torch.cat([moves_of(cached.places[masks]) for masks in objects]),
            names=torch.tensor([_name_numbers(name) for note in notes for name in _names_of_masks(note)]),
            facts=torch.tensor(
                [fact_numbers(true, note["names"][1:]) for true, note in zip(said, notes, strict=True)]
            ),
        )


def _shares(said: Sequence[Attributes]) -> np.ndarray:
    """How often each piece of evidence is drawn, float [n], in all 1."""
    kinds = Counter((one.event, one.direction) for one in said)
    shares = np.array([kinds[one.event, one.direction] ** -RARITY for one in said])
    strange = np.array([one.class_name == STRANGER for one in said])
    if strange.any():
        worn = Counter(one.colour for one in said if one.class_name == STRANGER)
        shares[strange] *= [worn[one.colour] ** -COLOUR_RARITY for one in said if one.class_name == STRANGER]
    for part, share in ((strange, STRANGER_SHARE), (~strange, 1 - STRANGER_SHARE)):
        if part.any() and not part.all():
            shares[part] *= share / shares[part].sum()
    return shares / shares.sum()


def _names_of_masks(note: dict) -> list[tuple[str, str]]:
    return [tuple(name) for name, masks in zip(note["names"], note["masks"], strict=True) for _ in masks]


def _limits(ends: Tensor, number: int) -> tuple[int, int]:
    return (int(ends[number - 1]) if number else 0), int(ends[number])


def _last_tokens(is_region: Tensor, mask_num: int) -> Tensor:
    """Row and column of every mask's last token, [M,2]."""
    return is_region.nonzero()[mask_num - 1 :: mask_num]


def moves_of(places: Tensor) -> Tensor:
    """Targets of the place head [n,3*D]: place [n,D], change since the first frame, change since the frame before."""
    before = torch.cat((places[:1], places[:-1]))
    kinds = (places - 0.5, places - places[:1], places - before)
    return torch.cat([kind * scale for kind, scale in zip(kinds, PLACE_SCALES, strict=True)], dim=1)


def random_start(counts: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    """Random different rows [M,limit] as first centroids: cheap variety in training."""
    longest = max(int(counts.max()), limit)
    noise = torch.rand(len(counts), longest, generator=generator)
    noise[torch.arange(longest) >= counts[:, None].clamp(min=limit)] = 2.0
    return noise.argsort(1)[:, :limit]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on another device."""
    moved = {name: value.to(device) for name, value in vars(batch).items() if isinstance(value, Tensor)}
    sequences = Sequences(**{name: value.to(device) for name, value in vars(batch.sequences).items()})
    return Batch(**moved, sequences=sequences)


def train_language(
    network: PixelReferLite,
    cached: CachedFeatures,
    tokenizer: WordTokenizer,
    state: Path,
    steps: int,
    seed: int,
    device: torch.device,
    minutes: float | None = None,
    log_every: int = 50,
    peak: float = PEAK_RATE,
) -> None:
    """Train until ``steps`` or ``minutes`` are over; goes on from ``state`` if that file exists."""
    maker = BatchMaker(cached, tokenizer, network.config.mask_num)
    torch.manual_seed(seed)  # for the start values of the helper heads
    trainee = Trainee(network, maker.sequences.region).to(device).train()
    network.model.region_encoder.mask_embedding.requires_grad_(False)
    stage = Stage(state, trainee, make_optimizer(trainee, DECAY), peak, steps, minutes)

    def learn(step: int) -> tuple[Tensor, Parts]:
        batch = maker.draw(OBJECTS_A_STEP, np.random.default_rng([seed, 3, step]))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        start = random_start(batch.counts, network.config.mask_num, generator).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            return trainee.loss(to_device(batch, device), start)

    stage.run(learn, "language", log_every)


@torch.no_grad()
def probe_language(
    network: PixelReferLite, trainee: Trainee, cached: CachedFeatures, tokenizer: WordTokenizer
) -> dict[str, float]:
    """Accuracy of the helper heads, and share of answers whose every token is right when the truth is fed back."""
    maker = BatchMaker(cached, tokenizer, network.config.mask_num)
    hits: dict[str, list[float]] = {}
    for first in range(0, len(maker.said), OBJECTS_A_STEP):
        chosen = list(range(first, min(first + OBJECTS_A_STEP, len(maker.said))))
        batch = to_device(maker.batch(chosen, np.random.default_rng(first)), network.device)
        start = even_start(batch.counts, network.config.mask_num)
        logits, _, ends = trainee(batch, start)
        for (name, head), truth in zip(trainee.fact_heads.items(), batch.facts.T, strict=True):
            asked = truth > 0 if name != "event" else truth >= 0
            hits.setdefault(name, []).extend((head(ends).argmax(-1) == truth)[asked].float().tolist())
        _count_answers(hits, maker.sequences, batch.sequences, logits)
    return {name: float(np.mean(values)) for name, values in hits.items() if values}


def _count_answers(
    hits: dict[str, list[float]], maker: SequenceMaker, sequences: Sequences, logits: Tensor
) -> None:
    right = (logits.argmax(-1) == sequences.targets) | (sequences.targets == IGNORED)
    for number, kind in enumerate(maker.kinds):
        for row in range(len(right)):
            asked = sequences.kinds[row] == number
            if asked.any():
                hits.setdefault(f"answer_{kind}", []).append(float(right[row][asked].all()))
