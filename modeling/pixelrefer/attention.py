"""Scaled dot-product attention and rotary turns shared by the vision encoder and the language model."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN_LIMIT = 1024
"""Longest key sequence for which plain matrix products are used on a CPU."""
TRAINED_LIMIT = 256
"""The same where gradients are wanted: what plain products keep for them costs more than the products."""


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention over the last two axes.

    `query` is [B,H,S,D]; `key` and `value` are [B,G,T,D] where G divides H (grouped heads); `mask` is a
    boolean tensor that broadcasts to [B,H,S,T], true where attention is allowed. Returns [B,H,S,D].
    On a CPU the fused kernel loses to two matrix products while sequences are short, so both are kept.
    """
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key = key.repeat_interleave(groups, dim=1)
        value = value.repeat_interleave(groups, dim=1)
    limit = TRAINED_LIMIT if query.requires_grad else PLAIN_LIMIT
    if query.device.type != "cpu" or key.shape[2] > limit:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(value.dtype) @ value


@dataclass(frozen=True)
class Turns:
    """Cosines and sines float32 [...,D/2] by which positions turn queries and keys."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, angles: Tensor) -> "Turns":
        """From angles, computed once for all layers."""
        return cls(angles.cos(), angles.sin())


def rotary_angles(positions: Tensor, half_dim: int, theta: float) -> Tensor:
    """Angles position * theta^(-i/half_dim) for i = 0..half_dim-1, float32 [*positions.shape, half_dim]."""
    index = torch.arange(half_dim, device=positions.device, dtype=torch.float32)
    return positions.float()[..., None] * (theta ** (-index / half_dim))


def rotate(states: Tensor, turns: Turns) -> Tensor:
    """Turn `states` [...,D] with the half-split pairing, in float32, cast back."""
    first, second = states.float().chunk(2, dim=-1)
    cos, sin = turns.cos, turns.sin
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(states.dtype)
