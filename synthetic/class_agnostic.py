"""Class-agnostic clips: things of many parts before any background, under a moving, imperfect camera.

For learning what belongs together and how to follow it, not what it is called.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from synthetic.composites import KINDS, Part, PartMaker
from synthetic.scene import NOISE_SHIFT, Sight, grain, seen_box
from synthetic.story import tell_events
from synthetic.textures import background, sample_palette
from synthetic.truth import ObjectTruth, SyntheticClip

WORLD = 1.9  # the background is this much larger than the frame
FPS = 8.0
Matrix = tuple[float, float, float, float]  # rows (a, b), (c, d)
Rect = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Mover:
    """One thing and its way through the world: position in frames from the middle, size in frames."""

    parts: list[Part]
    position: np.ndarray  # float [T, 2]
    size: np.ndarray  # float [T]
    turn: np.ndarray  # float [T]
    flip: int
    is_object: bool
    blurred: bool


@dataclass(frozen=True, slots=True)
class View:
    """The camera of one frame: looks at ``x``, ``y`` of the world, magnified and turned."""

    x: float
    y: float
    zoom: float
    turn: float


def sample_texture_clip(seed: int, size: int = 192, frames: int = 8) -> SyntheticClip:
    """Draw the clip of a seed, square, at :data:`FPS` frames a second: same arguments, same bytes.

    Classes are all "something" and colours empty; ``ground`` and ``velocity`` are in frames instead of metres.

    :raises ValueError: for a picture under 48 pixels or no frame at all.
    """
    if size < 48 or frames < 1:
        raise ValueError(f"expected size of at least 48 pixels and 1 frame, got size {size}, {frames} frames")
    rng = np.random.default_rng([seed, 31])
    palette = sample_palette(rng)
    backdrop = background(rng, palette, round(size * WORLD))
    views = _sample_views(rng, frames)
    movers = _sample_movers(rng, palette, size, frames, views)
    return film(backdrop, movers, views, Lens(rng, size), size)


def film(
    backdrop: Image.Image, movers: list[Mover], views: list[View], lens: Lens, size: int
) -> SyntheticClip:
    """Draw movers before a backdrop as the camera sees them; three clips in ten run backwards."""
    pictures, owners, sights = [], [], []
    for t, view in enumerate(views):
        picture, ids, seen = _draw(backdrop, movers, view, t, size)
        pictures.append(lens.develop(picture))
        owners.append(ids)
        sights.append(seen)
    order = slice(None, None, -1) if lens.rng.uniform() < 0.3 else slice(None)
    return _clip(pictures[order], owners[order], sights[order], [m for m in movers if m.is_object], order)


def _sample_views(rng: np.random.Generator, frames: int) -> list[View]:
    """A still camera, or pan, zoom, turn and shake that stay on the background."""
    if rng.uniform() < 0.35:
        return [View(0.0, 0.0, 1.0, 0.0)] * frames
    time = np.linspace(-0.5, 0.5, frames)
    pan = rng.normal(0, 0.22, 2)[:, None] * time + rng.uniform(-0.06, 0.06, 2)[:, None]
    shake = rng.normal(0, 0.008 if rng.uniform() < 0.5 else 0.0, (2, frames))
    path = np.clip(pan + shake, -0.27, 0.27)
    zoom = np.exp(np.clip(rng.normal(0, 0.15) * time, -0.12, 0.2)) * 1.08
    turn = rng.normal(0, 0.07) * time if rng.uniform() < 0.4 else 0 * time
    return [View(*values) for values in zip(path[0], path[1], zoom, turn, strict=True)]


def _sample_movers(
    rng: np.random.Generator, palette: np.ndarray, size: int, frames: int, views: list[View]
) -> list[Mover]:
    """Two to six objects, far ones first, with a twin in some clips and a nameless thing in front in others."""
    angle = rng.uniform(0, 2 * np.pi)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    movers = [_sample_mover(rng, palette, size, frames, views, light) for _ in range(int(rng.integers(2, 6)))]
    if rng.uniform() < 0.2:
        path = _sample_path(rng, frames, views, float(movers[0].size.mean()))
        movers.append(Mover(movers[0].parts, *path, movers[0].flip, True, False))
    if rng.uniform() < 0.25:
        cover = _sample_mover(rng, palette, size, frames, [View(0, 0, 1, 0)] * frames, light)
        still = np.broadcast_to(np.clip(cover.position[:1], -0.5, 0.5), cover.position.shape)
        movers.append(
            Mover(cover.parts, still, cover.size[:1].repeat(frames), cover.turn * 0, 1, False, False)
        )
    return movers


def _sample_mover(rng, palette, size: int, frames: int, views: list[View], light) -> Mover:
    kinds, shares = zip(*KINDS, strict=True)
    kind = kinds[int(rng.choice(len(kinds), p=np.array(shares) / sum(shares)))]
    small = rng.uniform() < 0.16 or kind.__name__ == "ball"
    extent = float(
        np.exp(rng.uniform(np.log(0.045), np.log(0.16)) if small else rng.uniform(np.log(0.17), np.log(0.8)))
    )
    path = _sample_path(rng, frames, views, extent)
    make = PartMaker(rng, palette, 1.1 * size * float(path[1].max()), light)
    blurred = rng.uniform() < 0.2
    return Mover(kind(make), *path, 1 if rng.uniform() < 0.5 else -1, True, blurred)


def _sample_path(
    rng, frames: int, views: list[View], extent: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position [T, 2], size [T] and turn [T]: fixed, swinging, passing through, followed or wandering."""
    t = np.arange(frames, dtype=np.float64)
    start = rng.uniform(-0.42, 0.42, 2)
    heading = (
        rng.uniform(0, 2 * np.pi) if rng.uniform() < 0.5 else rng.choice([0.0, np.pi]) + rng.normal(0, 0.15)
    )
    ahead = np.array([np.cos(heading), np.sin(heading)])
    step = float(np.exp(rng.uniform(np.log(0.004), np.log(0.1))))
    way = rng.choice(5, p=(0.16, 0.14, 0.24, 0.1, 0.36))
    if way == 0:
        position = np.repeat(start[None], frames, 0)
    elif way == 1:
        reach = rng.uniform(0.03, 0.5 + extent)
        position = start + ahead * reach * np.sin(t * rng.uniform(0.25, 1.2) + rng.uniform(0, 6))[:, None]
    elif way == 2:
        crossing = rng.uniform(0.1, 0.9) * frames  # the frame in which it is on the edge
        inward = 1 if rng.uniform() < 0.5 else -1
        edge = -inward * ahead * (0.5 + 0.3 * extent)
        position = (
            edge + start * 0.5 * np.abs(ahead[::-1]) + ahead * (t - crossing)[:, None] * max(step, 0.03)
        )
    elif way == 3:
        position = start * 0.6 + np.array([[view.x, view.y] for view in views])
    else:
        bend = rng.normal(0, 0.004, 2)
        position = start + ahead * step * (t - frames * 0.3)[:, None] + bend * (t**2)[:, None]
    growth = np.exp(np.clip(rng.normal(0, 0.025) * t, -0.7, 0.7)) if rng.uniform() < 0.5 else np.ones(frames)
    spin = rng.normal(0, 0.12) * t if rng.uniform() < 0.25 else 0.06 * np.sin(t * 0.7)
    return position, np.clip(extent * growth, 0.03, 1.1), rng.normal(0, 0.12) + spin


