"""A pitched pinhole camera over a ground plane.

The view is always 4:3 in the world; a picture of another aspect shows the same view squashed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

VIEW_ASPECT = 4 / 3
Z_NEAR_M = 2.75
Z_FAR_M = 6.3


@dataclass(frozen=True, slots=True)
class Camera:
    """``focal`` is in frame heights; the camera stands at x = 0, z = 0, ``height_m`` above the ground."""

    height_m: float
    pitch_rad: float
    focal: float
    width_px: int
    height_px: int

    def depth_m(self, z_m: float) -> float:
        """Distance of the ground point at ``z_m`` along the optical axis."""
        return self.height_m * math.sin(self.pitch_rad) + z_m * math.cos(self.pitch_rad)

    def scale(self, z_m: float) -> tuple[float, float]:
        """Pixels per metre across and down for an upright thing standing at ``z_m``."""
        down = self.focal * self.height_px / self.depth_m(z_m)
        return down * self.width_px / (self.height_px * VIEW_ASPECT), down

    def ground_px(self, x_m: float, z_m: float) -> tuple[float, float]:
        """Pixel of a ground point."""
        across, down = self.scale(z_m)
        up_m = z_m * math.sin(self.pitch_rad) - self.height_m * math.cos(self.pitch_rad)
        return self.width_px / 2 + across * x_m, self.height_px / 2 - down * up_m

    def half_view_m(self, z_m: float) -> float:
        """Half the width of the view at ``z_m``, in metres."""
        return self.depth_m(z_m) * VIEW_ASPECT / (2 * self.focal)

    def ground_rows(self, rows_px: np.ndarray) -> np.ndarray:
        """``z`` of the ground seen in each picture row; infinite at and above the horizon."""
        slope = (0.5 - rows_px / self.height_px) / self.focal
        below = math.sin(self.pitch_rad) - slope * math.cos(self.pitch_rad)
        z_m = self.height_m * (math.cos(self.pitch_rad) + slope * math.sin(self.pitch_rad))
        return np.where(below > 1e-4, z_m / np.maximum(below, 1e-4), np.inf)


def sample_camera(rng: np.random.Generator, width_px: int, height_px: int) -> Camera:
    """A camera at head height looking 15 to 22 degrees down."""
    return Camera(
        height_m=float(rng.uniform(1.7, 2.15)),
        pitch_rad=math.radians(float(rng.uniform(15, 22))),
        focal=float(rng.uniform(1.05, 1.2)),
        width_px=width_px,
        height_px=height_px,
    )
