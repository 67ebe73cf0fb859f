"""Pixel shuffle: fold r x r cells of a feature grid into the channels of one token.

The idea is Perceive Anything's (arXiv 2506.05302); applied to PixelRefer's patch grid it shortens the scene part
of a prompt. Channels are ordered (row in block, column in block, channel). Our tokens run row by row on grids of
any shape; PAM's run column by column on square ones.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn

from modeling.pixelrefer.compression import Reading as Tiling


def compress(grid: Tensor, factor: int) -> Tensor:
    """Feature grid [T,H,W,C] -> tokens [T, ceil(H/r)*ceil(W/r), r*r*C], row by row.

    Sides that r does not divide are extended by repeating the last row or column, which keeps statistics in
    range where zeros would not. Raises ValueError for a factor below 1 or an empty grid.
    """
    return _fold(grid, factor).flatten(1, 2)


def compress_by_columns(grid: Tensor, factor: int) -> Tensor:
    """PAM's layout: the same tokens as `compress`, column by column. The grid must be square and divide evenly."""
    height, width = grid.shape[1:3]
    if height != width or height % factor:
        raise ValueError(f"PAM's layout needs a square grid divisible by {factor}, not {height} x {width}")
    return _fold(grid, factor).transpose(1, 2).flatten(1, 2)


def _fold(grid: Tensor, factor: int) -> Tensor:
    """[T,H,W,C] -> [T, H/r, W/r, r*r*C]."""
    if factor < 1:
        raise ValueError(f"the factor must be at least 1, not {factor}")
    if grid.ndim != 4 or 0 in grid.shape:
        raise ValueError(f"the grid must be [T,H,W,C] and not empty, not {list(grid.shape)}")
    rows = torch.arange(_round_up(grid.shape[1], factor)).clamp(max=grid.shape[1] - 1)
    columns = torch.arange(_round_up(grid.shape[2], factor)).clamp(max=grid.shape[2] - 1)
    full = grid[:, rows][:, :, columns] if len(rows) + len(columns) > sum(grid.shape[1:3]) else grid
    blocks = full.unflatten(2, (-1, factor)).unflatten(1, (-1, factor))
    return blocks.permute(0, 1, 3, 2, 4, 5).flatten(3)


def _round_up(side: int, factor: int) -> int:
    return -(-side // factor) * factor


def real_cells(height: int, width: int, factor: int) -> Tensor:
    """How many of a token's cells are real rather than repeated, int64 [tokens], in the order of `compress`."""
    rows = (height - torch.arange(0, height, factor)).clamp(max=factor)
    columns = (width - torch.arange(0, width, factor)).clamp(max=factor)
    return (rows[:, None] * columns).flatten()


def nested_order(channels: int) -> Tensor:
    """Channel order int64 [16*C] that turns two 2x2 folds into one 4x4 fold.

    `compress(grid, 4) == compress(regrid(compress(grid, 2)), 2)[..., nested_order(C)]`, so the 4x4 tokens of a
    frame can be had from its kept 2x2 tokens.
    """
    index = torch.arange(16 * channels).view(2, 2, 2, 2, channels)  # outer y, outer x, inner y, inner x, c
    return index.permute(0, 2, 1, 3, 4).flatten()


def tiled_cells(factor: int, tiling: Tiling) -> slice:
    """Rows (and columns) of a block that a tiling averages."""
    return slice(None) if tiling == "mean" else slice((factor - 1) // 2, factor // 2 + 1)


def tile_first_layer(weight: Tensor, factor: int, tiling: Tiling = "mean") -> Tensor:
    """First projector layer [D,C] -> [D, r*r*C] that treats a token as an average of its cells.

    `mean` averages all cells: at r = 2 it equals the published projector after its spatial merge. `centre`
    averages the middle 2 x 2 cells, which is what bilinear resizing to a quarter keeps. The result is average
    pooling written as a shuffle, and the place from which to train.
    """
    cells = torch.zeros(factor, factor, dtype=weight.dtype, device=weight.device)
    inner = tiled_cells(factor, tiling)
    cells[inner, inner] = 1 / cells[inner, inner].numel()
    return (cells.flatten()[None, :, None] * weight[:, None]).flatten(1)


def tiled_projector(readout: nn.Sequential, factor: int, tiling: Tiling = "mean") -> nn.Sequential:
    """A projector (linear, activation, linear) for folded tokens [..., r*r*C], to be trained on from here.

    Its first layer is that of `readout` tiled; the layers behind it are copies. Until trained it says exactly
    what averaging and `readout` say, at r*r times the cost of the first layer.
    """
    first = readout[0]
    if not isinstance(first, nn.Linear):
        raise ValueError(f"the first layer of a projector must be linear, not {type(first).__name__}")
    wide = nn.Linear(first.in_features * factor**2, first.out_features, first.bias is not None)
    wide.to(first.weight.device, first.weight.dtype)
    with torch.no_grad():
        wide.weight.copy_(tile_first_layer(first.weight, factor, tiling))
        if first.bias is not None:
            wide.bias.copy_(first.bias)
    return nn.Sequential(wide, *(deepcopy(layer) for layer in readout[1:]))


def pool(grid: Tensor, factor: int, tiling: Tiling = "mean") -> Tensor:
    """Average of the cells of each block that `tiling` looks at, [T, tokens, C]; repeated cells count."""
    blocks = compress(grid, factor).unflatten(-1, (factor, factor, -1))
    inner = tiled_cells(factor, tiling)
    return blocks[:, :, inner, inner].mean((-3, -2))


def project_mean(grid: Tensor, factor: int, projector: nn.Module) -> Tensor:
    """What the tiled (`mean`) projector would give, r*r times cheaper: average first, then project."""
    return projector(pool(grid, factor))