def _draw(backdrop: Image.Image, movers: list[Mover], view: View, t: int, size: int):
    frame = _look(backdrop, view, size)
    owners = Image.new("L", (size, size))
    shapes: list[tuple[Rect | None, Image.Image]] = []
    for mover in movers:
        shape = Image.new("L", (size, size))
        where = _matrices(mover, view, t, size)
        for part in mover.parts:
            _paste(frame, shape, part, where, t / FPS, mover.blurred and len(mover.parts) == 1)
        key = len(shapes) + 1 if mover.is_object else 0
        rect = shape.getbbox()
        if rect:
            # Soft while parts were joined; hard from here on, for a pixel has one owner.
            inside = np.asarray(shape.crop(rect)) > 127
            shape = Image.fromarray(inside.view(np.uint8) * np.uint8(255))
            owners.paste(key, rect, shape)
        if key:
            shapes.append((rect, shape))
    ids = np.asarray(owners)
    counts = np.bincount(ids.ravel(), minlength=256)
    places = [_matrices(mover, view, t, size)[1] for mover in movers if mover.is_object]
    seen = {k: _sight(ids, int(counts[k + 1]), k + 1, shape, places[k]) for k, shape in enumerate(shapes)}
    return frame, ids, seen


def _look(backdrop: Image.Image, view: View, size: int) -> Image.Image:
    cos, sin = math.cos(view.turn) / view.zoom, math.sin(view.turn) / view.zoom
    middle = backdrop.width / 2
    half = size / 2
    x = middle + view.x * size - (cos * half - sin * half)
    y = middle + view.y * size - (sin * half + cos * half)
    matrix = (cos, -sin, x, sin, cos, y)
    return backdrop.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _matrices(mover: Mover, view: View, t: int, size: int) -> tuple[Matrix, tuple[float, float]]:
    """Thing units to frame pixels: a matrix and the place of the thing's middle."""
    angle, grow = mover.turn[t] - view.turn, mover.size[t] * view.zoom * size
    cos, sin = math.cos(angle) * grow, math.sin(angle) * grow
    away_x, away_y = mover.position[t, 0] - view.x, mover.position[t, 1] - view.y
    turn_c, turn_s = math.cos(view.turn) * view.zoom * size, math.sin(view.turn) * view.zoom * size
    place = (size / 2 + turn_c * away_x + turn_s * away_y, size / 2 - turn_s * away_x + turn_c * away_y)
    return (cos * mover.flip, -sin, sin * mover.flip, cos), place


