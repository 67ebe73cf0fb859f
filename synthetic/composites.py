"""Things made of parts that move together: clothed figures, patched animals, vehicles, birds, balls, poles.

A thing is 1 high around its middle; a part is a sprite hung at a joint, which may swing. Parts of one thing
share light and motion, often also colours, and still look different from each other: that is the lesson.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from synthetic.textures import noise_field, pick, sample_palette, texture

Outline = Callable[[ImageDraw.ImageDraw, int, int], None]
EDGE_PX = 2


@dataclass(frozen=True, slots=True)
class Part:
    """A premultiplied picture; ``anchor`` (pixels) hangs at ``joint`` (thing units), turned by ``angle``.

    It swings ``swing`` radians at ``rate`` radians a second and is ``px_per_unit`` large. With ``poses``, pictures of
    the same size, it shows one after the other, all once in a swing.
    """

    picture: Image.Image
    px_per_unit: float
    anchor: tuple[float, float]
    joint: tuple[float, float]
    angle: float = 0.0
    swing: float = 0.0
    rate: float = 0.0
    phase: float = 0.0
    poses: tuple[Image.Image, ...] = ()

    def picture_at(self, time_s: float) -> Image.Image:
        """What it looks like at a time."""
        if not self.poses:
            return self.picture
        turns = (self.rate * time_s + self.phase) / (2 * np.pi)
        return self.poses[int(turns * len(self.poses)) % len(self.poses)]

    def angle_at(self, time_s: float) -> float:
        """Radians at a time."""
        return self.angle + self.swing * float(np.sin(self.rate * time_s + self.phase))


class PartMaker:
    """Makes the parts of one thing at a resolution, with its own palette and the clip's light."""

    def __init__(
        self, rng: np.random.Generator, palette: np.ndarray, px_per_unit: float, light: tuple[float, float]
    ) -> None:
        self.rng, self.light = rng, light
        self.palette = palette if rng.uniform() < 0.4 else sample_palette(rng, 5)
        self.scale = max(8.0, px_per_unit)
        self.rate = float(rng.uniform(3, 11))
        self.outlined = rng.uniform() < 0.25

    def skin(self, width: float, height: float, base: np.ndarray | None = None) -> np.ndarray:
        """A surface float32 for a part of that size in units, plain when ``base`` is given."""
        size = self._size(width, height)
        if base is None:
            return texture(self.rng, self.palette, size[1], size[0])
        return base * (1 + 0.05 * noise_field(self.rng, size[1], size[0]))[..., None]

    def _size(self, width: float, height: float) -> tuple[int, int]:
        return tuple(max(2, round(side * self.scale)) + 2 * EDGE_PX for side in (width, height))  # type: ignore[return-value]

    def part(
        self,
        outline: Outline,
        width: float,
        height: float,
        joint: tuple[float, float],
        surface: np.ndarray,
        hang: float = 0.5,
        **motion: float,
    ) -> Part:
        """Cut ``surface`` to an outline; the anchor lies at the middle, ``hang`` of the height down."""
        size = self._size(width, height)
        mask = Image.new("L", (2 * size[0], 2 * size[1]))
        outline(ImageDraw.Draw(mask), 2 * size[0], 2 * size[1])
        alpha = mask.reduce(2)
        v = np.linspace(-1, 1, size[1], dtype=np.float32)[:, None]
        u = np.linspace(-1, 1, size[0], dtype=np.float32)[None, :]
        lit = surface * (1 - 0.22 * (self.light[0] * u + self.light[1] * v))[..., None]
        if self.outlined:
            lit = lit * (
                0.45
                + 0.55 * np.asarray(alpha.filter(ImageFilter.GaussianBlur(1.2)), np.float32)[..., None] / 255
            )
        rgba = np.dstack([np.clip(lit, 0, 255).astype(np.uint8), np.asarray(alpha)])
        anchor = (size[0] / 2, EDGE_PX + hang * (size[1] - 2 * EDGE_PX))
        return Part(Image.fromarray(rgba).convert("RGBa"), self.scale, anchor, joint, **motion)

    def limb(self, width: float, length: float, joint, surface, angle=0.0, swing=0.0, phase=0.0) -> Part:
        """A rounded bar hanging from its upper end."""
        motion = {"angle": angle, "swing": swing, "rate": self.rate, "phase": phase}
        return self.part(rounded(0.45), width, length, joint, surface, hang=0.08, **motion)


