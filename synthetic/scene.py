"""One place under one light: draws bodies into frames, far ones first, and counts their pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from synthetic.backdrop import render_backdrop
from synthetic.camera import Z_NEAR_M, sample_camera
from synthetic.lighting import sample_light
from synthetic.palette import Paint, sample_paint
from synthetic.physics import STEP_S, Body
from synthetic.shapes import SHAPES
from synthetic.sprites import (
    SHADOW_FOOT,
    SHADOW_HEIGHT,
    SHADOW_WIDTH,
    BallSprite,
    Sprite,
    make_sprite,
    owner_mask,
    shadow_cut,
)

SPLITS = ("train", "held_out")
SHADOW_RGB = (14, 14, 20)
NOISE_SHIFT = 32
FOOT_SINK = 0.035  # the ground point lies this far above the sprite's lower edge, in heights
HIDDEN_SHARE = 0.05  # less than this part visible counts as hidden


@dataclass(frozen=True, slots=True)
class Sight:
    """What one frame shows of one body: areas and box in pixels; ``cover`` is the main occluder's id or 0."""

    full_px: int
    visible_px: int
    box: tuple[int, int, int, int]
    centre: tuple[float, float]
    cover: int

    @property
    def hidden(self) -> bool:
        """In the frame but covered."""
        return self.full_px > 0 and self.visible_px < HIDDEN_SHARE * self.full_px + 1


def check_view(split: str, width: int, height: int, fps: float) -> None:
    """Raise ``ValueError`` naming what is wrong with a request for pictures."""
    if split not in SPLITS:
        raise ValueError(f"split: expected one of {SPLITS}, got {split!r}")
    if width < 48 or height < 48:
        raise ValueError(f"size: expected at least 48x48 pixels, got {width}x{height}")
    if not 0 < fps <= 1 / STEP_S:
        raise ValueError(f"fps: expected more than 0 and at most {1 / STEP_S:.0f}, got {fps}")


@lru_cache(maxsize=8)
def grain(height: int, width: int) -> np.ndarray:
    """Sensor noise float32 of deviation 1, ``NOISE_SHIFT`` larger than a picture, to be cut at random places."""
    shape = (height + NOISE_SHIFT, width + NOISE_SHIFT, 3)
    return np.random.default_rng(7).standard_normal(shape, dtype=np.float32)


