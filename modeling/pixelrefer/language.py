"""A Qwen2-style decoder that takes embeddings, any attention mask and any positions.

Grouped-query attention with biased query, key and value layers, rotary positions, RMSNorm, gated MLP.
Parameter names are those of the published weights.
"""

import torch
from torch import Tensor, nn

from modeling.pixelrefer.attention import Turns, attend, rotary_angles, rotate
from modeling.pixelrefer.config import LanguageConfig


class KvCache:
    """Keys and values of what was read so far, one preallocated block a layer: [B, G, capacity, D]."""

    def __init__(
        self,
        config: LanguageConfig,
        batch: int,
        capacity: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (config.layers, batch, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    @property
    def capacity(self) -> int:
        """Most positions the cache can hold."""
        return self.keys.shape[3]

    def put(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values after the `length` known ones and return all of them."""
        end = self.length + key.shape[2]
        if end > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} positions, {end} were asked for")
        self.keys[layer, :, :, self.length : end] = key
        self.values[layer, :, :, self.length : end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class RmsNorm(nn.Module):
    """Root-mean-square normalisation, computed in float32."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, states: Tensor) -> Tensor:
        wide = nn.functional.rms_norm(states.float(), self.weight.shape, eps=self.eps)
        return self.weight * wide.to(states.dtype)


class SelfAttention(nn.Module):
    """Grouped-query attention."""

    def __init__(self, config: LanguageConfig, index: int) -> None:
        super().__init__()
        self.index, self.head_dim = index, config.head_dim
        self.q_proj = nn.Linear(config.width, config.heads * config.head_dim)
        self.k_proj = nn.Linear(config.width, config.kv_heads * config.head_dim)
        self.v_proj = nn.Linear(config.width, config.kv_heads * config.head_dim)
        self.o_proj = nn.Linear(config.heads * config.head_dim, config.width, bias=False)

    def forward(self, states: Tensor, turns: Turns, mask: Tensor | None, cache: KvCache | None) -> Tensor:
        """`states` [B,S,C], `turns` [B,1,S,D/2], `mask` bool [B|1,1,S,T] -> [B,S,C]."""
        shape = (*states.shape[:2], -1, self.head_dim)
        query = rotate(self.q_proj(states).view(shape).transpose(1, 2), turns)
        key = rotate(self.k_proj(states).view(shape).transpose(1, 2), turns)
        value = self.v_proj(states).view(shape).transpose(1, 2)
        if cache is not None:
            key, value = cache.put(self.index, key, value)
        mixed = attend(query, key, value, mask)
        return self.o_proj(mixed.transpose(1, 2).flatten(2))


class GatedMlp(nn.Module):
    """SiLU-gated feed-forward layer without biases."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.up_proj = nn.Linear(config.width, config.mlp_width, bias=False)
        self.down_proj = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        return self.down_proj(nn.functional.silu(self.gate_proj(states)) * self.up_proj(states))


class Layer(nn.Module):
    """Pre-norm decoder block."""

    def __init__(self, config: LanguageConfig, index: int) -> None:
        super().__init__()
        self.input_layernorm = RmsNorm(config.width, config.norm_eps)
        self.self_attn = SelfAttention(config, index)
        self.post_attention_layernorm = RmsNorm(config.width, config.norm_eps)
        self.mlp = GatedMlp(config)

    def forward(self, states: Tensor, turns: Turns, mask: Tensor | None, cache: KvCache | None) -> Tensor:
        states = states + self.self_attn(self.input_layernorm(states), turns, mask, cache)
        return states + self.mlp(self.post_attention_layernorm(states))


class LanguageModel(nn.Module):
    """Token embedding, decoder blocks, final norm."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.language_config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        if not self.embed_tokens.weight.is_meta:
            nn.init.normal_(self.embed_tokens.weight, std=0.02)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.layers))
        self.norm = RmsNorm(config.width, config.norm_eps)

    def decode(
        self,
        embeds: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KvCache | None = None,
    ) -> Tensor:
        """Hidden states [B,S,C] of the embeddings `embeds` [B,S,C].

        `positions` int [B|1,S] (default: follow what the cache holds); `mask` bool, broadcastable to
        [B,1,S,T] with T counting cached positions first, true where attention is allowed (default: causal).
        """
        known = cache.length if cache is not None else 0
        count = embeds.shape[1]
        if positions is None:
            positions = torch.arange(known, known + count, device=embeds.device)[None]
        if mask is None and count > 1:
            mask = torch.ones(count, known + count, dtype=torch.bool, device=embeds.device).tril(known)
        config = self.language_config
        turns = Turns.of(rotary_angles(positions, config.head_dim // 2, config.rope_theta)[:, None])
        states = embeds
        for layer in self.layers:
            states = layer(states, turns, mask, cache)
        if cache is not None:
            cache.length += count
        return self.norm(states)
