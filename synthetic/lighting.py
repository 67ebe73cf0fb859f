"""Light of a scene: colour, direction, a gradient across the picture and a vignette."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Tint = tuple[float, float, float]

# Families of the two splits are disjoint: (name, tint, direction range, strength of the gradient).
LIGHTS: dict[str, tuple[tuple[str, Tint, tuple[float, float], float], ...]] = {
    "train": (
        ("noon", (1.0, 1.0, 0.98), (-0.35, 0.35), 0.12),
        ("lamp_left", (1.06, 1.0, 0.9), (-1.0, -0.6), 0.3),
        ("window_right", (0.95, 1.0, 1.07), (0.6, 1.0), 0.3),
        ("overcast", (0.96, 0.98, 1.02), (-0.2, 0.2), 0.06),
    ),
    "held_out": (
        ("evening_right", (1.1, 0.98, 0.86), (0.65, 1.1), 0.24),
        ("morning_left", (1.02, 0.97, 1.05), (-1.1, -0.65), 0.2),
        ("neon", (0.97, 1.05, 1.0), (-0.5, 0.5), 0.18),
    ),
}


@dataclass(frozen=True, slots=True)
class Light:
    """``direction`` -1 (from the left) to 1 (from the right); ``level`` is the overall brightness."""

    family: str
    tint: Tint
    direction: float
    gradient: float
    vignette: float
    level: float
    shadow: float

    def field(self, rows: int, columns: int) -> np.ndarray:
        """Brightness float32 [rows, columns] over the picture, without the tint."""
        x = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
        y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
        side = 1 + self.gradient * (
            np.sign(self.direction) * x * min(1.0, abs(self.direction) * 1.5) * 0.6 - y * 0.2
        )
        return self.level * side * (1 - self.vignette * (x * x * 0.55 + y * y * 0.45))


def sample_light(rng: np.random.Generator, split: str) -> Light:
    """A light of the split's own families."""
    families = LIGHTS[split]
    name, tint, (low, high), gradient = families[int(rng.integers(len(families)))]
    return Light(
        family=name,
        tint=tint,
        direction=float(rng.uniform(low, high)),
        gradient=gradient * float(rng.uniform(0.7, 1.2)),
        vignette=float(rng.uniform(0.1, 0.26)),
        level=float(rng.uniform(0.92, 1.06)),
        shadow=float(rng.uniform(0.38, 0.6)),
    )