class Scene:
    """Camera, light, backdrop and the sprites of the bodies in it. ``rng`` decides all of them."""

    def __init__(self, rng: np.random.Generator, split: str, width: int, height: int) -> None:
        self.camera = sample_camera(rng, width, height)
        self.light = sample_light(rng, split)
        self.backdrop = render_backdrop(rng, split, self.camera, self.light)
        self.width, self.height = width, height
        self.sprites: dict[int, Sprite | BallSprite] = {}
        self._paints: dict[int, Paint] = {}
        self.peak = float(self.light.field(9, 9).max())
        self._noise = np.rint(grain(height, width) * float(rng.uniform(1.0, 2.6))).astype(np.int16)

    def admit(self, rng: np.random.Generator, body: Body) -> None:
        """Choose the shade of a body and draw its sprite."""
        self._paints[body.number] = sample_paint(rng, body.colour)
        self.turn(body, body.facing)

    def turn(self, body: Body, facing: int) -> None:
        """Draw the sprite of an admitted body anew, facing right (1) or left (-1)."""
        body.facing = facing
        largest_px = body.height_m * self.camera.scale(Z_NEAR_M)[1]
        paint = self._paints[body.number]
        self.sprites[body.number] = make_sprite(
            SHAPES[body.class_name], paint, self.light, facing, largest_px, self.peak
        )

    def dismiss(self, body: Body) -> None:
        """Forget the sprite of a body."""
        self.sprites.pop(body.number, None)
        self._paints.pop(body.number, None)

    def draw(
        self, rng: np.random.Generator, bodies: list[tuple[int, Body]]
    ) -> tuple[np.ndarray, np.ndarray, dict[int, Sight]]:
        """Draw (id, body) pairs: frame uint8 [H, W, 3], ids uint8 [H, W], what is seen of each id."""
        frame = self.backdrop.picture.copy()
        owners = Image.new("L", (self.width, self.height))
        order = sorted(bodies, key=lambda pair: -pair[1].z)
        for _, body in order:
            self._draw_shadow(frame, body)
        drawn = {key: self._draw_body(frame, owners, key, body) for key, body in order}
        ids = np.asarray(owners)
        visible = np.bincount(ids.ravel(), minlength=256)
        sights = {key: self._sight(ids, visible, key, body, drawn[key]) for key, body in bodies}
        return self._with_noise(rng, frame), ids, sights

    def _place(self, body: Body) -> tuple[float, float, float, float]:
        across, down = self.camera.scale(body.z)
        ground_x, ground_y = self.camera.ground_px(body.x, body.z)
        width, height = body.width_m * across, body.height_m * down
        if SHAPES[body.class_name].bobs:
            height *= 1 + 0.022 * math.sin(9.0 * (body.x + body.z)) * min(1.0, body.speed)
        return ground_x - width / 2, ground_y + FOOT_SINK * height - height, width, height

    def _rect(self, left: float, top: float, width: float, height: float) -> tuple[int, int, int, int] | None:
        x0, y0 = max(0, math.floor(left)), max(0, math.floor(top))
        x1, y1 = min(self.width, math.ceil(left + width)), min(self.height, math.ceil(top + height))
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None

    def _draw_shadow(self, frame: Image.Image, body: Body) -> None:
        left, top, width, height = self._place(body)
        ground_y = top + height * (1 - FOOT_SINK)
        size = SHADOW_WIDTH * width, SHADOW_HEIGHT * height
        place = left + width / 2 - size[0] / 2, ground_y - SHADOW_FOOT * size[1], *size
        rect = self._rect(*place)
        if rect is not None:
            frame.paste(SHADOW_RGB, rect, shadow_cut(self.sprites[body.number], *place, rect))

    def _draw_body(self, frame: Image.Image, owners: Image.Image, key: int, body: Body):
        place = self._place(body)
        rect = self._rect(*place)
        if rect is None:
            return None
        picture = self.sprites[body.number].cut(*place, rect, body.axis)
        dim = self._brightness(place[0] + place[2] / 2, place[1] + place[3] / 2)
        if dim < 0.98:
            scale = [min(255, round(v * dim)) for v in range(256)]
            picture = picture.point(scale * 3 + list(range(256)))
        mask = owner_mask(picture)
        frame.paste(picture, rect, picture)
        owners.paste(key, rect, mask)
        return rect, mask

    def _brightness(self, x: float, y: float) -> float:
        """Light at a place, relative to the brightest place (the sprites are painted in that)."""
        light = self.light
        u = min(1.0, max(-1.0, 2 * x / self.width - 1))
        v = min(1.0, max(-1.0, 2 * y / self.height - 1))
        lean = math.copysign(min(1.0, abs(light.direction) * 1.5) * 0.6, light.direction)
        level = light.level * (1 + light.gradient * (lean * u - v * 0.2))
        return min(1.0, level * (1 - light.vignette * (u * u * 0.55 + v * v * 0.45)) / self.peak)

    def _sight(self, ids: np.ndarray, visible: np.ndarray, key: int, body: Body, drawn) -> Sight:
        left, top, width, height = self._place(body)
        centre = (left + width / 2, top + height / 2)
        if drawn is None:
            return Sight(0, 0, (0, 0, 0, 0), centre, 0)
        rect, mask = drawn
        full, seen = mask.histogram()[255], int(visible[key])
        if full == 0:
            return Sight(0, 0, (0, 0, 0, 0), centre, 0)
        crop = ids[rect[1] : rect[3], rect[0] : rect[2]]
        box = seen_box(crop == key, rect) if seen else (0, 0, 0, 0)
        cover = 0
        if seen < full * 0.5:
            counts = np.bincount(crop[np.asarray(mask) > 0], minlength=256)
            counts[[0, key]] = 0
            cover = int(counts.argmax()) if counts.any() else 0
        return Sight(full, seen, box, centre, cover)

    def _with_noise(self, rng: np.random.Generator, frame: Image.Image) -> np.ndarray:
        y, x = (int(v) for v in rng.integers(0, NOISE_SHIFT, 2))
        noisy = np.asarray(frame) + self._noise[y : y + self.height, x : x + self.width]
        return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def seen_box(owned: np.ndarray, rect: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Box in the frame of the pixels ``owned`` bool inside ``rect``; exclusive ends."""
    columns, rows = np.flatnonzero(owned.any(0)), np.flatnonzero(owned.any(1))
    return (
        rect[0] + int(columns[0]),
        rect[1] + int(rows[0]),
        rect[0] + int(columns[-1]) + 1,
        rect[1] + int(rows[-1]) + 1,
    )
