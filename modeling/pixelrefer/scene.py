"""Scene tokens of PixelRefer: spatial merge, pixel shuffle by frame, and the dropping of what did not change."""

from collections.abc import Sequence

import torch
from torch import Tensor

from modeling.pixelrefer.inputs import PackedImages
from modeling.pixelrefer.pixel_shuffle import Tiling, compress, pool

CHANGE_THRESHOLD = 0.1
"""Mean absolute change of normalised values, times 255, above which a cell is kept."""


def merge_cells(features: Tensor, stride: int) -> Tensor:
    """Features [N,C] in d x d block order -> one mean per block [N/d^2, C], raster order of blocks.

    For d = 2 this is the published bilinear halving.
    """
    return features if stride == 1 else features.unflatten(0, (-1, stride * stride)).mean(1)


def pool_frames(
    features: Tensor, images: PackedImages, factors: Sequence[int], tiling: Tiling = "mean"
) -> list[Tensor]:
    """One tensor [tokens,C] a frame: the averages of its r x r blocks, row by row.

    `features` [N,C] of all images; `factors` gives each image's r. Images packed in blocks (stride above 1) can
    be averaged over those blocks only. Raises ValueError.
    """
    if images.stride > 1:
        if set(factors) != {images.stride}:
            raise ValueError(f"images packed in blocks of {images.stride} cannot be folded by {set(factors)}")
        merged = merge_cells(features, images.stride)
        return list(merged.split([count // images.stride**2 for count in images.counts]))
    grids = frame_grids(features, images)
    return [pool(grid, factor, tiling)[0] for grid, factor in zip(grids, factors, strict=True)]


def frame_grids(features: Tensor, images: PackedImages) -> list[Tensor]:
    """Features [N,C] of images packed in raster order -> one grid [1,rows,columns,C] an image."""
    if images.stride > 1:
        raise ValueError(f"images packed in blocks of {images.stride} have no raster grid")
    pieces = zip(features.split(images.counts), images.grids.tolist(), strict=True)
    return [piece.view(1, rows, columns, -1) for piece, (rows, columns) in pieces]


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


def changed_tokens(
    images: PackedImages, factors: Sequence[int], before: Tensor | None = None
) -> list[Tensor]:
    """Which tokens of frames packed in raster order to keep, bool [tokens] a frame.

    `before` [N, 3*P*P] are the patches of the frame that precedes them, if it has their size; without it the
    first frame keeps all. A token of 2 x 2 patches follows the published rule, the mean over its pixels; a larger
    one is dropped only if every one of its patches is unchanged. Frames never lose their last token.
    """
    rows, columns = (int(side) for side in images.grids[0])
    patches = images.patches.view(len(images.counts), rows * columns, -1)
    earlier = patches[:-1] if before is None else torch.cat((before[None], patches[:-1]))
    change = (patches[len(patches) - len(earlier) :] - earlier).abs().mean(-1) * 255
    first = [] if before is not None else [torch.ones(_tokens(rows, columns, factors[0]), dtype=torch.bool)]
    grids = change.view(-1, 1, rows, columns, 1)
    return first + [_kept(grid, factor) for grid, factor in zip(grids, factors[len(first) :], strict=True)]


def _tokens(rows: int, columns: int, factor: int) -> int:
    return -(-rows // factor) * -(-columns // factor)


def _kept(change: Tensor, factor: int) -> Tensor:
    """Change [1,rows,columns,1] of each patch -> which tokens to keep."""
    blocks = compress(change, factor)[0]
    kept = (blocks.mean(-1) if factor <= 2 else blocks.amax(-1)) > CHANGE_THRESHOLD
    kept[0] |= ~kept.any()
    return kept
