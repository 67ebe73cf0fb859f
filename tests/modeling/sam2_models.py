"""Small SAM 2 models and pictures for tests: the recorded one, and a tiny random one that is quick."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from modeling.sam2.build import build_tracker, tracker_config
from modeling.sam2.network import Network
from recipes.parity.sam2_cases import read_model, read_pictures

RECORDED = Path(__file__).parents[1] / "data" / "parity" / "sam2"
TINY = tracker_config(
    embed_dim=8, d_model=32, mem_dim=16, memory_attention_layers=1, image_size=64, feedforward=32
)


@cache
def recorded_network(object_batch: int = 1) -> Network:
    """The model of the parity data, 128 pixels: its memories matter to what it answers."""
    return Network(read_model(RECORDED), encode_batch=4, object_batch=object_batch)


@cache
def recorded_pictures(count: int) -> tuple[np.ndarray, ...]:
    """The recorded pictures over and over, moved a little each time, RGB uint8 [128, 128, 3]."""
    pictures = read_pictures(RECORDED)
    length = len(pictures)
    return tuple(np.roll(pictures[at % length], 3 * (at // length), axis=1) for at in range(count))


def tiny_network() -> Network:
    """Random weights, always the same ones; made anew with every call."""
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    model = build_tracker(TINY)
    torch.random.set_rng_state(state)
    return Network(model, encode_batch=8)


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures of nothing, RGB uint8 [48, 64, 3]."""
    return list(np.random.default_rng(seed).integers(0, 255, (count, 48, 64, 3), dtype=np.uint8))
