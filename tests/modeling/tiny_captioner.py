"""A captioner of PixelRefer-Lite's architecture with few, random, seeded weights: fast, and says anything."""

from pathlib import Path

import numpy as np
import torch

from modeling.pixelrefer.checkpoint import save_model
from modeling.pixelrefer.config import CaptionerConfig, Framework, Geometry, LanguageConfig, VisionConfig
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.model import build_network
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.tokenizer import WordTokenizer

WORDS = (
    "user assistant Time End [ ] : , . ? 0 1 2 3 4 5 6 7 8 9 what is a red ball describe in detail".split()
)


def tiny_config(framework: Framework = "pixelreferlite", tied: bool = True) -> CaptionerConfig:
    """A configuration with our geometry and two small layers everywhere."""
    vocabulary = len(WordTokenizer.build(WORDS))
    return CaptionerConfig(
        framework=framework,
        vision=VisionConfig(width=32, mlp_width=48, layers=2, heads=2),
        language=LanguageConfig(vocabulary, 32, 48, 2, 4, 2, 8, 1e4, tied=tied),
        geometry=Geometry(8, 24, 64, 84, 140),
        mask_num=8,
        mm_max_length=2048,
        cluster_rounds=3 if framework == "pixelreferlite" else 5,
    )


def write_tiny(folder: Path, framework: Framework = "pixelreferlite", tied: bool = True) -> Path:
    """A model folder with the tiny captioner."""
    torch.manual_seed(7)
    network = build_network(tiny_config(framework, tied))
    save_model(network, PatchSettings(), WordTokenizer.build(WORDS), folder)
    return folder


def request(seen: int = 3, things: int = 1, instruction: str = "", **other: object) -> Request:
    """`things` objects, each seen on all of `seen` frames as a small square that moves; `other` fields replace ours."""
    pictures = np.random.default_rng(3).integers(0, 256, (seen, 60, 80, 3), dtype=np.uint8)
    masks = np.zeros((seen * things, 60, 80), np.uint8)
    for number in range(seen * things):
        masks[number, 10 + number : 24 + number, 20:38] = 1
    values = {
        "frames": pictures,
        "times_s": np.arange(seen) * 0.5,
        "masks": masks,
        "mask_frames": np.tile(np.arange(seen), things),
        "objects": np.repeat(np.arange(things), seen),
        "instruction": instruction or " and ".join(["What is <region>?"] * things),
        "max_new_tokens": 6,
    }
    return Request(**{**values, **other})  # type: ignore[arg-type]
