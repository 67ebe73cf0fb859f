"""Training of the captioner with scene tokens: one network for all settings, or for some of them; its encoder rests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from modeling.pixelrefer.model import PixelRefer
from modeling.pixelrefer.region import LiteRegionEncoder, merge_tokens
from modeling.pixelrefer.tokenizer import IMAGE, REGION, WordTokenizer
from recipes.captioner.language_stage import (
    DECAY,
    FACT_WEIGHT,
    FACTS,
    PLACE_SCALES,
    PLACE_WEIGHT,
    random_start,
)
from recipes.captioner.progress import Parts, Stage, make_optimizer
from recipes.captioner.samples import IGNORED
from recipes.compression.batches import Batch, BatchMaker
from recipes.compression.cache import Features
from recipes.compression.network import SceneProjection
from recipes.compression.settings import CLIP_FRAMES, Setting

PEAK_RATE = 4e-4
TRACK_WEIGHT, SEEN_WEIGHT = 2.0, 0.2
ASKED_FACTS = tuple(name for name in FACTS if name != "partner")


class Trainee(nn.Module):
    """What is trained: everything but the encoder, and helper heads that are thrown away afterwards.

    The heads ask at each mask where it lies and how far it moved, and where the answer begins for what the object does
    and where it is on each frame, which the scene alone tells: words alone would teach all that late.
    """

    def __init__(self, network: PixelRefer, tokenizer: WordTokenizer) -> None:
        super().__init__()
        body = network.model
        self.image_id, self.region_id = tokenizer.id_of(IMAGE), tokenizer.id_of(REGION)
        self.projection = SceneProjection(network)
        self.region = region = body.region_encoder
        assert isinstance(region, LiteRegionEncoder)
        for unused in (region.fusion_attention_global, region.ln_global, region.mask_embedding):
            unused.requires_grad_(False)
        self.tokens_a_mask = region.limit
        self.embed_tokens, self.layers, self.norm = body.embed_tokens, body.layers, body.norm
        self._network = [network]  # not registered: its encoder is not trained
        width = network.config.language.width
        self.fact_heads = nn.ModuleDict({name: nn.Linear(width, len(FACTS[name])) for name in ASKED_FACTS})
        self.place_head = nn.Linear(width, 2 * len(PLACE_SCALES))
        self.track_head = nn.Linear(width, CLIP_FRAMES * 3)

    def forward(self, batch: Batch, start: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Token logits [n,V] where words are asked for, states [M,C] at the masks, [P,C] where answers begin."""
        network, trees = self._network[0], batch.trees
        scene = self.projection(batch.grids.float(), batch.factors, batch.setting.own_projector)
        objects = object_tokens(self.region, batch.cells, batch.position_xy, batch.counts, start).flatten(
            0, 1
        )
        embeds = network.embed_tokens(trees.ids).to(objects.dtype).clone()
        embeds[trees.ids == self.image_id] = scene.flatten(0, 1).to(embeds.dtype)
        embeds[trees.ids == self.region_id] = objects
        hidden = network.decode(embeds, trees.positions, trees.mask)
        asked = trees.targets != IGNORED
        regions = (trees.ids == self.region_id).nonzero()
        lasts = regions[self.tokens_a_mask - 1 :: self.tokens_a_mask]
        at_masks, at_ends = (hidden[at[:, 0], at[:, 1]] for at in (lasts, trees.ends))
        return network.logits(hidden[asked]), at_masks, at_ends

    def loss(self, batch: Batch, start: Tensor) -> tuple[Tensor, dict[str, float]]:
        """The sum of all losses and its parts."""
        logits, at_masks, ends = self(batch, start)
        targets = batch.trees.targets
        words = nn.functional.cross_entropy(logits.float(), targets[targets != IGNORED])
        track = self.track_head(ends).float().unflatten(-1, (CLIP_FRAMES, 3))
        seen = batch.tracks[..., 2]
        off = nn.functional.smooth_l1_loss(track[..., :2], batch.tracks[..., :2], beta=0.05, reduction="none")
        tracks = (off.sum(-1) * seen).sum() / seen.sum().clamp(min=1)
        places = nn.functional.smooth_l1_loss(self.place_head(at_masks).float(), batch.moves, beta=0.2)
        visible = nn.functional.binary_cross_entropy_with_logits(track[..., 2], seen)
        parts = {"words": words, "places": places, "tracks": tracks, "seen": visible}
        total = words + PLACE_WEIGHT * places + TRACK_WEIGHT * tracks + SEEN_WEIGHT * visible
        for (name, head), truth in zip(self.fact_heads.items(), batch.facts.T, strict=True):
            wrong = nn.functional.cross_entropy(head(ends).float(), truth)
            parts[name] = wrong
            total = total + FACT_WEIGHT * wrong
        return total, {name: part.item() for name, part in parts.items()}


def object_tokens(
    region: nn.Module, cells: Tensor, position_xy: Tensor, counts: Tensor, start: Tensor | None = None
) -> Tensor:
    """Object tokens [M,K,C] of masks with padded cells [M,n,Cv], which look at these cells once more."""
    assert isinstance(region, LiteRegionEncoder)
    cells = cells.float()
    merged = merge_tokens(cells + region.position(position_xy), counts, region.limit, region.rounds, start)
    real = torch.arange(cells.shape[1]) < counts[:, None]
    return region.feat_linear(region.infuse_local(merged, cells, real))


def train_scene_captioner(
    network: PixelRefer,
    features: Features,
    tokenizer: WordTokenizer,
    settings: Sequence[Setting],
    state: Path,
    steps: int,
    seed: int,
    minutes: float | None = None,
    log_every: int = 25,
) -> SceneProjection:
    """Train until ``steps`` or ``minutes`` are over; goes on from ``state`` if that file exists.

    Returns the scene's projectors, of which ``network`` holds only the shared one.
    """
    maker = BatchMaker(features, tokenizer, network.config)
    torch.manual_seed(seed)
    trainee = Trainee(network, tokenizer).train()
    stage = Stage(state, trainee, make_optimizer(trainee, DECAY), PEAK_RATE, steps, minutes)

    def learn(step: int) -> tuple[Tensor, Parts]:
        batch = maker.draw(settings, np.random.default_rng([seed, 5, step]))
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        start = random_start(batch.counts, network.config.mask_num, generator)
        with torch.autocast("cpu", torch.bfloat16):
            return trainee.loss(batch, start)

    stage.run(learn, state.stem, log_every)
    return trainee.projection.eval()
