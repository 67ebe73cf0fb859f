"""A wider class-agnostic world: what a tracker meets outside of any world that was drawn for words.

Beyond :mod:`synthetic.class_agnostic`: things built at random from many parts with one palette; twins and crowds;
things that leave and come back at another size; small fast ones; ground that repeats a thing's own colours right
behind it; cameras that walk, drive and follow. Same drawing, same camera faults.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from synthetic.class_agnostic import WORLD, Lens, Mover, View, film
from synthetic.composites import KINDS, Part, PartMaker, blob, ellipse, rounded
from synthetic.textures import background, pick, sample_palette
from synthetic.truth import SyntheticClip

Way = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Position [T, 2] and size [T] in frames, turn [T] in radians."""

LARGEST = 1.1


def sample_wide_clip(seed: int, size: int = 192, frames: int = 12) -> SyntheticClip:
    """Draw the clip of a seed, square, like :func:`synthetic.class_agnostic.sample_texture_clip`.

    :raises ValueError: for a picture under 48 pixels or no frame at all.
    """
    if size < 48 or frames < 1:
        raise ValueError(f"expected size of at least 48 pixels and 1 frame, got size {size}, {frames} frames")
    rng = np.random.default_rng([seed, 47])
    palette = sample_palette(rng, int(rng.integers(3, 8)))
    views = sample_views(rng, frames)
    movers = sample_cast(rng, palette, size, frames, views)
    backdrop = background(rng, palette, round(size * WORLD))
    if rng.uniform() < 0.5:
        _repeat_colours(rng, backdrop, movers, size)
    return film(backdrop, movers, views, Lens(rng, size), size)


def sample_views(rng: np.random.Generator, frames: int) -> list[View]:
    """The camera: still, panning, walking (shake with a beat), driving (towards something) or mixed."""
    time = np.linspace(-0.5, 0.5, frames)
    kind = rng.choice(4, p=(0.3, 0.3, 0.2, 0.2))
    x, y = np.zeros(frames), np.zeros(frames)
    zoom, turn = np.ones(frames), np.zeros(frames)
    if kind == 1:
        x, y = rng.normal(0, 0.3, 2)[:, None] * time + rng.uniform(-0.05, 0.05, 2)[:, None]
    elif kind == 2:
        beat = rng.uniform(0.6, 2.5) * np.arange(frames)
        x, y = 0.03 * rng.uniform(0.3, 1) * np.sin(beat), 0.04 * rng.uniform(0.2, 1) * np.abs(np.cos(beat))
        turn = rng.normal(0, 0.03) * np.sin(beat / 2)
    elif kind == 3:
        zoom = np.exp(rng.uniform(-0.25, 0.35) * (time + 0.5)) * 1.02
        x = rng.normal(0, 0.12) * time
    shake = rng.normal(0, 0.007, (2, frames)) if rng.uniform() < 0.4 else np.zeros((2, frames))
    path = np.clip(np.stack([x, y]) + shake, -0.26, 0.26)
    zoom = np.clip(zoom, 1.02 if kind == 3 else 1.0, 1.5)
    return [View(*values) for values in zip(path[0], path[1], zoom, turn, strict=True)]


def sample_cast(
    rng: np.random.Generator, palette: np.ndarray, size: int, frames: int, views: list[View]
) -> list[Mover]:
    """Two to six things, some with twins, now and then a nameless thing in front of all."""
    angle = rng.uniform(0, 2 * np.pi)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    cast: list[Mover] = []
    for _ in range(int(rng.integers(2, 5))):
        extent = _sample_extent(rng)
        way = sample_way(rng, frames, views, extent)
        make = PartMaker(rng, palette, LARGEST * size * float(way[1].max()), light)
        cast.append(Mover(_sample_parts(make), *way, _side(rng), True, rng.uniform() < 0.2))
    if rng.uniform() < 0.4:
        cast += [_twin(rng, cast[0], frames, views) for _ in range(int(rng.integers(1, 3)))]
    if rng.uniform() < 0.25:
        make = PartMaker(rng, palette, size * 0.6, light)
        place = np.repeat(rng.uniform(-0.4, 0.4, (1, 2)), frames, 0)
        still = np.full(frames, rng.uniform(0.2, 0.6))
        cast.append(Mover(_sample_parts(make), place, still, np.zeros(frames), 1, False, False))
    return cast


