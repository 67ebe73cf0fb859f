"""PAM's Semantic Perceiver and clip assembly (Perceive Anything, arXiv 2506.05302).

From SAM 2's image embedding and mask tokens to a few semantic tokens and a refined map, both projected to the
language model's width. Parameter names are those of the published weights. Here to load such weights and to hold
our pixel shuffle against the published one; the captioners do not use it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modeling.pixelrefer.attention import attend
from modeling.pixelrefer.pixel_shuffle import compress_by_columns

CLIP_FRAMES = 16
DENSE, COARSE = 2, 4
"""Shuffle factor of the clip's first frame, and of all others."""


@dataclass(frozen=True)
class PerceiverConfig:
    """Sizes; the defaults are the published ones."""

    width: int = 256
    heads: int = 8
    mlp_width: int = 2048
    depth: int = 2
    semantic_tokens: int = 16
    language_width: int = 1536


class Attention(nn.Module):
    """Multi-head attention with an inner width of its own."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[B,S,C], [B,T,C], [B,T,C] -> [B,S,C]."""
        mixed = attend(*(self._split(x) for x in (self.q_proj(query), self.k_proj(key), self.v_proj(value))))
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _split(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers around a ReLU."""

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        first, second = (
            nn.Linear(config.width, config.mlp_width),
            nn.Linear(config.mlp_width, config.width),
        )
        self.layers = nn.ModuleList([first, second])

    def forward(self, states: Tensor) -> Tensor:
        return self.layers[1](self.layers[0](states).relu())


class TwoWayBlock(nn.Module):
    """Queries and the image map look at each other."""

    def __init__(self, config: PerceiverConfig, first: bool) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.first = first
        self.self_attn = Attention(width, heads, width)
        self.cross_attn_token_to_image = Attention(width, heads, width // 2)
        self.cross_attn_image_to_token = Attention(width, heads, width // 2)
        self.mlp = Mlp(config)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, queries: Tensor, image: Tensor, origin: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """`queries` [B,S,C] with position code `origin`, `image` [B,T,C] with `code` -> both, updated.

        The first block's self-attention uses no position code and replaces the queries, without a residual.
        """
        if self.first:
            queries = self.self_attn(queries, queries, queries)
        else:
            placed = queries + origin
            queries = queries + self.self_attn(placed, placed, queries)
        queries = self.norm1(queries)
        queries = self.norm2(queries + self.cross_attn_token_to_image(queries + origin, image + code, image))
        queries = self.norm3(queries + self.mlp(queries))
        seen = self.cross_attn_image_to_token(image + code, queries + origin, queries)
        return queries, self.norm4(image + seen)


class FourierCode(nn.Module):
    """SAM's random-Fourier position code."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, width // 2))

    def forward(self, height: int, width: int) -> Tensor:
        """Code [height*width, C] of the cell centres, row by row."""
        matrix = self.positional_encoding_gaussian_matrix
        down = (torch.arange(height, device=matrix.device) + 0.5) / height
        across = (torch.arange(width, device=matrix.device) + 0.5) / width
        centres = torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).flatten(0, 1)
        angles = 2 * math.pi * ((2 * centres - 1) @ matrix)
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class SemanticPerceiver(nn.Module):
    """Reads a frame's image embedding with mask tokens and learned semantic tokens."""

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        width = config.width
        self.pe_layer = FourierCode(width)
        self.sem_tokens = nn.Embedding(config.semantic_tokens, width)
        self.layers = nn.ModuleList(TwoWayBlock(config, index == 0) for index in range(config.depth))
        self.final_attn_token_to_image = Attention(width, config.heads, width // 2)
        self.norm_final_attn = nn.LayerNorm(width)
        self.proj = nn.Linear(COARSE**2 * width, DENSE**2 * width)

    def forward(self, image: Tensor, mask_tokens: Tensor, factor: int) -> tuple[Tensor, Tensor]:
        """`image` [B,C,H,W], `mask_tokens` [B,M,C], shuffle `factor` 2 or 4.

        Returns semantic tokens [B,S,C] and image tokens [B, (H/r)*(W/r), 4*C] in PAM's column order.
        """
        batch, _, height, width = image.shape
        learned = self.sem_tokens.weight.expand(batch, -1, -1)
        origin = queries = torch.cat((mask_tokens, learned), dim=1)
        keys, code = image.flatten(2).transpose(1, 2), self.pe_layer(height, width)
        for layer in self.layers:
            queries, keys = layer(queries, keys, origin, code)
        seen = self.final_attn_token_to_image(queries + origin, keys + code, keys)
        semantic = self.norm_final_attn(queries + seen)[:, mask_tokens.shape[1] :]
        tokens = compress_by_columns(keys.unflatten(1, (height, width)), factor)
        return semantic, self.proj(tokens) if factor == COARSE else tokens


class ClipAssembler(nn.Module):
    """A clip's frames as the rows that replace PAM's image placeholder."""

    def __init__(self, config: PerceiverConfig) -> None:
        super().__init__()
        out = config.language_width
        self.perceiver = SemanticPerceiver(config)
        self.projector_img = _projector(DENSE**2 * config.width, out)
        self.projector_sem = _projector(config.width, out)
        self.image_newline, self.semT_newline, self.frame_newline = (
            nn.Parameter(torch.zeros(out)) for _ in range(3)
        )

    def forward(self, images: Tensor, mask_tokens: Tensor) -> Tensor:
        """Image embeddings [n,C,H,W] and mask tokens [n,M,C] of a clip's frames -> rows [R,D].

        At most 16 frames are taken; the first is dense, the others coarse.
        """
        chosen = select_frames(images.shape[0])
        dense = self.frame_rows(images[chosen[:1]], mask_tokens[chosen[:1]], DENSE)
        if len(chosen) == 1:
            return dense.flatten(0, 1)
        coarse = self.frame_rows(images[chosen[1:]], mask_tokens[chosen[1:]], COARSE)
        return torch.cat((dense.flatten(0, 1), coarse.flatten(0, 1)))

    def frame_rows(self, images: Tensor, mask_tokens: Tensor, factor: int) -> Tensor:
        """Rows [B,R,D] of frames: image tokens, separator, semantic tokens, separator, frame separator."""
        semantic, tokens = self.perceiver(images, mask_tokens, factor)
        parts = (self.projector_img(tokens), self.image_newline, self.projector_sem(semantic))
        return torch.cat([self._rows(part, len(images)) for part in (*parts, *self._ends())], dim=1)

    def _ends(self) -> tuple[Tensor, Tensor]:
        return self.semT_newline, self.frame_newline

    @staticmethod
    def _rows(part: Tensor, batch: int) -> Tensor:
        return part.expand(batch, 1, -1) if part.ndim == 1 else part


def _projector(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))


def select_frames(count: int) -> list[int]:
    """Frame numbers of a clip as PAM picks them: frame 0 and 15 spread over the rest, or all if there are fewer."""
    if count <= CLIP_FRAMES:
        return list(range(count))
    spread = torch.linspace(1, count - 1, CLIP_FRAMES - 1, dtype=torch.float64)
    return [0, *spread.long().tolist()]
