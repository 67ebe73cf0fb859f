"""Procedural floors: wrapping tiles seen from straight above, float32 [n, n, 3] in 0..255.

Every floor takes a generator and a tile size in pixels; a tile covers ``TILE_M`` metres.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthetic.noise import cells, fractal

TILE_M = 3.2
Floor = Callable[[np.random.Generator, int], np.ndarray]


def _muted(rng: np.random.Generator, low: float = 95, high: float = 185, tint: float = 16) -> np.ndarray:
    grey = rng.uniform(low, high)
    return (grey + rng.uniform(-tint, tint, 3)).astype(np.float32)


def _wood(rng: np.random.Generator) -> np.ndarray:
    tone = rng.uniform(0.75, 1.15)
    return np.array([168, 128, 92], np.float32) * tone + rng.uniform(-12, 12, 3).astype(np.float32)


def _paint(base: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return base * factor[..., None]


def _axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.broadcast_to(axis[None, :], (size, size)), np.broadcast_to(axis[:, None], (size, size))


def _edge(position: np.ndarray, width: float) -> np.ndarray:
    """1 inside a unit cell, falling to 0 within ``width`` of its border."""
    distance = np.minimum(position % 1, 1 - position % 1)
    return np.clip(distance / width, 0, 1)


def planks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Long boards with grain, shifted joints and dark seams."""
    u, v = _axes(size)
    count = int(rng.integers(8, 13))
    row = (v * count).astype(np.int32)
    along = u * 2 + rng.uniform(0, 1, count).astype(np.float32)[row]
    board = row * 2 + (along.astype(np.int32) % 2)
    tone = 1 + 0.1 * rng.standard_normal(2 * count).astype(np.float32)[board]
    seam = 0.55 + 0.45 * np.minimum(_edge(v * count, 0.05), _edge(along, 0.006))
    return _paint(_wood(rng), tone * seam * (1 + 0.07 * fractal(rng, size, 1.0, 0.08)))


def square_tiles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Square ceramic tiles with grout."""
    u, v = _axes(size)
    count = int(rng.integers(4, 8))
    cell = (v * count).astype(np.int32) * count + (u * count).astype(np.int32)
    tone = 1 + 0.05 * rng.standard_normal(count * count).astype(np.float32)[cell]
    grout = np.minimum(_edge(u * count, 0.025), _edge(v * count, 0.025))
    return _paint(_muted(rng, 125, 200), tone * (0.68 + 0.32 * grout) * (1 + 0.025 * fractal(rng, size, 1.2)))


def asphalt(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dark grainy road surface with worn patches."""
    grain = rng.standard_normal((size, size)).astype(np.float32)
    return _paint(_muted(rng, 78, 112, 6), 1 + 0.1 * grain + 0.07 * fractal(rng, size, 1.6))


def carpet(rng: np.random.Generator, size: int) -> np.ndarray:
    """Short-pile carpet with a faint weave."""
    u, v = _axes(size)
    count = int(rng.integers(28, 40))
    weave = np.sin(2 * np.pi * u * count) * np.sin(2 * np.pi * v * count)
    pile = rng.standard_normal((size, size)).astype(np.float32)
    return _paint(_muted(rng, 90, 165, 26), 1 + 0.06 * weave + 0.05 * pile + 0.05 * fractal(rng, size, 1.8))