def _paste(frame: Image.Image, shape: Image.Image, part: Part, where, time_s: float, blurred: bool) -> None:
    """Draw a part into the frame and its outline into ``shape``."""
    (a, b, c, d), (place_x, place_y) = where
    x = place_x + a * part.joint[0] + b * part.joint[1]
    y = place_y + c * part.joint[0] + d * part.joint[1]
    angle = part.angle_at(time_s)
    cos, sin = math.cos(angle) / part.px_per_unit, math.sin(angle) / part.px_per_unit
    a, b, c, d = a * cos + b * sin, b * cos - a * sin, c * cos + d * sin, d * cos - c * sin
    picture, anchor = part.picture_at(time_s), part.anchor
    shrink = math.sqrt(abs(a * d - b * c))
    if shrink < 0.02:
        return
    corners = [(u - anchor[0], v - anchor[1]) for u in (0, picture.width) for v in (0, picture.height)]
    xs, ys = [x + a * u + b * v for u, v in corners], [y + c * u + d * v for u, v in corners]
    x0, y0 = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    x1, y1 = min(frame.width, math.ceil(max(xs))), min(frame.height, math.ceil(max(ys)))
    if x1 <= x0 or y1 <= y0:
        return
    det = a * d - b * c
    ia, ib, ic, id_ = d / det, -b / det, -c / det, a / det
    matrix = (
        ia,
        ib,
        anchor[0] + ia * (x0 - x) + ib * (y0 - y),
        ic,
        id_,
        anchor[1] + ic * (x0 - x) + id_ * (y0 - y),
    )
    drawn = picture.transform((x1 - x0, y1 - y0), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    if blurred:
        drawn = drawn.filter(ImageFilter.BoxBlur((max(1, (x1 - x0) // 9), 1)))
    frame.paste(drawn, (x0, y0), drawn)
    shape.paste(255, (x0, y0), drawn.getchannel(3))


def _sight(ids: np.ndarray, visible: int, key: int, drawn, place: tuple[float, float]) -> Sight:
    rect, shape = drawn
    full = shape.histogram()[255] if rect else 0
    if full == 0:
        return Sight(0, 0, (0, 0, 0, 0), place, 0)
    crop = ids[rect[1] : rect[3], rect[0] : rect[2]]
    return Sight(full, visible, seen_box(crop == key, rect) if visible else (0, 0, 0, 0), place, 0)


class Lens:
    """What happens to all frames of a clip on the way: cast, blur, noise, small size, JPEG."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng, self.size = rng, size
        self.gain = (rng.uniform(0.75, 1.2) * (1 + rng.normal(0, 0.05, 3))).astype(np.float32)
        self.drift = float(rng.normal(0, 0.012)) if rng.uniform() < 0.3 else 0.0
        self.blur = float(rng.uniform(0.35, 1.3)) if rng.uniform() < 0.3 else 0.0
        self.noise = float(rng.uniform(1.5, 9)) if rng.uniform() < 0.5 else 0.0
        self.small = round(size * rng.uniform(0.45, 0.8)) if rng.uniform() < 0.15 else size
        self.quality = int(rng.integers(30, 92)) if rng.uniform() < 0.45 else 0
        self.frame = 0

    def develop(self, picture: Image.Image) -> np.ndarray:
        """The frame as the camera would hand it out, uint8 [size, size, 3]."""
        self.frame += 1
        if self.small != self.size:
            small = picture.resize((self.small, self.small), Image.Resampling.BOX)
            picture = small.resize((self.size, self.size), Image.Resampling.BILINEAR)
        if self.blur:
            picture = picture.filter(ImageFilter.GaussianBlur(self.blur))
        pixels = np.asarray(picture) * (self.gain * np.float32(1 + self.drift * self.frame))
        if self.noise:
            y, x = self.rng.integers(0, NOISE_SHIFT, 2)
            pixels += self.noise * grain(self.size, self.size)[y : y + self.size, x : x + self.size]
        done = np.clip(pixels, 0, 255).astype(np.uint8)
        return _through_jpeg(done, self.quality) if self.quality else done


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "JPEG", quality=quality)
    return np.asarray(Image.open(packed))


def _clip(
    pictures, owners, sights: list[dict[int, Sight]], objects: list[Mover], order: slice
) -> SyntheticClip:
    stories = tell_events([], sights, FPS, len(owners[0]))
    truths = []
    for index, mover in enumerate(objects):
        seen = [frame[index] for frame in sights]
        ground = mover.position[order].astype(np.float32)
        velocity = np.gradient(ground, axis=0) * FPS if len(ground) > 1 else np.zeros_like(ground)
        truths.append(
            ObjectTruth(
                class_name="something",
                colour="",
                visible_px=np.array([s.visible_px for s in seen], np.int32),
                full_px=np.array([s.full_px for s in seen], np.int32),
                boxes=np.array([s.box for s in seen], np.float32),
                centre=np.array([s.centre for s in seen], np.float32),
                ground=ground,
                velocity=velocity.astype(np.float32),
                events=stories[index],
            )
        )
    return SyntheticClip(np.stack(pictures), np.stack(owners), FPS, tuple(truths))
