"""A small shaded-shape painter: objects are drawn once, large, and only resized afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

Rgb = tuple[float, float, float]
Points = Sequence[tuple[float, float]]
PAD = 0.1  # transparent border, in parts of the larger side: room for sub-pixel shifts


class Painter:
    """Draw in units: ``x`` 0..width to the right, ``y`` 0..height down. Mirrored when ``facing`` is -1.

    ``light`` is -1 (from the left) to 1 (from the right) in the finished picture.
    """

    def __init__(self, width: float, height: float, px_per_unit: float, light: float, facing: int) -> None:
        self.width, self.height = width, height
        self.scale = px_per_unit
        self.pad = int(np.ceil(PAD * max(width, height) * px_per_unit)) + 2
        self.size = (round(width * px_per_unit) + 2 * self.pad, round(height * px_per_unit) + 2 * self.pad)
        self.rgb = np.zeros((self.size[1], self.size[0], 3), np.float32)
        self.alpha = np.zeros((self.size[1], self.size[0]), np.uint8)
        self.light = light
        self.facing = facing

    def _place(self, points: Points) -> Points:
        def across(x: float) -> float:
            return (x if self.facing > 0 else self.width - x) * self.scale + self.pad

        return [(across(x), y * self.scale + self.pad) for x, y in points]

    def polygon(self, points: Points, colour: Rgb, shade: str = "flat", strength: float = 1.0) -> None:
        """Fill a polygon."""
        placed = self._place(points)
        self._fill(placed, lambda draw, at: draw.polygon(at, fill=255), colour, shade, strength)

    def ellipse(
        self, x0: float, y0: float, x1: float, y1: float, colour: Rgb, shade: str = "round", strength=1.0
    ):
        """Fill the ellipse inside a box."""
        placed = _ordered(self._place([(x0, y0), (x1, y1)]))
        self._fill(placed, lambda draw, at: draw.ellipse([*at[0], *at[1]], fill=255), colour, shade, strength)

    def rounded(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        radius: float,
        colour: Rgb,
        shade: str = "flat",
        strength=1.0,
    ) -> None:
        """Fill a rectangle with round corners."""
        placed = _ordered(self._place([(x0, y0), (x1, y1)]))
        size = radius * self.scale

        def draw_it(draw: ImageDraw.ImageDraw, at: Points) -> None:
            draw.rounded_rectangle([*at[0], *at[1]], size, fill=255)

        self._fill(placed, draw_it, colour, shade, strength)

    def ring(
        self, x0: float, y0: float, x1: float, y1: float, width: float, colour: Rgb, shade: str = "round"
    ) -> None:
        """Draw the outline of an ellipse, ``width`` units thick, inside its box."""
        placed = _ordered(self._place([(x0, y0), (x1, y1)]))
        thick = max(1, round(width * self.scale))

        def draw_it(draw: ImageDraw.ImageDraw, at: Points) -> None:
            draw.ellipse([*at[0], *at[1]], outline=255, width=thick)

        self._fill(placed, draw_it, colour, shade, 1.0)

    def line(self, points: Points, width: float, colour: Rgb) -> None:
        """Draw a line through points."""
        thick = max(1, round(width * self.scale))
        placed = self._place(points)
        self._fill(
            placed, lambda draw, at: draw.line(at, fill=255, width=thick), colour, "flat", 0.0, grow=thick
        )

    def _fill(
        self, placed: Points, draw_it: Callable, colour: Rgb, shade: str, strength: float, grow: int = 1
    ) -> None:
        xs, ys = [p[0] for p in placed], [p[1] for p in placed]
        x0, y0 = max(0, int(min(xs)) - grow), max(0, int(min(ys)) - grow)
        x1 = min(self.size[0], int(max(xs)) + grow + 2)
        y1 = min(self.size[1], int(max(ys)) + grow + 2)
        if x1 <= x0 or y1 <= y0:
            return
        mask = Image.new("L", (x1 - x0, y1 - y0))
        draw_it(ImageDraw.Draw(mask), [(x - x0, y - y0) for x, y in placed])
        inside = np.asarray(mask) > 0
        tone = shading(shade, x1 - x0, y1 - y0, self.light, strength)
        region = self.rgb[y0:y1, x0:x1]
        fill = np.asarray(colour, np.float32) * tone[0][..., None] + tone[1][..., None]
        np.copyto(region, fill, where=inside[..., None])
        self.alpha[y0:y1, x0:x1] |= np.asarray(mask)

    def finish(self, tint: Rgb, supersample: int) -> Image.Image:
        """The sprite as premultiplied RGBa, reduced by ``supersample``."""
        rgb = np.clip(self.rgb * np.asarray(tint, np.float32), 0, 255).astype(np.uint8)
        rgba = Image.fromarray(np.dstack([rgb, self.alpha])).convert("RGBa")
        return rgba.reduce(supersample) if supersample > 1 else rgba


def _ordered(pair: Points) -> Points:
    (xa, ya), (xb, yb) = pair
    return [(min(xa, xb), min(ya, yb)), (max(xa, xb), max(ya, yb))]


def shading(
    kind: str, width: int, height: int, light: float, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Factor and added highlight, broadcastable to [height, width], for a part filling that box."""
    u = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    none = np.zeros((1, 1), np.float32)
    if kind == "round":
        return round_shading(u, v, light, strength)
    if kind == "column":
        across = np.broadcast_to(u, (height, width))
        lambert = np.maximum(0, light * 0.55 * across + 0.85 * np.sqrt(np.clip(1 - across**2, 0, 1)))
        return 1 + strength * (0.68 + 0.42 * lambert - 1), none
    if kind == "down":
        return np.broadcast_to(1 + strength * (-0.14 * v - 0.02), (height, width)), none
    side = 0.05 * light * u - 0.06 * v
    return np.broadcast_to(1 + strength * side, (height, width)), none


def round_shading(
    u: np.ndarray, v: np.ndarray, light: float, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Shade an ellipsoid whose surface spans ``u``, ``v`` in -1..1: factor and highlight in 0..255."""
    nz = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    toward = np.array([0.5 * light, -0.6, 0.65], np.float32)
    toward = toward / np.linalg.norm(toward)
    lambert = np.clip(u * toward[0] + v * toward[1] + nz * toward[2], 0, 1)
    return 1 + strength * (0.52 + 0.56 * lambert - 1), strength * 70 * lambert**22
