"""Writing a checkpoint in the official layout, shard by shard, so that it never lies in memory as a whole."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from modeling.pixelrefer.checkpoint import meta_network
from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.images import PatchSettings
from recipes.full_size.vocabulary import write_tokenizer

SHARD_BYTES = 500_000_000
SPREAD = 0.02
"""Standard deviation of the random weights."""

STRIP = 10_000_019
"""How many random numbers are made; a prime, so that no two rows of a tensor are the same."""

Shapes = dict[str, torch.Size]


def stored_bytes(config: CaptionerConfig) -> int:
    """Size of all weights in bfloat16."""
    return sum(2 * shape.numel() for shape in _shapes(config).values())


def write_checkpoint(
    folder: Path, block: Mapping[str, Any], config: CaptionerConfig, base_tokens: int
) -> int:
    """Write configuration, tokenizer and random bfloat16 weights; returns the number of shards.

    `block` is the content of `config.json`, `config` what the network takes from it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", block)
    _write(folder / "preprocessor_config.json", PatchSettings().to_json())
    _write(folder / "generation_config.json", {"repetition_penalty": 1.05, "eos_token_id": [base_tokens + 2]})
    write_tokenizer(folder, base_tokens)
    shards = list(_shards(_shapes(config)))
    weight_map: dict[str, str] = {}
    for number, shapes in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        tensors = {tensor: _random(tensor, shape) for tensor, shape in shapes.items()}
        save_file(tensors, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shapes, name)
    index = {"metadata": {"total_size": stored_bytes(config)}, "weight_map": weight_map}
    _write(folder / "model.safetensors.index.json", index)
    return len(shards)


def _shapes(config: CaptionerConfig) -> Shapes:
    return {name: tensor.shape for name, tensor in meta_network(config).state_dict().items()}


def _shards(shapes: Shapes) -> Iterator[Shapes]:
    """Tensors in their order, cut before a shard grows over its limit."""
    shard: Shapes = {}
    for name, shape in shapes.items():
        if shard and 2 * (sum(other.numel() for other in shard.values()) + shape.numel()) > SHARD_BYTES:
            yield shard
            shard = {}
        shard[name] = shape
    yield shard


def _random(name: str, shape: torch.Size) -> Tensor:
    """Ones for the weights of norms, else small random numbers: a strip of them, laid end to end."""
    if name.endswith("weight") and len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    strip = _strip()[: shape.numel()]
    pieces = -(-shape.numel() // strip.numel())
    return strip.repeat(pieces)[: shape.numel()].view(shape)


@cache
def _strip() -> Tensor:
    """Random numbers made once: two thousand million of them would take longer than all the rest."""
    return torch.empty(STRIP, dtype=torch.bfloat16).normal_(std=SPREAD)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
