"""The picture without objects: floor in perspective, wall behind it, light on both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from synthetic.camera import VIEW_ASPECT, Camera
from synthetic.floors import FLOORS, TILE_M
from synthetic.lighting import Light
from synthetic.walls import WALLS

SUPERSAMPLE = 2
MIP_LEVELS = 4


@dataclass(frozen=True, slots=True)
class Backdrop:
    """``picture`` is RGB at the camera's size; ``floor`` and ``wall`` name the materials."""

    picture: Image.Image
    floor: str
    wall: str


def render_backdrop(rng: np.random.Generator, split: str, camera: Camera, light: Light) -> Backdrop:
    """Draw one floor and one wall of the split under ``light``."""
    floor = FLOORS[split][int(rng.integers(len(FLOORS[split])))]
    wall = WALLS[split][int(rng.integers(len(WALLS[split])))]
    wall_z_m = float(rng.uniform(8.2, 10.5))
    height, width = camera.height_px * SUPERSAMPLE, camera.width_px * SUPERSAMPLE
    foot = int(camera.ground_px(0, wall_z_m)[1] * SUPERSAMPLE)
    tile = np.clip(floor(rng, 256 if camera.height_px <= 300 else 512), 0, 255).astype(np.uint8)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[foot:] = _floor(rng, tile, camera, foot, height, width)
    canvas[:foot] = _wall(rng, wall, camera, wall_z_m, foot, width)
    _darken_corner(canvas, foot, height)
    small = np.asarray(Image.fromarray(canvas).reduce(SUPERSAMPLE), np.float32)
    lit = small * light.field(*small.shape[:2])[..., None] * np.array(light.tint, np.float32)
    return Backdrop(Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)), floor.__name__, wall.__name__)


def _mips(tile: np.ndarray) -> list[np.ndarray]:
    image = Image.fromarray(tile)
    return [tile] + [np.asarray(image.reduce(2**level)) for level in range(1, MIP_LEVELS)]


def _floor(
    rng: np.random.Generator, tile: np.ndarray, camera: Camera, top: int, height: int, width: int
) -> np.ndarray:
    """Look the tile up for every pixel below ``top``, from coarser levels farther away."""
    rows = np.arange(top, height, dtype=np.float32)
    z = camera.ground_rows((rows + 0.5) / SUPERSAMPLE).astype(np.float32)[:, None]
    depth = camera.height_m * np.sin(camera.pitch_rad) + z * np.cos(camera.pitch_rad)
    across = (np.arange(width, dtype=np.float32)[None] + 0.5) / width - 0.5
    x = across * depth * (VIEW_ASPECT / camera.focal)
    turn = rng.choice([0.0, 0.0, 0.4, 0.785, 1.57, -0.3]) + rng.uniform(-0.08, 0.08)
    u = (x * np.cos(turn) + z * np.sin(turn)) / TILE_M + rng.uniform(0, 1)
    v = (z * np.cos(turn) - x * np.sin(turn)) / TILE_M + rng.uniform(0, 1)
    out = np.empty((height - top, width, 3), np.uint8)
    # Rows shrink with the square of the depth: that decides how coarse a level may be.
    step = np.abs(np.gradient(z[:, 0])) / TILE_M * len(tile) * 0.6
    levels = np.clip(np.floor(np.log2(np.maximum(step, 1.0))), 0, MIP_LEVELS - 1).astype(np.int32)
    for level, mip in enumerate(_mips(tile)):
        chosen = levels == level
        if chosen.any():
            size = len(mip)
            row = np.floor(v[chosen] * size).astype(np.int32) % size
            column = np.floor(u[chosen] * size).astype(np.int32) % size
            out[chosen] = mip.reshape(-1, 3)[row * size + column]
    return out


def _wall(rng: np.random.Generator, wall, camera: Camera, z_m: float, foot: int, width: int) -> np.ndarray:
    """Draw the wall 4:3 and squash it to the picture."""
    px_per_m = camera.scale(z_m)[1] * SUPERSAMPLE
    drawn = round(camera.height_px * SUPERSAMPLE * VIEW_ASPECT)
    picture = np.clip(wall(rng, foot, drawn, px_per_m), 0, 255).astype(np.uint8)
    if drawn == width:
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, foot), Image.Resampling.BOX))


def _darken_corner(canvas: np.ndarray, foot: int, height: int) -> None:
    """Soften the line where floor and wall meet with a little shade on both sides."""
    reach = max(2, height // 28)
    for start, stop, rising in ((foot, min(height, foot + reach), True), (max(0, foot - reach), foot, False)):
        ramp = np.linspace(0.8, 1.0, stop - start, dtype=np.float32)
        ramp = ramp if rising else ramp[::-1]
        canvas[start:stop] = (canvas[start:stop] * ramp[:, None, None]).astype(np.uint8)
