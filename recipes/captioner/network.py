"""Sizes of the embedded captioner: a PixelRefer-Lite of about 4.6 million parameters."""

from __future__ import annotations

import torch
from torch import nn

from modeling.pixelrefer.config import CaptionerConfig, Geometry, LanguageConfig, VisionConfig
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.model import PixelReferLite

POSITION_SCALE = 2.0
"""Spread of the position code's start values: motion lives in it alone, so it must not drown in the features."""
PATCHES = PatchSettings(min_pixels=14 * 14)


def lite_config(vocab_size: int) -> CaptionerConfig:
    """The embedded captioner for a vocabulary of this size."""
    return CaptionerConfig(
        framework="pixelreferlite",
        vision=VisionConfig(width=192, mlp_width=768, layers=4, heads=4),
        language=LanguageConfig(
            vocab_size=vocab_size,
            width=256,
            mlp_width=704,
            layers=3,
            heads=8,
            kv_heads=4,
            head_dim=32,
            rope_theta=1e4,
        ),
        geometry=Geometry(
            crop_margin_px=16,
            large_object_patches=24,
            crop_patch_cap=64,
            local_view_px=84,
            global_view_px=168,
            share_local_view=False,
        ),
        mask_num=8,
    )


def new_network(vocab_size: int, seed: int) -> PixelReferLite:
    """A network with start values drawn from ``seed``."""
    torch.manual_seed(seed)
    network = PixelReferLite(lite_config(vocab_size))
    nn.init.normal_(network.model.region_encoder.pos_linear.weight, std=POSITION_SCALE)
    return network
