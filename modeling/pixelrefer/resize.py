"""Image resizing with the arithmetic of OpenCV's INTER_LINEAR and INTER_AREA, in numpy.

Published weights saw crops resized by OpenCV; these functions give the same pixels without that dependency:
8-bit bilinear in 11-bit fixed point, float32 bilinear, and area averaging.
"""

import operator
from collections.abc import Iterable
from functools import reduce

import numpy as np
from numpy.typing import NDArray

COEFFICIENT_SCALE = 2048
"""Fixed-point one of the 8-bit bilinear weights."""
SLIVER = 1e-3
"""Overlaps of a source pixel thinner than this do not count in area averaging."""

Taps = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Source indices and weights, both [taps, target size]."""


def resize_linear(image: NDArray, height: int, width: int) -> NDArray:
    """Bilinear resize of a uint8 or float32 image [H,W] or [H,W,C]; does not smooth when it shrinks.

    Halving both sides exactly becomes area averaging, as in OpenCV. Raises ValueError for an empty side.
    """
    _check(image, height, width)
    if image.shape[0] == 2 * height and image.shape[1] == 2 * width:
        return resize_area(image, height, width)
    exact = image.dtype != np.uint8
    rows = _linear_taps(image.shape[0], height, exact)
    return _separable(image, rows, _linear_taps(image.shape[1], width, exact, clamp=True))


def resize_area(image: NDArray, height: int, width: int) -> NDArray:
    """Area resize of a uint8 or float32 image [H,W] or [H,W,C].

    When a side grows, OpenCV turns to a bilinear form with sharper transitions; so does this function.
    """
    _check(image, height, width)
    rows, columns = image.shape[:2]
    if height > rows or width > columns:
        return _separable(image, _area_enlarge_taps(rows, height), _area_enlarge_taps(columns, width))
    if rows % height == 0 and columns % width == 0:
        return _block_mean(image, height, width)
    wide = image.astype(np.float32)
    wide = _accumulate(wide, _area_shrink_taps(columns, width), axis=1)
    return _as_input(_accumulate(wide, _area_shrink_taps(rows, height), axis=0), image)


def _check(image: NDArray, height: int, width: int) -> None:
    if image.dtype not in (np.uint8, np.float32):
        raise ValueError(f"resizing takes uint8 or float32 pixels, not {image.dtype}")
    if min(height, width, *image.shape[:2]) < 1:
        raise ValueError(f"cannot resize {image.shape[:2]} to {(height, width)}: a side is empty")


def _linear_taps(source: int, target: int, exact: bool, clamp: bool = False) -> Taps:
    """Pixel-centre aligned taps. Columns past the border lose their fraction (`clamp`), rows keep it.

    8-bit images take fractions of float32 positions, float images `exact` ones: a cell that ends where the
    object begins must get exactly 0, as in the published masks.
    """
    if exact:
        index, rest = np.divmod((2 * np.arange(target) + 1) * source - target, 2 * target)
        fraction = rest / (2 * target)
    else:
        at = ((np.arange(target) + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
        index = np.floor(at).astype(np.int64)
        fraction = at - index.astype(np.float32)
    if clamp:
        fraction[(index < 0) | (index >= source - 1)] = 0
    return _pair(index, fraction, source)


def _area_enlarge_taps(source: int, target: int) -> Taps:
    """Taps of OpenCV's bilinear stand-in for area averaging when some side grows."""
    grow = target / source
    index = np.floor(np.arange(target) * (1.0 / grow)).astype(np.int64)
    fraction = ((np.arange(target) + 1) - (index + 1) * grow).astype(np.float32)
    fraction = np.where(fraction <= 0, np.float32(0), fraction - np.floor(fraction))
    fraction[index >= source - 1] = 0
    return _pair(index, fraction, source)


def _pair(index: NDArray, fraction: NDArray, source: int) -> Taps:
    both = np.clip(np.stack((index, index + 1)), 0, source - 1)
    return both, np.stack((1 - fraction, fraction)).astype(np.float32)


def _separable(image: NDArray, rows: Taps, columns: Taps) -> NDArray:
    """Two-tap interpolation, columns first: fixed point for uint8, float32 otherwise."""
    if image.dtype != np.uint8:
        return _accumulate(_accumulate(image, columns, axis=1), rows, axis=0)
    beside = [np.rint(weight * COEFFICIENT_SCALE).astype(np.int32) for weight in columns[1]]
    beside = [weight.reshape(1, -1, *[1] * (image.ndim - 2)) for weight in beside]
    wide = _sum(image[:, index].astype(np.int32) * w for index, w in zip(columns[0], beside, strict=True))
    below = [np.rint(weight * COEFFICIENT_SCALE).astype(np.int32) for weight in rows[1]]
    below = [weight.reshape(-1, *[1] * (image.ndim - 1)) for weight in below]
    tall = _sum(((wide >> 4)[index] * w) >> 16 for index, w in zip(rows[0], below, strict=True))
    return np.clip((tall + 2) >> 2, 0, 255).astype(np.uint8)


def _sum(parts: Iterable[NDArray]) -> NDArray:
    """Sum of arrays in order."""
    return reduce(operator.add, parts)


def _accumulate(image: NDArray, taps: Taps, axis: int) -> NDArray[np.float32]:
    """Weighted sum over taps along one axis, added in tap order in float32."""
    shape = [1] * image.ndim
    shape[axis] = -1
    pairs = zip(*taps, strict=True)
    return _sum(np.take(image, index, axis=axis) * weight.reshape(shape) for index, weight in pairs)


def _area_shrink_taps(source: int, target: int) -> Taps:
    """Share of each source pixel in each target cell, first to last; unused taps have weight 0."""
    scale = 1.0 / (target / source)
    start = np.arange(target) * scale
    end, width = start + scale, np.minimum(scale, source - start)
    last = np.minimum(np.floor(end), source - 1).astype(np.int64)
    first = np.minimum(np.ceil(start).astype(np.int64), last)
    inner = first + np.arange(max(1, int((last - first).max())))[:, None]
    before, after = first - start, end - last
    index = np.concatenate(((first - 1)[None], inner, last[None]))
    shares = (
        np.where(before > SLIVER, before, 0)[None],
        np.where(inner < last, 1.0, 0),
        np.where(after > SLIVER, np.minimum(np.minimum(after, 1.0), width), 0)[None],
    )
    return np.clip(index, 0, source - 1), (np.concatenate(shares) / width).astype(np.float32)


def _block_mean(image: NDArray, height: int, width: int) -> NDArray:
    """Area averaging by whole factors. Halving rounds halves up, other factors to even."""
    down, across = image.shape[0] // height, image.shape[1] // width
    blocks = image.reshape(height, down, width, across, *image.shape[2:])
    if image.dtype == np.uint8:
        total = blocks.sum(axis=(1, 3), dtype=np.int32)
        if (down, across) == (2, 2):
            return ((total + 2) >> 2).astype(np.uint8)
        return _as_input(total.astype(np.float32) * np.float32(1.0 / (down * across)), image)
    return (blocks.sum(axis=(1, 3)) * np.float32(1.0 / (down * across))).astype(np.float32)


def _as_input(values: NDArray[np.float32], image: NDArray) -> NDArray:
    if image.dtype != np.uint8:
        return values
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
