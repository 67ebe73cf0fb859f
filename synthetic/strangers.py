"""Nameless things: class-agnostic clips with what can still be told of them, their colour and their way.

A thing without a class keeps its colour, read off its pixels, and its motion in the picture: left, right, up, down.
Nothing is known of depth there, nor of contacts.
"""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
from PIL import Image

from synthetic.class_agnostic import FPS, sample_texture_clip
from synthetic.grammar import STRANGER, Attributes, Direction, Ending
from synthetic.palette import ALL_COLOURS
from synthetic.truth import ObjectTruth, SyntheticClip

CLEAR_SHARE, LEAD = 0.33, 1.4
"""A thing's colour is told if it covers this share of its pixels, and so many times as many as the next colour:
real things have several colours, and people still name the one that prevails."""
MOVED_SHARE = 0.05
"""A shorter way, in picture widths, is standing still."""
RESTLESS_SHARE = 0.12
"""Things that come back to where they were after a longer way than this have nothing true to be told."""
GONE_S, STOOD_S = 0.5, 0.7
BORDER_SHARE = 0.02
TINTED_SHARE = 0.5
"""Of the things, those dyed one colour: textures of many colours would leave most without a word."""
HEIGHTS = (180, 240)
MIN_PX = 24


def sample_stranger_clip(seed: int, frames: int = 16, fps: float = 4.0, width: int = 320) -> SyntheticClip:
    """A clip of nameless things on any background: same arguments, same bytes.

    Colours are words of :data:`synthetic.palette.ALL_COLOURS`, or empty where none is clear; there are no events.
    Raises ValueError for a rate that does not divide that of the class-agnostic clips.
    """
    step = round(FPS / fps)
    if step < 1 or abs(step * fps - FPS) > 1e-6:
        raise ValueError(f"expected a rate that divides {FPS} frames a second, got {fps}")
    clip = sample_texture_clip(seed, width, frames * step)
    rng = np.random.default_rng([seed, 32])
    height = int(rng.choice(HEIGHTS))
    top = int(rng.integers(0, width - height + 1))
    # Other colours in every second clip: greens and pinks would prevail.
    channels = rng.permutation(3) if rng.uniform() < 0.5 else np.arange(3)
    pictures = np.ascontiguousarray(clip.frames[::step, top : top + height][..., channels])
    ids = np.ascontiguousarray(clip.ids[::step, top : top + height])
    for key in range(1, len(clip.objects) + 1):
        if rng.uniform() < TINTED_SHARE:
            _tint(pictures, ids == key, rng)
    objects = tuple(_seen(it, k + 1, pictures, ids, step, top) for k, it in enumerate(clip.objects))
    return SyntheticClip(pictures, ids, fps, objects)


def _tint(pictures: np.ndarray, masks: np.ndarray, rng: np.random.Generator) -> None:
    """Dye the pixels of a thing, in place: its lights and shades stay, its own colours shine through a little."""
    if not masks.any():
        return
    pixels = pictures[masks].astype(np.float32)
    light = pixels.mean(1, keepdims=True)
    dyed = _sample_dye(rng) * light / max(float(light.mean()), 1.0)
    strength = rng.uniform(0.55, 1.0)
    pictures[masks] = np.clip((1 - strength) * pixels + strength * dyed, 0, 255).astype(np.uint8)


def _sample_dye(rng: np.random.Generator) -> np.ndarray:
    """A colour of everyday things, RGB float [3]: reds to yellows as often as the other hues, dark and pale too."""
    hue = rng.uniform(-0.06, 0.2) % 1 if rng.uniform() < 0.5 else rng.uniform(0.2, 0.94)
    saturation = rng.uniform(0.0, 0.12) if rng.uniform() < 0.25 else rng.uniform(0.3, 0.95)
    return 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, rng.uniform(0.12, 1.0)))


def _seen(
    it: ObjectTruth, key: int, pictures: np.ndarray, ids: np.ndarray, step: int, top: int
) -> ObjectTruth:
    """The truth of one thing in the cut-out part of the picture."""
    visible = np.array([(picture == key).sum() for picture in ids], np.int32)
    boxes = np.stack([_box(picture == key) for picture in ids])
    return replace(
        it,
        class_name=STRANGER,
        colour=_colour(pictures, ids == key, visible),
        visible_px=visible,
        full_px=np.maximum(visible, 0),
        boxes=boxes,
        centre=(it.centre[::step] - np.array([0, top])).astype(np.float32),
        ground=it.ground[::step],
        velocity=it.velocity[::step],
        events=(),
    )


def _box(mask: np.ndarray) -> np.ndarray:
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _colour(pictures: np.ndarray, masks: np.ndarray, visible: np.ndarray) -> str:
    """The colour word that covers most of a thing, over the three frames that show most of it."""
    best = np.argsort(visible)[-3:]
    pixels = np.concatenate([pictures[t][masks[t]] for t in best])
    return clear_colour(pixels) if len(pixels) >= MIN_PX else ""


