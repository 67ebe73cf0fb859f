"""The model folder that production loads: float16 weights, configuration, words."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from modeling.pixelrefer.checkpoint import save_model
from modeling.pixelrefer.model import PixelReferLite
from modeling.pixelrefer.profile import EMBEDDED, write_profile
from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.captioner.network import PATCHES


def export_captioner(network: PixelReferLite, tokenizer: WordTokenizer, folder: Path) -> None:
    """Write ``folder``; what is read back answers as ``network`` does, up to float16 rounding."""
    halved = copy.deepcopy(network).to(torch.float16)
    save_model(halved, PATCHES, tokenizer, folder)
    write_profile(folder, EMBEDDED)  # as it was trained to be asked and shown things
