"""Cutting objects out of frames: margins, scale, and the views that each framework looks at.

Published behaviour, odd corners included, with the constants of `Geometry`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.resize import resize_area, resize_linear

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Window:
    """Where an object is cut out, before any picture is touched.

    `rows` and `columns` slice the frame; `grid` [gh,gw] is the mask on the patch grid of the crop's working size;
    `box` is (top, left, bottom, right) in frame pixels as the position code takes it.
    """

    rows: slice
    columns: slice
    grid: torch.Tensor
    box: Box

    def size_px(self, patch_px: int) -> tuple[int, int]:
        """Height and width of the crop at its working size."""
        return self.grid.shape[0] * patch_px, self.grid.shape[1] * patch_px

    def cut(self, frame: Pixels) -> Pixels:
        """The piece of the frame, not resized."""
        return np.ascontiguousarray(frame[self.rows, self.columns])


@dataclass(frozen=True)
class ObjectCrop:
    """One mask's crop at its working size, the mask on the patch grid, and what the position code needs.

    `box` is (top, left, bottom, right) in frame pixels; `frame` is (height, width).
    """

    image: Pixels
    grid: torch.Tensor
    box: Box
    frame: tuple[int, int]


@dataclass(frozen=True)
class LiteCrop:
    """The crop of PixelRefer-Lite with its local view."""

    crop: ObjectCrop
    local_view: Pixels


def bounds(mask: Pixels) -> Box | None:
    """Inclusive (first row, first column, last row, last column) of the pixels set; None if there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])


def object_scale(area_px: int, config: CaptionerConfig) -> float:
    """Factor by which a crop is resized: small objects grow to about K patches, very large ones shrink."""
    patch_area = config.vision.patch_px**2
    scale = math.ceil(math.sqrt(patch_area * config.mask_num / area_px))
    limit = config.geometry.large_object_patches
    if scale == 1 and area_px / patch_area > limit:
        return 1 / math.sqrt(area_px / patch_area / limit)
    return scale


def working_grid(size: tuple[int, int], scale: float, config: CaptionerConfig) -> tuple[int, int]:
    """Patch grid of a crop of `size` (height, width) in pixels, under the configured cap on patches."""
    edge, cap = config.vision.patch_px, config.geometry.crop_patch_cap
    rows, columns = (math.ceil(side * scale / edge) for side in size)
    if cap is None or rows * columns <= cap:
        return rows, columns
    shrink = math.sqrt(cap / (rows * columns))
    rows, columns = max(1, math.floor(rows * shrink)), max(1, math.floor(columns * shrink))
    return min(rows, cap // columns) or 1, min(columns, cap)


def window_object(mask: Pixels, config: CaptionerConfig) -> Window | None:
    """PixelRefer's window around the object `mask` (0/1, frame size); None for an empty mask.

    The last row and column of the box are left out, and the mask is resized by the two-pass 8-bit bilinear
    kernel of torch: both as published.
    """
    found = bounds(mask)
    if found is None:
        return None
    height, width = mask.shape
    margin = config.geometry.crop_margin_px
    top, left = max(0, found[0] - margin), max(0, found[1] - margin)
    bottom, right = min(height - 1, found[2] + margin), min(width - 1, found[3] + margin)
    # A frame of one row or column would otherwise leave nothing to cut.
    rows, columns = slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))
    cover = np.ascontiguousarray(mask[rows, columns])
    size = working_grid((cover.shape[0], cover.shape[1]), object_scale(int(mask.sum()), config), config)
    grid = torch.nn.functional.interpolate(
        torch.from_numpy(cover)[None, None], size=size, mode="bilinear", align_corners=False
    )[0, 0]
    return Window(rows, columns, grid, (top, left, bottom, right))


def window_lite(mask: Pixels, config: CaptionerConfig) -> Window | None:
    """PixelRefer-Lite's window around the object `mask` (0/1, frame size); None for an empty mask."""
    found = bounds(mask)
    if found is None:
        return None
    height, width = mask.shape
    margin = config.geometry.crop_margin_px
    top, left = max(0, found[0] - margin), max(0, found[1] - margin)
    bottom, right = min(height, found[2] + 1 + margin), min(width, found[3] + 1 + margin)
    cover = np.ascontiguousarray(mask[top:bottom, left:right]).astype(np.float32)
    size = working_grid((cover.shape[0], cover.shape[1]), object_scale(int(mask.sum()), config), config)
    grid = torch.from_numpy(resize_linear(cover, *size))
    box = (top, left, min(height - 1, bottom - 1), min(width - 1, right - 1))
    return Window(slice(top, bottom), slice(left, right), grid, box)


def crop_object(frame: Pixels, mask: Pixels, config: CaptionerConfig) -> ObjectCrop | None:
    """PixelRefer's crop of the object `mask` (0/1, frame size); None for an empty mask."""
    window = window_object(mask, config)
    if window is None:
        return None
    image = resize_linear(window.cut(frame), *window.size_px(config.vision.patch_px))
    return ObjectCrop(image, window.grid, window.box, _size(mask))


def crop_lite(frame: Pixels, mask: Pixels, config: CaptionerConfig) -> LiteCrop:
    """PixelRefer-Lite's crop and local view of the object `mask` (0/1, frame size).

    An empty mask gives a black patch, an empty grid and the whole frame as local view.
    """
    side, edge = config.geometry.local_view_px, config.vision.patch_px
    window = window_lite(mask, config)
    if window is None:
        black = np.zeros((edge, edge, 3), np.uint8)
        nothing = ObjectCrop(black, torch.zeros(1, 1), (0, 0, 0, 0), _size(mask))
        return LiteCrop(nothing, resize_area(frame, side, side))
    piece = window.cut(frame)
    height, width = window.size_px(edge)
    shrinks = height < piece.shape[0] and width < piece.shape[1]
    image = (resize_area if shrinks else resize_linear)(piece, height, width)
    return LiteCrop(ObjectCrop(image, window.grid, window.box, _size(mask)), resize_area(piece, side, side))


def _size(mask: Pixels) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]


def global_view(frame: Pixels, config: CaptionerConfig) -> Pixels:
    """The whole frame squashed to the square global view."""
    size = config.geometry.global_view_px
    return resize_area(frame, size, size)


def share_views(frames: Sequence[int]) -> list[int]:
    """For each mask, the first mask on the same frame, renumbered 0..n-1 in order of appearance."""
    order = {frame: number for number, frame in enumerate(dict.fromkeys(frames))}
    return [order[frame] for frame in frames]
