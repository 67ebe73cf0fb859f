"""Sprites: every object drawn once per scene, kept in halving sizes, resized into each frame.

All pictures are premultiplied (``RGBa``), so edges stay clean when they are resized.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from synthetic.lighting import Light
from synthetic.painter import Painter, round_shading
from synthetic.palette import Paint
from synthetic.shapes import Shape

SUPERSAMPLE = 2
SHADOW_WIDTH, SHADOW_HEIGHT = 3.0, 0.62  # of the sprite's width and height
SHADOW_FOOT = 0.62  # the ground point, from the top of the shadow picture
_THRESHOLD = [0] * 128 + [255] * 128

Rect = tuple[int, int, int, int]


class Sprite:
    """A drawn object. ``height_px`` is the largest height it will be shown at."""

    def __init__(
        self, shape: Shape, paint: Paint, light: Light, facing: int, height_px: float, peak: float
    ) -> None:
        scale = SUPERSAMPLE * max(24.0, height_px) / shape.height
        painter = Painter(shape.width, shape.height, scale, _side(light), facing)
        assert shape.draw is not None
        shape.draw(painter, paint)
        tint = tuple(channel * peak for channel in light.tint)
        picture = painter.finish(tint, SUPERSAMPLE)  # type: ignore[arg-type]
        pad = painter.pad / SUPERSAMPLE
        content = (shape.width * scale / SUPERSAMPLE, shape.height * scale / SUPERSAMPLE)
        self.levels = _halvings(picture, pad, content)
        self.shadow = _shadow(picture.getchannel(3), pad, content, light)

    def cut(
        self, left: float, top: float, width: float, height: float, rect: Rect, spin: np.ndarray
    ) -> Image.Image:
        """The part inside ``rect`` of the sprite shown at ``left``, ``top`` with that size (pixels)."""
        del spin
        picture, pad, content = next(
            (level for level in reversed(self.levels) if level[2][1] >= height), self.levels[0]
        )
        return _resize(picture, (pad, pad), content, (left, top, width, height), rect)


class BallSprite:
    """A ball whose stripe turns as it rolls: the pattern is computed for each frame from its axis."""

    def __init__(self, paint: Paint, light: Light, height_px: float, peak: float) -> None:
        self.grids = [_ball_grid(size, _side(light)) for size in _sizes(height_px)]
        tint = np.array(light.tint, np.float32) * peak
        self.body = np.array(paint.body, np.float32) * tint
        self.band = np.array(paint.band, np.float32) * tint
        grid = self.grids[0]
        alpha = Image.fromarray((grid["alpha"][..., 0] * 255).astype(np.uint8))
        self.shadow = _shadow(alpha, grid["pad"], (grid["size"], grid["size"]), light)

    def cut(
        self, left: float, top: float, width: float, height: float, rect: Rect, spin: np.ndarray
    ) -> Image.Image:
        """The part inside ``rect`` of the ball, its pattern turned so that its axis is ``spin``."""
        grid = next((g for g in reversed(self.grids) if g["size"] >= height), self.grids[0])
        along = np.abs(grid["normals"] @ spin.astype(np.float32))
        soft = 0.12 * grid["size"]
        mix = np.clip((0.2 - along) * soft + 0.5, 0, 1) + np.clip((along - 0.87) * soft * 2 + 0.5, 0, 1)
        rgb = self.body + (self.band - self.body) * mix[..., None]
        rgb = np.minimum(rgb * grid["factor"] + grid["highlight"], 255) * grid["alpha"]
        packed = np.concatenate([rgb, grid["alpha"] * 255], 2).astype(np.uint8)
        picture = Image.frombuffer(
            "RGBa", (packed.shape[1], packed.shape[0]), packed.tobytes(), "raw", "RGBa", 0, 1
        )
        content = (grid["size"], grid["size"])
        return _resize(picture, (grid["pad"], grid["pad"]), content, (left, top, width, height), rect)


def _side(light: Light) -> float:
    return max(-1.0, min(1.0, light.direction))


def make_sprite(
    shape: Shape, paint: Paint, light: Light, facing: int, height_px: float, peak: float
) -> Sprite | BallSprite:
    """The sprite of a class; balls get the turning kind."""
    if shape.rolls:
        return BallSprite(paint, light, height_px, peak)
    return Sprite(shape, paint, light, facing, height_px, peak)


def owner_mask(picture: Image.Image) -> Image.Image:
    """Pixels at least half covered, 255 where so."""
    return picture.getchannel(3).point(_THRESHOLD)


def shadow_cut(sprite, left: float, top: float, width: float, height: float, rect: Rect) -> Image.Image:
    """The part of the shadow inside ``rect``, for a shadow picture shown at that place and size."""
    return _resize(sprite.shadow, (0, 0), sprite.shadow.size, (left, top, width, height), rect)


def _resize(picture: Image.Image, pad, content, place, rect: Rect) -> Image.Image:
    left, top, width, height = place
    across, down = content[0] / width, content[1] / height
    box = (
        max(0.0, pad[0] + (rect[0] - left) * across),
        max(0.0, pad[1] + (rect[1] - top) * down),
        min(float(picture.width), pad[0] + (rect[2] - left) * across),
        min(float(picture.height), pad[1] + (rect[3] - top) * down),
    )
    return picture.resize((rect[2] - rect[0], rect[3] - rect[1]), Image.Resampling.BILINEAR, box=box)


def _sizes(height_px: float) -> list[int]:
    size, sizes = max(24, math.ceil(height_px)), []
    while size >= 20 and len(sizes) < 4:
        sizes.append(size)
        size = (size + 1) // 2
    return sizes


def _halvings(picture: Image.Image, pad: float, content: tuple[float, float]) -> list:
    levels = [(picture, pad, content)]
    while levels[-1][2][1] >= 48 and len(levels) < 4:
        small = levels[-1][0].resize(
            ((picture.width >> len(levels)), (picture.height >> len(levels))), Image.Resampling.BOX
        )
        ratio = small.width / picture.width, small.height / picture.height
        levels.append((small, pad * ratio[1], (content[0] * ratio[0], content[1] * ratio[1])))
    return levels


def _ball_grid(size: int, light: float) -> dict:
    pad = size // 10 + 2
    axis = (np.arange(size + 2 * pad, dtype=np.float32) + 0.5 - pad) / size * 2 - 1
    u, v = np.meshgrid(axis, axis)
    radius = np.hypot(u, v)
    squeeze = np.maximum(radius, 1.0)
    inner_u, inner_v = u / squeeze, v / squeeze
    depth = np.sqrt(np.clip(1 - inner_u**2 - inner_v**2, 0, 1))
    factor, highlight = round_shading(inner_u, inner_v, light, 1.0)
    return {
        "size": size,
        "pad": pad,
        "alpha": np.clip((1 - radius) * size / 2 + 0.5, 0, 1)[..., None].astype(np.float32),
        "normals": np.stack([inner_u, -inner_v, -depth], -1),
        "factor": factor[..., None].astype(np.float32),
        "highlight": np.asarray(highlight, np.float32)[..., None],
    }


def _shadow(alpha: Image.Image, pad: float, content: tuple[float, float], light: Light) -> Image.Image:
    """A soft contact shadow with the silhouette laid on the ground, away from the light."""
    shrink = min(1.0, 72 / content[0])
    width, height = content[0] * shrink, content[1] * shrink
    small = alpha.resize(
        (max(2, round(alpha.width * shrink)), max(2, round(alpha.height * shrink))), Image.Resampling.BOX
    )
    edge = pad * shrink
    size = (round(SHADOW_WIDTH * width), max(4, round(SHADOW_HEIGHT * height)))
    foot_y, centre_x = size[1] * SHADOW_FOOT, size[0] / 2
    squash, lean = 0.36, -0.75 * light.direction
    # Output (X, Y) shows the sprite point y above its foot that was laid down there.
    up = 1 / squash
    laid = small.transform(
        size,
        Image.Transform.AFFINE,
        (
            1,
            lean * up * 0.75,
            edge + width / 2 - centre_x - lean * up * 0.75 * foot_y,
            0,
            up,
            edge + height - up * foot_y,
        ),
        Image.Resampling.BILINEAR,
    ).point([round(v * 0.55) for v in range(256)])
    half_w, half_h = width * 0.47, width * 0.1
    ImageDraw.Draw(laid).ellipse(
        [centre_x - half_w, foot_y - half_h, centre_x + half_w, foot_y + half_h * 0.7], fill=210
    )
    soft = laid.filter(ImageFilter.GaussianBlur(max(1.0, width * 0.045)))
    return soft.point([round(v * light.shadow * 1.1) for v in range(256)])
