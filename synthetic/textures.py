"""Textures and backgrounds for class-agnostic clips: noise, stripes, patches, leaves, horizons, rooms.

All are drawn from a small palette, so that objects and background often share colours, as clothes and walls do.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from synthetic.noise import fractal

FIELD_PX = 128
FIELDS = 48
_SLOPES = (0.7, 1.1, 1.5, 1.9)


@lru_cache(maxsize=FIELDS)
def _field(index: int) -> np.ndarray:
    """One of a fixed set of noise fields float32 [FIELD_PX, FIELD_PX]; clips shift, turn and mix them."""
    rng = np.random.default_rng([77, index])
    stretch = (1.0, 1.0, 0.3, 3.0)[index // 4 % 4]
    return fractal(rng, FIELD_PX, _SLOPES[index % 4], stretch)


def noise_field(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random piece of noise float32 [height, width], mean 0, deviation about 1."""
    field = _field(int(rng.integers(FIELDS)))
    if rng.uniform() < 0.5:
        field = field.T
    y, x = rng.integers(0, FIELD_PX, 2)
    step = float(rng.uniform(0.35, 1.4))
    rows = ((np.arange(height) * step + y).astype(np.int32)) % FIELD_PX
    columns = ((np.arange(width) * step + x).astype(np.int32)) % FIELD_PX
    return field[rows[:, None], columns[None, :]]


def sample_palette(rng: np.random.Generator, count: int = 6) -> np.ndarray:
    """Colours float32 [count, 3] around one or two hues, mostly dull, some vivid, some grey."""
    anchor = rng.uniform(0, 1)
    colours = []
    for _ in range(count):
        hue = (anchor + rng.normal(0, 0.06) + (0.5 if rng.uniform() < 0.25 else 0)) % 1
        hue = rng.uniform(0, 1) if rng.uniform() < 0.3 else hue
        saturation = rng.beta(1.2, 3.6) if rng.uniform() < 0.85 else rng.uniform(0.5, 0.95)
        colours.append(colorsys.hsv_to_rgb(hue, saturation, rng.uniform(0.12, 1) ** 0.8))
    return (255 * np.array(colours)).astype(np.float32)


def pick(rng: np.random.Generator, palette: np.ndarray, jitter: float = 14) -> np.ndarray:
    """A colour float32 [3] near one of the palette."""
    return np.clip(palette[int(rng.integers(len(palette)))] + rng.normal(0, jitter, 3), 4, 251).astype(
        np.float32
    )


def texture(rng: np.random.Generator, palette: np.ndarray, height: int, width: int) -> np.ndarray:
    """A texture float32 [height, width, 3]: near-uniform, cloudy, patched, striped, checked or dotted."""
    first, second = pick(rng, palette), pick(rng, palette)
    kind = rng.choice(6, p=(0.3, 0.22, 0.2, 0.12, 0.08, 0.08))
    grain = 1 + float(rng.uniform(0.01, 0.08)) * noise_field(rng, height, width)
    if kind == 0:
        mix = np.zeros((height, width), np.float32)
    elif kind == 1:
        mix = np.clip(0.5 + 0.3 * noise_field(rng, height, width), 0, 1)
    elif kind == 2:
        mix = np.clip(6 * (noise_field(rng, height, width) - rng.uniform(-0.5, 0.8)) + 0.5, 0, 1)
    else:
        mix = _pattern(rng, kind - 3, height, width)
    return (first + (second - first) * mix[..., None]) * grain[..., None]


def _pattern(rng: np.random.Generator, kind: int, height: int, width: int) -> np.ndarray:
    y = np.arange(height, dtype=np.float32)[:, None] / max(height, width)
    x = np.arange(width, dtype=np.float32)[None, :] / max(height, width)
    turn, count = rng.uniform(0, np.pi), rng.uniform(2, 11) * 2 * np.pi
    warp = float(rng.uniform(0, 0.02)) * noise_field(rng, height, width)
    u = np.cos(turn) * x + np.sin(turn) * y + warp
    v = np.cos(turn) * y - np.sin(turn) * x + warp
    wave = np.sin(count * u)
    if kind == 1:
        wave = wave * np.sin(count * v)
    elif kind == 2:
        wave = 2 * (wave + np.sin(count * v)) - 1.6
    return np.clip(4 * wave + 0.5, 0, 1)


