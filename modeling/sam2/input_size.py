"""The same weights at another input size than the one in their configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modeling.sam2.build import at_image_size, read_config, windows

CPU_PIXELS = 512 * 512 * 4
"""Of pictures encoded at once on a CPU. Four times as many objects as such pictures are stepped at once."""


def with_input_size(config: Mapping[str, Any] | Path, size_px: int) -> dict[str, Any]:
    """The configuration with pictures squashed to ``size_px`` (a multiple of 32) in both directions.

    Attention windows that tile the feature maps without padding (:func:`windows`, as our own training sets them) go on
    doing so; others stay as they were published, since the weights know no other. Weights trained at one size lose
    accuracy at another.
    """
    tree = read_config(config)
    spec = tree["image_encoder"]["trunk"].get("window_spec")
    if spec is not None and list(spec) == list(windows(tree["image_size"])):
        return at_image_size(tree, size_px)
    windows(size_px)  # refuses sizes that no network here takes
    tree = json.loads(json.dumps(tree))
    for kind in ("self_attention", "cross_attention"):
        tree["memory_attention"]["layer"][kind]["feat_sizes"] = [size_px // 16] * 2
    tree["image_size"] = size_px
    return tree


def batches(size_px: int, device: str, encode_batch: int, object_batch: int) -> tuple[int, int]:
    """Pictures encoded and objects stepped at once: as asked for, but on a CPU no more than memory is likely to bear.

    Activations grow with the square of the input size: 8 pictures of 1024 px at once would want many gigabytes.
    """
    if not device.startswith("cpu"):
        return encode_batch, object_batch
    at_once = max(1, CPU_PIXELS // size_px**2)
    return min(encode_batch, at_once), min(object_batch, 4 * at_once)


def clicks_at_once(size_px: int, device: str, most: int) -> int:
    """Clicks decoded at once, each with finest maps of its own: ``most``, on a CPU fewer the larger pictures are."""
    return most if not device.startswith("cpu") else max(1, min(most, CPU_PIXELS * 4 // size_px**2))
