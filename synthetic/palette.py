"""The eight colours, with some play in shade, and the neutral tones of details."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

Rgb = tuple[float, float, float]

# Hue in degrees, saturation, value.
_HSV: dict[str, tuple[float, float, float]] = {
    "red": (358, 0.88, 0.82),
    "green": (132, 0.72, 0.62),
    "blue": (219, 0.80, 0.82),
    "yellow": (52, 0.82, 0.97),
    "purple": (280, 0.64, 0.64),
    "orange": (30, 0.90, 0.97),
    "white": (45, 0.02, 0.93),
    "black": (225, 0.08, 0.15),
}
COLOURS: tuple[str, ...] = tuple(_HSV)
ALL_COLOURS: tuple[str, ...] = (*COLOURS, "gray", "brown")
"""With those that only nameless things wear."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Body colour and the neutral tones that stay readable on it (0..255)."""

    body: Rgb
    dark: Rgb
    line: Rgb
    glass: Rgb
    metal: Rgb
    band: Rgb

    def shade(self, factor: float) -> Rgb:
        """The body colour, lighter or darker."""
        return tuple(min(255.0, channel * factor) for channel in self.body)  # type: ignore[return-value]


def sample_paint(rng: np.random.Generator, colour: str) -> Paint:
    """A shade of ``colour`` and neutral tones for details."""
    hue, saturation, value = _HSV[colour]
    neutral = colour in ("white", "black")
    hue = hue + float(rng.uniform(-3.5, 3.5))
    saturation = saturation * float(rng.uniform(0.9, 1.04))
    value = min(1.0, value * float(rng.uniform(0.94 if neutral else 0.9, 1.08)))
    body = tuple(255 * c for c in colorsys.hsv_to_rgb(hue % 360 / 360, min(1.0, saturation), value))
    black = colour == "black"
    return Paint(
        body=body,  # type: ignore[arg-type]
        dark=(20, 20, 23) if not black else (14, 14, 16),
        line=(0.62 * body[0], 0.62 * body[1], 0.62 * body[2]) if not black else (92, 93, 98),
        glass=(58, 64, 72) if not black else (128, 134, 142),
        metal=(150, 152, 156),
        band=(226, 226, 222) if colour not in ("white", "yellow") else (70, 72, 78),
    )
