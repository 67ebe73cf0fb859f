"""Procedural backdrops: what stands behind the floor, float32 [h, w, 3] in 0..255.

Every wall takes a generator, the height and width in pixels and the pixels per metre at its distance.
The last row touches the floor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthetic.noise import fractal

Wall = Callable[[np.random.Generator, int, int, float], np.ndarray]


def _tone(rng: np.random.Generator, low: float = 140, high: float = 215, tint: float = 20) -> np.ndarray:
    return (rng.uniform(low, high) + rng.uniform(-tint, tint, 3)).astype(np.float32)


def _grid(height: int, width: int, px_per_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Metres from the left edge and metres above the floor, one value a pixel."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / px_per_m
    y = (height - np.arange(height, dtype=np.float32) - 0.5) / px_per_m
    return np.broadcast_to(x[None], (height, width)), np.broadcast_to(y[:, None], (height, width))


def _flat(base: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.broadcast_to(base, (height, width, 3)).copy()


def _mottle(rng: np.random.Generator, height: int, width: int, strength: float) -> np.ndarray:
    field = fractal(rng, 256, 1.6)
    rows = np.arange(height) % 256
    return (1 + strength * field[rows][:, np.arange(width) % 256])[..., None]


def _board(picture: np.ndarray, y: np.ndarray, height_m: float, base: np.ndarray) -> np.ndarray:
    """Draw a skirting board along the floor."""
    picture[y < height_m] = base
    picture[(y >= height_m) & (y < height_m + 0.035)] = base * 0.72
    return picture


def plaster(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Painted plaster over a skirting board."""
    _, y = _grid(height, width, px_per_m)
    picture = _flat(_tone(rng), height, width) * _mottle(rng, height, width, 0.02)
    return _board(picture, y, 0.22, _tone(rng, 200, 225, 6))


