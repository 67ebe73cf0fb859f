"""Checkpoints in the layout in which the official SAM 2.1 ones are published, small and with random weights."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
import yaml

from modeling.sam2.build import build_tracker
from modeling.sam2.official import published_config

CONFIG, CHECKPOINT = "sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny.pt"
NOWHERE = Path("nowhere")


def small_config(image_size: int = 64) -> dict[str, Any]:
    """The published configuration of the smallest network with fewer channels and blocks; otherwise unchanged."""
    tree = published_config(NOWHERE / CONFIG)
    trunk, neck = tree["image_encoder"]["trunk"], tree["image_encoder"]["neck"]
    trunk |= {"embed_dim": 8, "stages": [1, 1, 2, 1], "global_att_blocks": [3]}
    neck |= {"d_model": 32, "backbone_channel_list": [64, 32, 16, 8]}
    neck["position_encoding"]["num_pos_feats"] = 32
    attention = tree["memory_attention"]
    attention |= {"d_model": 32, "num_layers": 1}
    attention["layer"] |= {"d_model": 32, "dim_feedforward": 32}
    for kind in ("self_attention", "cross_attention"):
        attention["layer"][kind] |= {"embedding_dim": 32, "feat_sizes": [image_size // 16] * 2}
    attention["layer"]["cross_attention"]["kv_in_dim"] = 16
    memory = tree["memory_encoder"]
    memory |= {"in_dim": 32, "out_dim": 16}
    memory["position_encoding"]["num_pos_feats"] = 16
    memory["mask_downsampler"]["embed_dim"] = memory["fuser"]["layer"]["dim"] = 32
    return tree | {"image_size": image_size}


def official_tensors(config: dict[str, Any], seed: int = 3) -> OrderedDict[str, torch.Tensor]:
    """Random weights of a network by their published names."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return OrderedDict(build_tracker(config).state_dict())


def write_checkpoint(folder: Path, config: dict[str, Any] | None = None, **changed: Any) -> Path:
    """Both published files in a folder; `changed` tensors replace those of that name, None leaves one out."""
    config = config or small_config()
    tensors = official_tensors(config) | {name.replace("__", "."): value for name, value in changed.items()}
    kept = OrderedDict((name, value) for name, value in tensors.items() if value is not None)
    # Published are the network's sizes, under "model", and the tensors, under "model" too.
    (folder / CONFIG).write_text(yaml.safe_dump({"model": config}))
    torch.save({"model": kept}, folder / CHECKPOINT)
    return folder / CHECKPOINT