def background(rng: np.random.Generator, palette: np.ndarray, size: int) -> Image.Image:
    """A background RGB [size, size]: horizon, room, leaves or clouds, with clutter and sometimes defocus."""
    kind = rng.choice(4, p=(0.32, 0.23, 0.25, 0.2))
    drawn = (_horizon, _room, _leaves, _clouds)[kind](rng, palette, size)
    if rng.uniform() < 0.5:
        drawn = _clutter(rng, palette, drawn, int(rng.integers(3, 16)), 0.12)
    lit = np.asarray(drawn, np.float32) * (1 + 0.06 * noise_field(rng, size, size))[..., None]
    picture = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    if rng.uniform() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.5))))
    return picture


def _coarse(rng: np.random.Generator, palette: np.ndarray, size: int) -> np.ndarray:
    """A texture for a whole background, drawn at half size for speed; fine grain is added later."""
    drawn = _image(texture(rng, palette, size // 2, size // 2))
    return np.asarray(drawn.resize((size, size), Image.Resampling.BILINEAR), np.float32)


def _image(array: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(array, 0, 255).astype(np.uint8))


def _horizon(rng: np.random.Generator, palette: np.ndarray, size: int) -> Image.Image:
    """Sky, a row of blocks or crowns, and ground that gets finer towards the horizon."""
    line = int(size * rng.uniform(0.28, 0.6))
    up = np.linspace(0, 1, max(line, 1), dtype=np.float32)[:, None, None]
    top, low = pick(rng, palette) * 0.4 + 130, pick(rng, palette) * 0.3 + 165
    sky = np.broadcast_to(top + (low - top) * up, (line, size, 3))
    sky = sky * (1 + 0.05 * noise_field(rng, line, size))[..., None]
    ground = texture(rng, palette, FIELD_PX, FIELD_PX)
    depth = 1 / np.linspace(0.06, 1, size - line, dtype=np.float32)
    rows = (depth * rng.uniform(20, 60)).astype(np.int32) % FIELD_PX
    across = (np.arange(size, dtype=np.float32) - size / 2)[None] * depth[:, None] * rng.uniform(0.15, 0.5)
    ground = ground[rows[:, None], across.astype(np.int32) % FIELD_PX]
    picture = _image(np.concatenate([sky, ground]))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 22))):
        x, width, height = (rng.uniform(lo, hi) * size for lo, hi in ((-0.05, 1), (0.02, 0.16), (0.03, 0.25)))
        box = [x, line - height, x + width, line + 0.02 * size]
        colour = _ink(pick(rng, palette) * 0.8 + 25)
        draw.rectangle(box, fill=colour) if rng.uniform() < 0.6 else draw.ellipse(box, fill=colour)
    return picture


def _room(rng: np.random.Generator, palette: np.ndarray, size: int) -> Image.Image:
    """A textured wall over a textured floor, with pieces of furniture."""
    line = int(size * rng.uniform(0.4, 0.75))
    wall = _coarse(rng, palette, size).copy()
    floor = _coarse(rng, palette, size)
    wall[line:] = floor[line:]
    return _clutter(rng, palette, _image(wall), int(rng.integers(2, 9)), 0.3)


def _leaves(rng: np.random.Generator, palette: np.ndarray, size: int) -> Image.Image:
    """Dead leaves: shapes over shapes, many small and few large."""
    return _clutter(rng, palette, _image(_coarse(rng, palette, size)), int(rng.integers(60, 160)), 0.35)


def _clouds(rng: np.random.Generator, palette: np.ndarray, size: int) -> Image.Image:
    picture = _coarse(rng, palette, size)
    for _ in range(int(rng.integers(1, 4))):
        mix = np.clip(0.5 + 0.8 * noise_field(rng, size, size), 0, 1)[..., None]
        picture = picture + (_coarse(rng, palette, size) - picture) * mix
    return _image(picture)


def _clutter(
    rng: np.random.Generator, palette: np.ndarray, picture: Image.Image, count: int, largest: float
) -> Image.Image:
    """Strew shapes, large ones first."""
    draw, size = ImageDraw.Draw(picture), picture.width
    for radius in np.sort(0.015 + (largest - 0.015) * rng.uniform(0, 1, count) ** 3)[::-1]:
        x, y = rng.uniform(0, size, 2)
        wide, high = size * radius * rng.uniform(0.4, 1.6, 2)
        colour = _ink(pick(rng, palette, 24))
        shape = rng.integers(3)
        if shape == 0:
            draw.ellipse([x - wide, y - high, x + wide, y + high], fill=colour)
        elif shape == 1:
            draw.rectangle([x - wide, y - high, x + wide, y + high], fill=colour)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            draw.polygon([(x + wide * np.cos(a), y + high * np.sin(a)) for a in angles], fill=colour)
    return picture


def _ink(colour: np.ndarray) -> tuple[int, int, int]:
    return tuple(int(c) for c in np.clip(colour, 0, 255))  # type: ignore[return-value]