def sample_way(rng: np.random.Generator, frames: int, views: list[View], extent: float) -> Way:
    """Fixed, wandering, dashing, followed by the camera, or away and back at another size."""
    time = np.arange(frames, dtype=np.float64)
    start = rng.uniform(-0.4, 0.4, 2)
    angle = rng.uniform(0, 2 * np.pi)
    ahead = np.array([np.cos(angle), np.sin(angle)])
    growth = (
        np.exp(np.clip(rng.normal(0, 0.04) * time, -0.8, 0.8)) if rng.uniform() < 0.6 else np.ones(frames)
    )
    size = extent * growth
    kind = rng.choice(5, p=(0.12, 0.3, 0.16, 0.17, 0.25))
    if kind == 0:
        place = np.repeat(start[None], frames, 0)
    elif kind == 1:
        pace = np.exp(rng.uniform(np.log(0.005), np.log(0.07)))
        place = start + np.cumsum(pace * ahead + rng.normal(0, 0.35 * pace, (frames, 2)), 0)
    elif kind == 2:
        swing = rng.uniform(0.5, 1.6)
        place = start * 0.5 + ahead * (0.25 + extent) * np.sin(time * swing + rng.uniform(0, 6))[:, None]
    elif kind == 3:
        place = (
            start * 0.4 + np.array([[view.x, view.y] for view in views]) + rng.normal(0, 0.01, (frames, 2))
        )
    else:
        place, size = _away_and_back(rng, start, ahead, size)
    turn = rng.normal(0, 0.15) + (rng.normal(0, 0.1) * time if rng.uniform() < 0.3 else 0 * time)
    return place, np.clip(size, 0.03, LARGEST), turn


def _away_and_back(
    rng: np.random.Generator, start: np.ndarray, ahead: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Out of the picture for a few frames, and back from anywhere, 0.5 to 2 times as large."""
    frames = len(size)
    leaves = int(rng.integers(1, max(2, frames // 2)))
    back = min(frames, leaves + int(rng.integers(1, max(2, frames // 2))))
    place = start + ahead * np.arange(frames)[:, None] * rng.uniform(0.01, 0.06)
    place[leaves:back] = 5.0
    returned = rng.uniform(-0.35, 0.35, 2)
    place[back:] = returned - ahead * np.arange(frames - back)[:, None] * rng.uniform(0.01, 0.05)
    size = size.copy()
    size[back:] *= np.exp(rng.uniform(np.log(0.5), np.log(2.0)))
    return place, size


def assembly(make: PartMaker) -> list[Part]:
    """Two to seven parts grown onto one another, most of few colours of one palette; some of them swing."""
    rng = make.rng
    colours = [pick(rng, make.palette) for _ in range(int(rng.integers(1, 4)))]
    parts, joint = [], np.zeros(2)
    for index in range(int(rng.integers(2, 8))):
        wide, high = rng.uniform(0.35, 0.8, 2) if index == 0 else rng.uniform(0.12, 0.5, 2)
        plain = colours[int(rng.integers(len(colours)))] if rng.uniform() < 0.55 else None
        outline = (ellipse, rounded(0.3), blob(rng))[int(rng.integers(3))]
        moves = index and rng.uniform() < 0.5
        swing, rate = (float(rng.uniform(0.1, 0.7)), make.rate) if moves else (0.0, 0.0)
        surface = make.skin(float(wide), float(high), plain)
        where = (float(joint[0]), float(joint[1]))
        hang = 0.1 if moves else 0.5
        part = make.part(outline, float(wide), float(high), where, surface, hang, swing=swing, rate=rate)
        parts.append(part)
        joint = np.clip(joint * rng.uniform(0, 0.6) + rng.uniform(-0.3, 0.3, 2), -0.4, 0.4)
    order = rng.permutation(len(parts))
    return [parts[int(i)] for i in order]


def _sample_parts(make: PartMaker) -> list[Part]:
    if make.rng.uniform() < 0.45:
        return assembly(make)
    kinds, shares = zip(*KINDS, strict=True)
    return kinds[int(make.rng.choice(len(kinds), p=np.array(shares) / sum(shares)))](make)


def _sample_extent(rng: np.random.Generator) -> float:
    low, high = (0.05, 0.16) if rng.uniform() < 0.3 else (0.16, 0.85)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _twin(rng: np.random.Generator, other: Mover, frames: int, views: list[View]) -> Mover:
    """The same thing once more on a way of its own."""
    way = sample_way(rng, frames, views, float(other.size.mean()) * rng.uniform(0.7, 1.2))
    return Mover(other.parts, *way, _side(rng), True, False)


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.uniform() < 0.5 else -1


def _repeat_colours(rng: np.random.Generator, backdrop: Image.Image, movers: list[Mover], size: int) -> None:
    """Strew patches of the things' own colours over the ground, most of them on the things' ways."""
    draw, middle = ImageDraw.Draw(backdrop), backdrop.width / 2
    for mover in movers:
        for _ in range(int(rng.integers(1, 6))):
            part = mover.parts[int(rng.integers(len(mover.parts)))]
            colour = _typical(part.picture)
            at = mover.position[int(rng.integers(len(mover.position)))]
            x, y = middle + size * (np.clip(at, -0.8, 0.8) + rng.normal(0, 0.12, 2))
            wide, high = size * float(mover.size.mean()) * rng.uniform(0.1, 0.45, 2)
            shape = draw.ellipse if rng.uniform() < 0.5 else draw.rectangle
            shape([x - wide, y - high, x + wide, y + high], fill=colour)


def _typical(picture: Image.Image) -> tuple[int, int, int]:
    """The mean colour of a part's solid pixels."""
    pixels = np.asarray(picture, np.float32)
    solid = pixels[pixels[..., 3] > 200][:, :3]
    if not len(solid):
        return 128, 128, 128
    red, green, blue = (int(value) for value in solid.mean(0))
    return red, green, blue
