"""What a region looks like, coarsely: enough to notice that a mask has jumped to another object.

A colour histogram is blind to shape and place, and so tells a different thing than the segmenter's own memory,
which follows shape and place and may be led astray by a look-alike passing close by.
"""

from __future__ import annotations

import numpy as np

BINS = 5
"""Levels of each colour channel; their centres lie half a level apart from pure black and white."""


def shrink(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """RGB uint8 [height, width, 3]: every so-many-th pixel of ``pixels`` uint8 [H, W, 3]."""
    rows = (np.arange(height) * 2 + 1) * pixels.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * pixels.shape[1] // (2 * width)
    return pixels[rows][:, columns]


def look_of(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Colour histogram of the masked pixels, float32 [BINS ** 3], sum 1 (all zero for an empty mask).

    Each channel's value counts for its two nearest levels by closeness, so that a slow change of light moves the
    histogram slowly. ``picture`` is RGB uint8 [h, w, 3], ``mask`` bool [h, w].
    """
    pixels = picture[mask].astype(np.float32) / 255.0 * (BINS - 1)
    low = np.minimum(pixels.astype(np.int64), BINS - 2)
    high_share = pixels - low
    histogram = np.zeros(BINS**3, np.float32)
    for corner in np.ndindex(2, 2, 2):
        level = low + corner
        weight = np.prod(np.where(corner, high_share, 1 - high_share), axis=1)
        index = (level[:, 0] * BINS + level[:, 1]) * BINS + level[:, 2]
        histogram += np.bincount(index, weight, BINS**3).astype(np.float32)
    return histogram / max(float(histogram.sum()), 1e-9)


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Shared mass of two looks, 0..1 (histogram intersection)."""
    return float(np.minimum(a, b).sum())