def ellipse(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """Outline: the largest ellipse."""
    edge = 2 * EDGE_PX
    draw.ellipse([edge, edge, width - edge - 1, height - edge - 1], fill=255)


def rounded(share: float) -> Outline:
    """Outline: a rectangle whose corners are rounded by a share of its smaller side."""

    def outline(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        edge = 2 * EDGE_PX
        radius = share * (min(width, height) - 2 * edge)
        draw.rounded_rectangle([edge, edge, width - edge - 1, height - edge - 1], max(0, radius), fill=255)

    return outline


def blob(rng: np.random.Generator) -> Outline:
    """Outline: a random wavy or cornered closed curve."""
    count = int(rng.integers(3, 8)) if rng.uniform() < 0.35 else 24
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 6)
    radii = np.ones(count)
    for wave in range(2, 6):
        radii += rng.normal(0, 0.32 / wave) * np.sin(wave * angles + rng.uniform(0, 6))
    radii = np.clip(radii / radii.max(), 0.25, 1)

    def outline(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        wide, high = width / 2 - 2 * EDGE_PX, height / 2 - 2 * EDGE_PX
        corners = np.stack(
            [width / 2 + wide * radii * np.cos(angles), height / 2 + high * radii * np.sin(angles)], 1
        )
        draw.polygon([tuple(corner) for corner in corners], fill=255)

    return outline


def figure(make: PartMaker) -> list[Part]:
    """A clothed person: head with hair, shirt, sleeves, trousers, shoes."""
    rng = make.rng
    tone = np.array([236, 188, 150], np.float32) * rng.uniform(0.3, 1.05)
    hair = np.array([70, 52, 40], np.float32) * rng.uniform(0.3, 2.2)
    stout, stride = float(rng.uniform(0.8, 1.35)), float(rng.uniform(0.1, 0.6))
    shirt = make.skin(0.27 * stout, 0.38)
    trousers = make.skin(0.11 * stout, 0.5, pick(rng, make.palette))
    sleeve = make.skin(0.075, 0.36, tone if rng.uniform() < 0.4 else shirt.mean((0, 1)))
    legs = [
        make.limb(0.11 * stout, 0.5, (side * 0.055 * stout, 0.02), trousers, swing=stride, phase=side * 1.57)
        for side in (-1, 1)
    ]
    arms = [
        make.limb(0.075, 0.36, (side * 0.13 * stout, -0.27), sleeve, -side * 0.12, stride, -side * 1.57)
        for side in (-1, 1)
    ]
    torso = make.part(rounded(0.35), 0.27 * stout, 0.38, (0, -0.13), shirt)
    head = make.part(ellipse, 0.16, 0.2, (0, -0.4), make.skin(0.16, 0.2, tone))
    cap = make.part(ellipse, 0.17, 0.11, (0.01, -0.455), make.skin(0.17, 0.11, hair))
    return [arms[0], *legs, torso, head, cap, arms[1]]


def animal(make: PartMaker) -> list[Part]:
    """A four-legged, patched animal facing right."""
    rng = make.rng
    fur = make.skin(1.1, 0.5)
    plain = fur.mean((0, 1)) * rng.uniform(0.6, 1.2)
    length, leg = float(rng.uniform(0.8, 1.1)), float(rng.uniform(0.3, 0.5))
    coat = make.skin(0.11, leg, plain)
    parts = [
        make.limb(0.11, leg, (x * length, 0.1), coat, 0, float(rng.uniform(0.2, 0.7)), phase)
        for x, phase in ((-0.33, 0), (0.3, 3.1), (-0.25, 2.6), (0.38, 0.6))
    ]
    tail = make.limb(0.06, 0.4, (-0.48 * length, -0.05), make.skin(0.06, 0.4, plain), 2.0, 0.5, 0)
    body = make.part(ellipse, 1.1, 0.5, (0, 0), fur)
    head = make.part(ellipse, 0.36, 0.3, (0.56 * length, -0.24), make.skin(0.36, 0.3))
    ear = make.limb(0.1, 0.2, (0.47 * length, -0.34), make.skin(0.1, 0.2, plain * 0.7), 0.5, 0.2, 1)
    return [tail, *parts[:2], body, *parts[2:], head, ear]


def vehicle(make: PartMaker) -> list[Part]:
    """A body with a cabin, windows and wheels, facing right."""
    rng = make.rng
    paint = pick(rng, make.palette)
    cabin = make.part(rounded(0.3), 0.85, 0.42, (-0.08, -0.2), make.skin(0.85, 0.42, paint))
    pane = make.part(rounded(0.2), 0.66, 0.22, (-0.08, -0.22), make.skin(0.66, 0.22, paint * 0.2 + 30))
    hull = make.part(rounded(0.35), 1.5, 0.42, (0, 0.1), make.skin(1.5, 0.42, paint))
    tyre = make.skin(0.32, 0.32, np.array([32, 32, 34], np.float32))
    wheels = [make.part(ellipse, 0.32, 0.32, (x, 0.3), tyre) for x in (-0.45, 0.45)]
    return [cabin, pane, hull, *wheels]


def bird(make: PartMaker) -> list[Part]:
    """A body with a head and two beating wings."""
    wing = make.skin(0.3, 0.75)
    beat = float(make.rng.uniform(0.3, 1.1))
    body = make.part(ellipse, 0.95, 0.34, (0, 0), make.skin(0.95, 0.34))
    head = make.part(ellipse, 0.26, 0.24, (0.48, -0.1), make.skin(0.26, 0.24))
    far = make.part(ellipse, 0.3, 0.75, (-0.02, 0), wing, 0.95, angle=-0.5, swing=beat, rate=make.rate * 2)
    near = make.part(ellipse, 0.3, 0.75, (0.06, 0), wing, 0.95, angle=0.3, swing=beat, rate=make.rate * 2)
    return [far, body, head, near]


def ball(make: PartMaker) -> list[Part]:
    """A round thing in one piece."""
    return [make.part(ellipse, 1.0, 1.0, (0, 0), make.skin(1.0, 1.0))]


def pole(make: PartMaker) -> list[Part]:
    """A long thin thing."""
    width = float(make.rng.uniform(0.03, 0.09))
    return [make.part(rounded(0.4), width, 1.0, (0, 0), make.skin(width, 1.0))]


def thing(make: PartMaker) -> list[Part]:
    """Any solid thing: one to four overlapping shapes with surfaces of their own."""
    rng = make.rng
    parts = []
    for index in range(int(rng.integers(1, 5))):
        width, height = rng.uniform(0.5, 1.0, 2) if index == 0 else rng.uniform(0.2, 0.6, 2)
        outline = (ellipse, rounded(0.15), blob(rng), blob(rng))[int(rng.integers(4))]
        joint = (0.0, 0.0) if index == 0 else tuple(rng.uniform(-0.36, 0.36, 2))
        swing = float(rng.uniform(0.1, 0.5)) if index and rng.uniform() < 0.4 else 0.0
        surface = make.skin(float(width), float(height))
        parts.append(
            make.part(outline, float(width), float(height), joint, surface, swing=swing, rate=make.rate)
        )
    return parts


KINDS: tuple[tuple[Callable[[PartMaker], list[Part]], float], ...] = (
    (figure, 0.3),
    (animal, 0.17),
    (vehicle, 0.11),
    (bird, 0.07),
    (ball, 0.06),
    (pole, 0.03),
    (thing, 0.26),
)