def bricks(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Brickwork in running bond."""
    x, y = _grid(height, width, px_per_m)
    row = np.floor(y / 0.2).astype(np.int32)
    across = x / 0.55 + 0.5 * (row % 2)
    brick = (row * 37 + across.astype(np.int32) * 11) % 97
    tone = 1 + 0.1 * rng.standard_normal(97).astype(np.float32)[brick]
    joint = ((y / 0.2) % 1 < 0.13) | (across % 1 < 0.05)
    base = np.array([158, 112, 94], np.float32) + rng.uniform(-20, 20, 3).astype(np.float32)
    picture = base * (tone[..., None] * _mottle(rng, height, width, 0.03))
    picture[joint] = _tone(rng, 165, 195, 8)
    return picture


def stripes(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Striped wallpaper over a skirting board."""
    x, y = _grid(height, width, px_per_m)
    wave = 0.5 + 0.5 * np.clip(3 * np.sin(2 * np.pi * x / rng.uniform(0.5, 1.1)), -1, 1)
    first, second = _tone(rng, 165, 220), _tone(rng, 140, 200)
    picture = first + (second - first) * wave[..., None]
    return _board(picture, y, 0.3, _tone(rng, 205, 228, 5))


def panels(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Wainscot: framed panels below, paint above."""
    x, y = _grid(height, width, px_per_m)
    picture = _flat(_tone(rng, 130, 205, 24), height, width)
    low = _tone(rng, 175, 222, 8)
    inside = (x / 1.1) % 1
    frame = (inside > 0.12) & (inside < 0.88) & (y > 0.3) & (y < 1.05)
    core = (inside > 0.15) & (inside < 0.85) & (y > 0.34) & (y < 1.01)
    picture[y < 1.3] = low
    picture[frame] = low * 0.8
    picture[core] = low * 0.95
    picture[(y >= 1.24) & (y < 1.3)] = low * 0.75
    return picture


def hills(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Open sky with clouds over rows of hills."""
    x, y = _grid(height, width, px_per_m)
    up = np.clip(y / max(float(y.max()), 1e-3), 0, 1)[..., None]
    sky = np.array([208, 218, 224], np.float32) * (1 - up) + np.array([132, 168, 205], np.float32) * up
    cloud = np.clip(fractal(rng, 256, 1.9)[np.arange(height) * 2 % 256][:, np.arange(width) % 256], 0, 2)[
        ..., None
    ]
    picture = sky + (238 - sky) * 0.35 * cloud
    for layer, shade in enumerate((0.82, 0.62, 0.45)):
        ridge = _ridge(rng, x[0]) * (0.8 - 0.2 * layer) + (1.5 - 0.5 * layer)
        picture[y < ridge[None]] = np.array([150, 168, 150], np.float32) * shade + 26 * (2 - layer)
    return picture


def _ridge(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    waves = [np.sin(x * f + rng.uniform(0, 6.3)) / f for f in rng.uniform(0.4, 2.6, 4)]
    return np.sum(waves, 0) * 0.5


def slats(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Upright wooden slats with dark gaps."""
    x, _ = _grid(height, width, px_per_m)
    pitch = rng.uniform(0.28, 0.4)
    inside = (x / pitch) % 1
    tone = 1 + 0.09 * rng.standard_normal(512).astype(np.float32)[(x / pitch).astype(np.int32) % 512]
    round_ = 0.8 + 0.2 * np.sin(np.pi * np.clip(inside / 0.86, 0, 1))
    factor = np.where(inside < 0.86, round_ * tone, 0.38)
    base = np.array([156, 120, 88], np.float32) * rng.uniform(0.75, 1.15)
    return base * (factor[..., None] * _mottle(rng, height, width, 0.04))


def dots(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Wallpaper with rows of small dots over a skirting board."""
    x, y = _grid(height, width, px_per_m)
    pitch = rng.uniform(0.42, 0.6)
    row = np.floor(y / pitch)
    dx = (x / pitch + 0.5 * (row % 2)) % 1 - 0.5
    dot = np.clip((0.2 - np.hypot(dx, (y / pitch) % 1 - 0.5)) * 12, 0, 1)[..., None]
    paper = _tone(rng, 165, 210, 22)
    picture = paper + (_tone(rng, 205, 230, 6) - paper) * dot
    return _board(picture, y, 0.26, _tone(rng, 150, 190, 14))


def curtain(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Heavy curtain falling in folds."""
    x, y = _grid(height, width, px_per_m)
    sway = 0.05 * np.sin(y * 1.3 + rng.uniform(0, 6))
    fold = np.sin(2 * np.pi * (x + sway) / 0.62) + 0.5 * np.sin(
        2 * np.pi * (x + sway) / 0.37 + rng.uniform(0, 6)
    )
    return _tone(rng, 110, 165, 26) * (1 + 0.17 * fold)[..., None]


def skyline(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """A hazy city at dusk, two rows of buildings with lit windows."""
    x, y = _grid(height, width, px_per_m)
    up = np.clip(y / max(float(y.max()), 1e-3), 0, 1)[..., None]
    warm, cool = np.array([232, 196, 170], np.float32), np.array([126, 142, 178], np.float32)
    picture = warm * (1 - up) + cool * up
    for layer, base in enumerate((np.array([150, 148, 166]), np.array([96, 98, 118]))):
        block = ((x + layer * 0.4) / (0.75 - 0.1 * layer)).astype(np.int32) % 128
        roof = rng.uniform(0.9, 2.3, 128).astype(np.float32)[block] * (1.25 - 0.45 * layer)
        body = y < roof
        picture[body] = base
        lit = _windows(rng, x, y) & body & (layer == 1)
        picture[lit] = np.array([214, 190, 140], np.float32)
    return picture


def _windows(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    column, row = (x / 0.16).astype(np.int32), np.maximum(y / 0.2, 0).astype(np.int32)
    pane = ((x / 0.16) % 1 > 0.45) & ((y / 0.2) % 1 > 0.5)
    on = rng.uniform(size=1024) < 0.3
    return pane & on[(column * 31 + row * 57) % 1024]


def glazed(rng: np.random.Generator, height: int, width: int, px_per_m: float) -> np.ndarray:
    """Glazed tiles in running bond with a dark border."""
    x, y = _grid(height, width, px_per_m)
    row = np.floor(y / 0.26).astype(np.int32)
    across = x / 0.52 + 0.5 * (row % 2)
    joint = ((y / 0.26) % 1 < 0.07) | (across % 1 < 0.035)
    gloss = 1 + 0.05 * ((y / 0.26) % 1)
    picture = _tone(rng, 185, 222, 12) * gloss[..., None]
    picture[(row == 3)] = _tone(rng, 80, 120, 24)
    picture[joint] *= 0.78
    return picture


WALLS: dict[str, tuple[Wall, ...]] = {
    "train": (plaster, bricks, stripes, panels, hills),
    "held_out": (slats, dots, curtain, skyline, glazed),
}