def checks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Two-tone chequered floor."""
    u, v = _axes(size)
    count = 2 * int(rng.integers(2, 4))
    odd = ((u * count).astype(np.int32) + (v * count).astype(np.int32)) % 2
    pair = np.stack([_muted(rng, 150, 200, 10), _muted(rng, 82, 125, 12)])
    return pair[odd] * (1 + 0.03 * fractal(rng, size, 1.3))[..., None]


def concrete(rng: np.random.Generator, size: int) -> np.ndarray:
    """Polished slabs with clouds and expansion joints."""
    u, v = _axes(size)
    joint = np.minimum(_edge(u * 2, 0.008), _edge(v * 2, 0.008))
    clouds = 1 + 0.06 * fractal(rng, size, 1.7) + 0.02 * fractal(rng, size, 0.4)
    return _paint(_muted(rng, 125, 175, 8), clouds * (0.72 + 0.28 * joint))


def lawn(rng: np.random.Generator, size: int) -> np.ndarray:
    """Mown grass, dull enough for a green object to stand out."""
    blades = 0.12 * fractal(rng, size, 0.6, 2.5) + 0.09 * fractal(rng, size, 1.6)
    base = np.array([104, 122, 78], np.float32) + rng.uniform(-14, 14, 3).astype(np.float32)
    return _paint(base, 1 + blades)


def terrazzo(rng: np.random.Generator, size: int) -> np.ndarray:
    """Stone chips of three tones in a pale ground."""
    picture = _paint(_muted(rng, 165, 200, 8), 1 + 0.02 * fractal(rng, size, 1.5))
    for _ in range(3):
        chips = fractal(rng, size, 0.9) > 2.0
        picture[chips] = _muted(rng, 85, 215, 18)
    return picture


def marble(rng: np.random.Generator, size: int) -> np.ndarray:
    """Veined slabs."""
    u, v = _axes(size)
    bend = fractal(rng, size, 1.8)
    vein = np.abs(np.sin(np.pi * (2 * u + v) * 2 + 1.7 * bend))
    joint = np.minimum(_edge(u * 2, 0.006), _edge(v * 2, 0.006))
    tone = 1 - 0.28 * np.exp(-vein * 9) + 0.04 * fractal(rng, size, 1.4)
    return _paint(_muted(rng, 165, 205, 12), tone * (0.8 + 0.2 * joint))


def herringbone(rng: np.random.Generator, size: int) -> np.ndarray:
    """Zigzag parquet: columns of slanted blocks, leaning left and right in turn."""
    u, v = _axes(size)
    columns, rows = 8, 12
    column = (u * columns).astype(np.int32)
    inside = (u * columns) % 1
    slant = np.where(column % 2 == 0, inside, 1 - inside)
    along = v * rows + slant * rows / columns
    block = (along.astype(np.int32) % rows) * columns + column
    tone = 1 + 0.11 * rng.standard_normal(rows * columns).astype(np.float32)[block]
    seam = np.minimum(_edge(along, 0.06), _edge(u * columns, 0.04))
    return _paint(_wood(rng), tone * (0.62 + 0.38 * seam) * (1 + 0.05 * fractal(rng, size, 0.9)))


def cobbles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Rounded paving stones with dark joints."""
    count = int(rng.integers(7, 10))
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1).reshape(-1, 2).astype(np.float32)
    grid[:, 0] += 0.5 * (grid[:, 1] % 2)
    points = ((grid + 0.5 + rng.uniform(-0.17, 0.17, grid.shape)) / count) % 1
    owner, border = cells(points, size)
    tone = 1 + 0.1 * rng.standard_normal(len(points)).astype(np.float32)[owner]
    dome = np.sqrt(np.clip(border * count / 0.22, 0, 1))
    return _paint(_muted(rng, 120, 165, 12), tone * (0.5 + 0.5 * dome) * (1 + 0.05 * fractal(rng, size, 0.8)))


def sand(rng: np.random.Generator, size: int) -> np.ndarray:
    """Wind ripples in sand."""
    _, v = _axes(size)
    count = int(rng.integers(9, 14))
    ripple = np.sin(2 * np.pi * count * v + 2.2 * fractal(rng, size, 2.0))
    grain = rng.standard_normal((size, size)).astype(np.float32)
    base = np.array([192, 170, 134], np.float32) + rng.uniform(-14, 14, 3).astype(np.float32)
    return _paint(base, 1 + 0.06 * ripple + 0.04 * grain + 0.03 * fractal(rng, size, 1.7))


def hexagons(rng: np.random.Generator, size: int) -> np.ndarray:
    """Hexagonal tiles in two tones."""
    columns, rows = 8, 8
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2).astype(np.float32)
    grid[:, 0] += 0.5 * (grid[:, 1] % 2)
    points = np.stack([(grid[:, 0] + 0.5) / columns, (grid[:, 1] + 0.5) / rows], 1) % 1
    owner, border = cells(points, size)
    tones = np.stack([_muted(rng, 140, 195, 9), _muted(rng, 100, 150, 9)])
    picture = tones[(rng.uniform(size=len(points)) < 0.4).astype(np.int32)][owner]
    grout = 0.62 + 0.38 * np.clip(border * columns / 0.035, 0, 1)
    return picture * (grout * (1 + 0.025 * fractal(rng, size, 1.2)))[..., None]


def basket(rng: np.random.Generator, size: int) -> np.ndarray:
    """Basket-weave parquet: squares of three boards, turned in turn."""
    u, v = _axes(size)
    count = 8
    turned = ((u * count).astype(np.int32) + (v * count).astype(np.int32)) % 2 == 1
    across = np.where(turned, u, v) * count * 3
    along = np.where(turned, v, u) * count
    board = (across.astype(np.int32) * 7 + along.astype(np.int32) * 31 + turned) % 251
    tone = 1 + 0.1 * rng.standard_normal(251).astype(np.float32)[board]
    seam = np.minimum(_edge(across, 0.07), _edge(along, 0.025))
    return _paint(_wood(rng), tone * (0.62 + 0.38 * seam) * (1 + 0.04 * fractal(rng, size, 0.9)))


FLOORS: dict[str, tuple[Floor, ...]] = {
    "train": (planks, square_tiles, asphalt, carpet, checks, concrete, lawn, terrazzo),
    "held_out": (marble, herringbone, cobbles, sand, hexagons, basket),
}