def clear_colour(pixels: np.ndarray) -> str:
    """The colour word that prevails in pixels uint8 [n,3], or an empty text where none does."""
    counts = np.bincount(colour_numbers(pixels), minlength=len(ALL_COLOURS) + 1)[1:]
    second, best = np.argsort(counts, kind="stable")[-2:]
    prevails = counts[best] >= CLEAR_SHARE * len(pixels) and counts[best] >= LEAD * counts[second]
    return ALL_COLOURS[int(best)] if prevails else ""


def colour_numbers(pixels: np.ndarray) -> np.ndarray:
    """1 + the number in :data:`ALL_COLOURS` of each pixel uint8 [n,3] as most people would call it, 0 where unsure."""
    hsv = np.asarray(Image.fromarray(pixels.reshape(1, -1, 3)).convert("HSV"))[0].astype(np.float32)
    hue, saturation, value = hsv[:, 0] * (360 / 255), hsv[:, 1] / 255, hsv[:, 2] / 255
    warm = (hue >= 16) & (hue < 50)
    bluish = (hue >= 190) & (hue < 256)
    # The first rule that holds decides.
    rules: tuple[tuple[str, np.ndarray], ...] = (
        ("black", (value < 0.22) | ((value < 0.32) & (saturation < 0.3))),
        ("white", (value > 0.74) & ((saturation < 0.16) | (warm & (saturation < 0.25)))),
        ("gray", saturation < 0.16),
        ("brown", warm & (value < 0.66) & (saturation > 0.22)),
        ("brown", (hue >= 350) & (value < 0.42) & (saturation < 0.6)),
        # Jeans and clear skies are called blue though they are pale.
        ("blue", bluish & (saturation > 0.2)),
        ("", saturation < 0.28),
        ("red", ((hue < 16) | (hue >= 345)) & (saturation > 0.45)),
        ("orange", (hue >= 16) & (hue < 43) & (saturation > 0.5)),
        ("yellow", (hue >= 43) & (hue < 68) & (value > 0.5) & (saturation > 0.35)),
        ("green", (hue >= 72) & (hue < 165)),
        ("blue", (hue >= 178) & (hue < 256)),
        ("purple", (hue >= 260) & (hue < 318)),
    )
    numbers = np.zeros(len(pixels), np.int64)
    open_ = np.ones(len(pixels), bool)
    for name, holds in rules:
        taken = open_ & holds
        numbers[taken] = ALL_COLOURS.index(name) + 1 if name else 0
        open_ &= ~taken
    return numbers


def describe_stranger(
    it: ObjectTruth, fps: float, start_s: float, end_s: float, width: int, height: int
) -> Attributes | None:
    """What is true of a nameless thing over a span of time, or None where nothing clear can be said."""
    first, last = max(0, round(start_s * fps)), min(len(it.boxes), round(end_s * fps) + 1)
    seen = np.flatnonzero(it.visible_px[first:last] >= MIN_PX) + first
    if not it.colour or not len(seen):
        return None
    boxes = it.boxes[seen] / width
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    direction, restless = _direction(middles)
    if restless:
        return None
    if direction is None:
        return Attributes(STRANGER, it.colour, "stays")
    gone = (last - 1 - seen[-1]) / fps >= GONE_S
    return Attributes(
        class_name=STRANGER,
        colour=it.colour,
        event=_ending(it.boxes[seen[-1]], middles, seen, fps, gone, (width, height)),
        direction=direction,
        entered=_entrance(it.boxes[seen[0]], width) if (seen[0] - first) / fps >= GONE_S else None,
    )


def _direction(middles: np.ndarray) -> tuple[Direction | None, bool]:
    """The way from first to last, and whether there was a longer one than that tells."""
    across, down = middles[-1] - middles[0]
    if max(abs(across), abs(down)) <= MOVED_SHARE:
        return None, bool(np.ptp(middles, axis=0).max() > RESTLESS_SHARE)
    if abs(across) >= abs(down):
        return ("right" if across > 0 else "left"), False
    return ("down" if down > 0 else "up"), False


def _ending(
    box: np.ndarray,
    middles: np.ndarray,
    seen: np.ndarray,
    fps: float,
    gone: bool,
    size: tuple[int, int],
) -> Ending:
    if gone:
        return "leaves" if _at_border(box, size) else "hidden"
    rest = middles[(seen[-1] - seen) / fps <= STOOD_S]
    stood = len(rest) > 2 and float(np.ptp(rest, axis=0).max()) < MOVED_SHARE / 8
    return "stops" if stood else "moves"


def _at_border(box: np.ndarray, size: tuple[int, int]) -> bool:
    slack = BORDER_SHARE * size[0]
    return bool(min(box[0], box[1], size[0] - box[2], size[1] - box[3]) <= slack)


def _entrance(box: np.ndarray, width: int) -> str | None:
    slack = BORDER_SHARE * width
    if box[0] <= slack:
        return "left"
    return "right" if width - box[2] <= slack else None
