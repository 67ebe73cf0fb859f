"""Pixel shuffle beyond what reference values cover."""

import pytest
import torch
from torch import nn

from modeling.pixelrefer.perceiver import select_frames
from modeling.pixelrefer.pixel_shuffle import (
    compress,
    compress_by_columns,
    pool,
    project_mean,
    real_cells,
    tile_first_layer,
)


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (5, 7), (9, 4)])
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_every_cell_is_kept_once_and_padding_is_counted(size: tuple[int, int], factor: int) -> None:
    grid = torch.arange(size[0] * size[1]).view(1, *size, 1)
    tokens, real = compress(grid, factor), real_cells(*size, factor)
    assert tokens.shape == (1, len(real), factor * factor)
    assert set(tokens.flatten().tolist()) == set(range(size[0] * size[1]))
    assert int(real.sum()) == size[0] * size[1] and real.min() >= 1


def test_wrong_grids_and_factors_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        compress(torch.zeros(1, 4, 4, 2), 0)
    with pytest.raises(ValueError, match="not empty"):
        compress(torch.zeros(1, 0, 4, 2), 2)
    with pytest.raises(ValueError, match="square grid"):
        compress_by_columns(torch.zeros(1, 4, 6, 2), 2)


def test_averaging_first_equals_the_tiled_layer_on_odd_grids() -> None:
    torch.manual_seed(0)
    grid, layer = torch.randn(2, 5, 7, 6), nn.Linear(6, 3)
    tiled = nn.functional.linear(compress(grid, 4), tile_first_layer(layer.weight, 4), layer.bias)
    torch.testing.assert_close(project_mean(grid, 4, layer), tiled, atol=1e-6, rtol=1e-5)
    assert pool(grid, 4).shape == (2, 4, 6)


def test_a_short_clip_keeps_all_its_frames() -> None:
    assert select_frames(5) == [0, 1, 2, 3, 4]
    assert select_frames(17)[0] == 0 and select_frames(17)[-1] == 16 and len(select_frames(17)) == 16
