"""Masks as benchmarks store them: COCO run lengths (packed text or numbers), polygons, boxes.

COCO's run lengths count pixels column by column, zeros first; packed text holds them six bits a character, each from
the third on as the difference to the one two before (the format of the COCO API). Polygons cover the pixels whose
centre they hold; the COCO API may give a pixel more or less at slanted borders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MOST_PIXELS = 8192 * 8192


class MaskError(ValueError):
    """A mask that cannot be read; the text says why."""


@dataclass(frozen=True)
class BoxShape:
    """A box filled as a mask, in pixels: left, top, right, bottom."""

    corners: tuple[float, float, float, float]


Shape = Mapping | Sequence | BoxShape
"""Run lengths ({"size", "counts"}), polygons ([[x, y, x, y, ...], ...]) or a box."""


def mask_of(shape: Shape, height_px: int, width_px: int) -> np.ndarray:
    """The 0/1 mask, uint8, on its own grid (run lengths) or on that of the picture. Raises MaskError."""
    if isinstance(shape, BoxShape):
        return _filled_box(shape, height_px, width_px)
    if isinstance(shape, Mapping):
        return _of_runs(shape)
    if isinstance(shape, Sequence) and not isinstance(shape, str):
        return _of_polygons(shape, height_px, width_px)
    raise MaskError(f"a mask must be run lengths or polygons, not {type(shape).__name__}")


def _of_runs(shape: Mapping) -> np.ndarray:
    height, width = _size(shape.get("size"))
    counts = shape.get("counts")
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", errors="replace")
    runs = unpack_counts(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(isinstance(run, int) and run >= 0 for run in runs):
        raise MaskError("the counts of a mask must be whole numbers or COCO's packed text")
    if sum(runs) != height * width:
        raise MaskError(f"the runs of a mask cover {sum(runs)} pixels, its size is {height} x {width}")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _size(size: object) -> tuple[int, int]:
    if (
        not isinstance(size, Sequence)
        or len(size) != 2
        or not all(isinstance(n, int) and n > 0 for n in size)
    ):
        raise MaskError(f"the size of a mask must be [height, width], not {size!r}")
    if size[0] * size[1] > MOST_PIXELS:
        raise MaskError(f"a mask of {size[0]} x {size[1]} is too large")
    return size[0], size[1]


def unpack_counts(text: str) -> list[int]:
    """Run lengths from COCO's packed text. Raises MaskError."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise MaskError(f"a mask's packed text holds {character!r}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise MaskError("a mask's packed text ends inside a number")
    return runs


def _of_polygons(polygons: Sequence, height_px: int, width_px: int) -> np.ndarray:
    mask = np.zeros((height_px, width_px), bool)
    for corners in polygons:
        if not isinstance(corners, Sequence) or len(corners) < 6 or len(corners) % 2:
            raise MaskError("a polygon must be a list [x, y, x, y, ...] of at least three corners")
        mask |= _inside(np.array(corners, np.float64).reshape(-1, 2), height_px, width_px)
    return mask.astype(np.uint8)


def _inside(corners: np.ndarray, height_px: int, width_px: int) -> np.ndarray:
    """Pixels whose centre lies inside the polygon, bool [H,W]: those with an odd number of edges to their left."""
    x, y = np.arange(width_px) + 0.5, np.arange(height_px) + 0.5
    odd = np.zeros((height_px, width_px), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        rows = np.flatnonzero((y0 <= y) != (y1 <= y))
        crossing = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0) if len(rows) else np.empty(0)
        odd[rows] ^= x[None] > crossing[:, None]
    return odd


def _filled_box(shape: BoxShape, height_px: int, width_px: int) -> np.ndarray:
    x0, y0, x1, y1 = shape.corners
    mask = np.zeros((height_px, width_px), np.uint8)
    rows = slice(max(0, math.floor(y0)), max(0, math.ceil(y1)))
    mask[rows, max(0, math.floor(x0)) : max(0, math.ceil(x1))] = 1
    return mask
