"""Vision encoder: a SigLIP-NaViT style transformer over packed images of any size.

Follows the encoder of PixelRefer (arXiv 2510.23603): no class token, no position table, two-dimensional
rotary positions, attention inside one image only. Parameter names are those of the published weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modeling.pixelrefer.attention import PLAIN_LIMIT, Turns, attend, rotary_angles, rotate
from modeling.pixelrefer.config import VisionConfig

ROTARY_THETA = 10000.0
BUCKET_SPREAD = 1.25
"""Images whose lengths differ by at most this factor are padded into one attention call."""


@dataclass(frozen=True)
class Bucket:
    """Images of similar length that attend in one call: `rows` [b,T] of the packed list, and which are real."""

    rows: Tensor
    valid: Tensor | None


def cell_positions(rows: int, columns: int, stride: int) -> Tensor:
    """(row, column) of each patch of one image in d x d block order, int64 [rows*columns, 2]."""
    grid = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), -1)
    blocks = grid.view(rows // stride, stride, columns // stride, stride, 2)
    return blocks.transpose(1, 2).reshape(-1, 2)


@dataclass(frozen=True)
class AttentionPlan:
    """Buckets of one call, and where each packed row lies in their concatenation (None: already in order)."""

    buckets: list[Bucket]
    order: Tensor | None


def plan_attention(counts: list[int], device: torch.device) -> AttentionPlan:
    """Sort images by length and cut them where padding would cost too much. Long images stay alone."""
    starts = torch.tensor([0, *counts]).cumsum(0)[:-1].tolist()
    groups: list[list[int]] = []
    for image in sorted(range(len(counts)), key=lambda image: counts[image]):
        shortest = counts[groups[-1][0]] if groups else 0
        limit = shortest if counts[image] > PLAIN_LIMIT else shortest * BUCKET_SPREAD
        if counts[image] <= limit:
            groups[-1].append(image)
        else:
            groups.append([image])
    buckets = [_bucket([(starts[image], counts[image]) for image in group]) for group in groups]
    rows = torch.cat([b.rows.flatten() if b.valid is None else b.rows[b.valid] for b in buckets])
    order = None if len(groups) == 1 and len(set(counts)) == 1 else rows.argsort().to(device)
    moved = [Bucket(b.rows.to(device), None if b.valid is None else b.valid.to(device)) for b in buckets]
    return AttentionPlan(moved, order)


def _bucket(spans: list[tuple[int, int]]) -> Bucket:
    """Row numbers of images given as (start, count); padding repeats an image's first row."""
    starts = torch.tensor([start for start, _ in spans])[:, None]
    counts = torch.tensor([count for _, count in spans])[:, None]
    offsets = torch.arange(int(counts.max()))
    valid = offsets < counts
    return Bucket(torch.where(valid, starts + offsets, starts), None if bool(valid.all()) else valid)


class PatchEmbeddings(nn.Module):
    """Linear patch embedding, stored as the published convolution kernel [Cv,3,P,P]."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch_px, stride=config.patch_px)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches [N, 3*P*P] in (channel, y, x) order -> [N, Cv]."""
        kernel = self.patch_embedding
        return nn.functional.linear(patches, kernel.weight.flatten(1), kernel.bias)


class SelfAttention(nn.Module):
    """Multi-head attention among the patches of each image."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q_proj = nn.Linear(config.width, config.width)
        self.k_proj = nn.Linear(config.width, config.width)
        self.v_proj = nn.Linear(config.width, config.width)
        self.out_proj = nn.Linear(config.width, config.width)

    def forward(self, states: Tensor, turns: Turns, plan: AttentionPlan) -> Tensor:
        """`states` [N,Cv], `turns` [N,1,D/2] -> [N,Cv]."""
        shape = (states.shape[0], self.heads, -1)
        query = rotate(self.q_proj(states).view(shape), turns)
        key = rotate(self.k_proj(states).view(shape), turns)
        value = self.v_proj(states).view(shape)
        pieces = [self._attend_bucket(query, key, value, bucket) for bucket in plan.buckets]
        mixed = torch.cat(pieces).flatten(1)
        return self.out_proj(mixed if plan.order is None else mixed[plan.order])

    @staticmethod
    def _attend_bucket(query: Tensor, key: Tensor, value: Tensor, bucket: Bucket) -> Tensor:
        """[N,H,D] -> [real patches of the bucket, H, D]."""
        q, k, v = (tensor[bucket.rows].transpose(1, 2) for tensor in (query, key, value))
        mask = None if bucket.valid is None else bucket.valid[:, None, None, :]
        mixed = attend(q, k, v, mask).transpose(1, 2)
        return mixed.flatten(0, 1) if bucket.valid is None else mixed[bucket.valid]


class FeedForward(nn.Module):
    """Two linear layers around a tanh-approximated GELU."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, states: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(states), approximate="tanh"))


class Layer(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.self_attn = SelfAttention(config)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, states: Tensor, turns: Turns, plan: AttentionPlan) -> Tensor:
        states = states + self.self_attn(self.layer_norm1(states), turns, plan)
        return states + self.mlp(self.layer_norm2(states))


class LayerStack(nn.Module):
    """All blocks in order."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))

    def forward(self, states: Tensor, turns: Turns, plan: AttentionPlan) -> Tensor:
        for layer in self.layers:
            states = layer(states, turns, plan)
        return states


class VisionEncoder(nn.Module):
    """Packed patches in, one feature per patch out. Images never see each other."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = PatchEmbeddings(config)
        self.encoder = LayerStack(config)
        self.post_layernorm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, patches: Tensor, grids: Tensor, stride: int = 1) -> Tensor:
        """`patches` [N, 3*P*P] normalised, `grids` int [n,2] (rows, columns), block edge `stride` -> [N,Cv].

        Rows keep the order in which they came (raster for stride 1).
        """
        shapes = [(int(rows), int(columns)) for rows, columns in grids.tolist()]
        turns = Turns.of(self._angles(shapes, stride, patches.device)[:, None])
        plan = plan_attention([rows * columns for rows, columns in shapes], patches.device)
        return self.post_layernorm(self.encoder(self.embeddings(patches), turns, plan))

    def _angles(self, shapes: list[tuple[int, int]], stride: int, device: torch.device) -> Tensor:
        """Row angles then column angles of each patch, [N, D/2]."""
        quarter = self.config.width // self.config.heads // 4
        made = {shape: cell_positions(*shape, stride) for shape in set(shapes)}
        positions = torch.cat([made[shape] for shape in shapes]).to(device)
        return rotary_angles(positions, quarter, ROTARY_THETA).flatten(1)


class VisionTower(nn.Module):
    """Holds the encoder under the name that published weights use."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.vision_encoder = VisionEncoder(config)

    def forward(self, patches: Tensor, grids: Tensor, stride: int = 1) -> Tensor:
        return self.vision_encoder(patches, grids, stride)
