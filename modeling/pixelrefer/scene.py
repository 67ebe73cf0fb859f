"""Scene tokens of PixelRefer: spatial merge and the dropping of cells that did not change."""

import torch
from torch import Tensor

from modeling.pixelrefer.inputs import PackedImages

CHANGE_THRESHOLD = 0.1
"""Mean absolute change of normalised values, times 255, above which a cell is kept."""


def merge_cells(features: Tensor, stride: int) -> Tensor:
    """Features [N,C] in d x d block order -> one mean per block [N/d^2, C], raster order of blocks.

    For d = 2 this is the published bilinear halving.
    """
    return features if stride == 1 else features.unflatten(0, (-1, stride * stride)).mean(1)


def changed_cells(images: PackedImages) -> Tensor:
    """Which merged cells of consecutive frames to keep, bool [cells].

    The first frame keeps all; a frame in which nothing changed keeps its first cell. Works in the number
    format of the patches, whose rounding takes part. All frames must have one size.
    """
    frames = len(images.counts)
    cells = images.patches.view(frames, -1, images.stride**2 * images.patches.shape[1])
    change = (cells[1:] - cells[:-1]).abs().mean(-1) * 255
    kept = torch.ones(cells.shape[:2], dtype=torch.bool, device=cells.device)
    kept[1:] = change > CHANGE_THRESHOLD
    kept[:, 0] |= ~kept.any(1)
    return kept.flatten()
