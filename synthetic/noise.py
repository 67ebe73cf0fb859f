"""Wrapping noise fields: the raw material of floors, walls and textures."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=64)
def _amplitude(size: int, slope: float, stretch: float) -> np.ndarray:
    across = np.fft.rfftfreq(size).astype(np.float32) * size
    down = np.fft.fftfreq(size).astype(np.float32)[:, None] * size
    radius = np.hypot(across * stretch, down)
    radius[0, 0] = 1.0
    amplitude = radius ** (-slope)
    amplitude[0, 0] = 0.0
    return amplitude.astype(np.float32)


def fractal(rng: np.random.Generator, size: int, slope: float = 1.5, stretch: float = 1.0) -> np.ndarray:
    """Noise float32 [size, size], mean 0, deviation 1, spectrum falling as ``frequency ** -slope``.

    ``stretch`` > 1 draws the noise out along the rows (wood grain, ripples). It wraps at the borders.
    """
    white = rng.standard_normal((size, size), dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * _amplitude(size, slope, stretch), s=(size, size))
    field = field.astype(np.float32)
    return field / max(float(field.std()), 1e-6)


def cells(points: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Wrapping Voronoi cells of ``points`` [N, 2] in 0..1: owner int [size, size] and distance to the border.

    The distance is in parts of the tile (0 on a border).
    """
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    best = np.full((size, size), 9.0, np.float32)
    second = best.copy()
    owner = np.zeros((size, size), np.int32)
    for index, (px, py) in enumerate(points.astype(np.float32)):
        dx = np.abs(axis - px)
        dy = np.abs(axis - py)
        dx, dy = np.minimum(dx, 1 - dx), np.minimum(dy, 1 - dy)
        distance = np.sqrt(dx[None, :] ** 2 + dy[:, None] ** 2)
        closer = distance < best
        np.minimum(second, np.maximum(distance, best), out=second)
        owner[closer] = index
        np.minimum(best, distance, out=best)
    return owner, (second - best) / 2
