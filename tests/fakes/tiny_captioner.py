"""A captioner with random weights, small enough to be made for a test: real network, meaningless words."""

from __future__ import annotations

from pathlib import Path

import torch

from modeling.pixelrefer.checkpoint import save_model
from modeling.pixelrefer.config import CaptionerConfig, Geometry, LanguageConfig, VisionConfig
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.model import build_network
from modeling.pixelrefer.tokenizer import WordTokenizer

WORDS = "user assistant until describe it in detail time a red blue car ball drives rolls to the left right s".split()
SIGNS = list("[]():,.<>?0123456789")


def make_tiny_captioner(folder: Path, seed: int = 0) -> Path:
    """Write a PixelRefer-Lite model folder of well under a megabyte; the same seed gives the same words,
    for ever: it never says that it is done."""
    tokenizer = WordTokenizer.build([*SIGNS, *WORDS])
    config = CaptionerConfig(
        framework="pixelreferlite",
        vision=VisionConfig(width=32, mlp_width=64, layers=1, heads=4),
        language=LanguageConfig(
            vocab_size=len(tokenizer),
            width=32,
            mlp_width=64,
            layers=1,
            heads=4,
            kv_heads=2,
            head_dim=8,
            tied=False,
        ),
        geometry=Geometry(crop_margin_px=8, crop_patch_cap=64, local_view_px=56, global_view_px=84),
        mask_num=4,
    )
    torch.manual_seed(seed)
    network = build_network(config)
    with torch.no_grad():  # no special token ever wins: it speaks, and never ends by itself
        network.lm_head.weight[[tokenizer.id_of(token) for token in tokenizer.special]] = 0
    save_model(network, PatchSettings(), tokenizer, folder)
    return folder
