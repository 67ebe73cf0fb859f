"""What production gives the captioner, imitated: a tracker's rough masks on a few frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from modeling.pixelrefer.questions import MAX_FRAMES, MOST_NEIGHBOURS
from operators.neighbours import Neighbour, choose_neighbours
from operators.observe import choose_frames
from recipes.captioner.clips import StoredClip
from synthetic.grammar import STRANGER, Attributes
from synthetic.language import describe
from synthetic.strangers import describe_stranger
from synthetic.truth import SyntheticClip

MIN_MASK_PX = 24
"""Smaller masks are not shown to the captioner."""
EXACT_SHARE = 0.25
BOXED_SHARE, BOX_SLACK = 0.15, 0.06
"""Of the roughly outlined objects, those shown by a filled box: people's regions often are. Slack in box sides."""
WINDOW_SHARE = 0.3
LATE_SHARE = 0.25
"""Tracks opened some frames after their object came into view."""
LOST_SHARE = 0.06
GAP_SHARE = 0.3
SPARSE_SHARE, MOST_SPARSE = 0.2, 4
"""Pieces of evidence that show a few pictures far apart and end with the last of them, as notes on footage do."""
LENIENT_FRAMES = 2
"""An entrance missed by at most this many frames is still told: the first place is near the border."""


@dataclass(frozen=True)
class Shown:
    """Frames on which one object is shown: indices into the clip, 0/1 ``masks`` uint8 [n,H,W], times in seconds.

    ``name``: its true colour (empty where none is clear) and class.
    """

    name: tuple[str, str]
    frames: list[int]
    masks: np.ndarray
    times_s: list[float]


@dataclass(frozen=True)
class Evidence:
    """The object asked about and those near it, the end of the clip in seconds, and the truth."""

    own: Shown
    near: tuple[Shown, ...]
    end_s: float
    said: Attributes

    @property
    def shown(self) -> tuple[Shown, ...]:
        """All objects, the one asked about first."""
        return (self.own, *self.near)


@dataclass(frozen=True)
class _Choice:
    frames: np.ndarray
    first: int
    last: int
    start_s: float
    end_s: float


class Outlines:
    """Outlines of all objects of a clip: exact, or as rough as one tracker would draw them throughout."""

    def __init__(
        self,
        clip: StoredClip | SyntheticClip,
        rng: np.random.Generator | None,
        exact_share: float = EXACT_SHARE,
    ) -> None:
        """``rng``: None for exact outlines; ``exact_share``: of the objects, to be outlined exactly all the same."""
        self._clip, self._rng, self._exact_share = clip, rng, exact_share
        self._faults: dict[int, Roughness | None] = {}
        self._known: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, index: int, frame: int) -> np.ndarray:
        """Mask uint8 [H,W] of an object on a frame; the same each time it is asked for."""
        key = (index, frame)
        if key not in self._known:
            mask = self._clip.ids[frame] == index + 1
            fault = self._fault(index)
            rough = mask if fault is None or self._rng is None else fault(mask, self._rng)
            self._known[key] = rough.astype(np.uint8)
        return self._known[key]

    def _fault(self, index: int) -> Roughness | None:
        if index not in self._faults:
            exact = self._rng is None or self._rng.random() < self._exact_share
            self._faults[index] = None if exact else Roughness.sample(self._rng)
        return self._faults[index]


def sample_evidence(
    clip: StoredClip, index: int, rng: np.random.Generator, outlines: Outlines
) -> Evidence | None:
    """Evidence on one object as a tracker might give it, or None if it is never seen well enough."""
    choice = _choose(clip, index, rng)
    return None if choice is None else _gathered(clip, index, choice, outlines)


def whole_evidence(clip: StoredClip | SyntheticClip, index: int, outlines: Outlines) -> Evidence | None:
    """Evidence over the whole clip, without loss of frames."""
    return window_evidence(clip, index, outlines, 0, len(clip.frames))


def window_evidence(
    clip: StoredClip | SyntheticClip,
    index: int,
    outlines: Outlines,
    first: int,
    last: int,
    most_frames: int = MAX_FRAMES,
) -> Evidence | None:
    """Evidence over frames ``first``..``last - 1`` as a clip of their own, masked on at most so many of them."""
    seen = np.flatnonzero(clip.objects[index].visible_px[first:last] >= MIN_MASK_PX) + first
    if not len(seen):
        return None
    frames = np.array(choose_frames(seen, most_frames))
    start_s = max(first / clip.fps, (frames[0] - 1) / clip.fps + 1e-3)
    return _gathered(clip, index, _Choice(frames, first, last, start_s, last / clip.fps), outlines)


def _gathered(
    clip: StoredClip | SyntheticClip, index: int, choice: _Choice, outlines: Outlines
) -> Evidence | None:
    """The masks of a choice of frames, of the object and its neighbours, and what is true."""
    said = _truth(clip, index, choice)
    own = _shown(clip, index, choice.frames.tolist(), choice.first, outlines)
    if said is None or own is None:
        return None
    near = (
        _shown(clip, others, frames, choice.first, outlines)
        for others, frames in _neighbours(clip, index, choice, own.frames)
    )
    end_s = (choice.last - choice.first) / clip.fps
    return Evidence(own, tuple(shown for shown in near if shown is not None), end_s, said)


def _truth(clip: StoredClip | SyntheticClip, index: int, choice: _Choice) -> Attributes | None:
    it = clip.objects[index]
    if it.class_name == STRANGER:
        height, width = clip.ids[0].shape
        return describe_stranger(it, clip.fps, choice.start_s, choice.end_s, width, height)
    return describe(clip.objects, index, clip.fps, choice.start_s, choice.end_s).attributes


def _shown(
    clip: StoredClip | SyntheticClip, index: int, frames: list[int], first: int, outlines: Outlines
) -> Shown | None:
    kept = [t for t in frames if outlines(index, t).sum() >= MIN_MASK_PX]
    if not kept:
        return None
    masks = np.stack([outlines(index, t) for t in kept])
    it = clip.objects[index]
    return Shown((it.colour, it.class_name), kept, masks, [(t - first) / clip.fps for t in kept])


def _neighbours(
    clip: StoredClip | SyntheticClip, index: int, choice: _Choice, shown: list[int]
) -> list[tuple[int, list[int]]]:
    """Neighbours by the rule of production: index of each and its frames."""
    height, width = clip.ids[0].shape
    scale = np.array([width, height, width, height], np.float32)
    span = np.zeros(len(clip.frames), bool)
    span[choice.first : choice.last] = True
    boxes = [it.boxes / scale for it in clip.objects]
    seen = [(it.visible_px >= MIN_MASK_PX) & span for it in clip.objects]
    numbers = [k for k in range(len(clip.objects)) if k != index]
    found: tuple[Neighbour, ...] = choose_neighbours(
        boxes[index], seen[index], [(boxes[k], seen[k]) for k in numbers], shown, MOST_NEIGHBOURS
    )
    return [(numbers[neighbour.index], list(neighbour.frames)) for neighbour in found]


def _choose(clip: StoredClip, index: int, rng: np.random.Generator) -> _Choice | None:
    first, last = 0, len(clip.frames)
    if rng.random() < WINDOW_SHARE:
        length = int(rng.integers(6, last + 1))
        first = int(rng.integers(0, last - length + 1))
        last = first + length
    seen = np.flatnonzero(clip.objects[index].visible_px[first:last] >= MIN_MASK_PX) + first
    if not len(seen):
        return None
    late = min(int(rng.geometric(0.35)), len(seen) - 1) if rng.random() < LATE_SHARE else 0
    lost = min(int(rng.geometric(0.3)), len(seen) - 1 - late) if rng.random() < LOST_SHARE else 0
    kept = seen[late : len(seen) - lost]
    if rng.random() < GAP_SHARE and len(kept) > 3:
        inner = rng.random(len(kept)) > 0.2
        inner[[0, -1]] = True
        kept = kept[inner]
    if rng.random() < SPARSE_SHARE:
        return _sparse(clip, kept, first, rng)
    frames = np.array(choose_frames(kept, MAX_FRAMES))
    slack = (1 + min(late, LENIENT_FRAMES)) / clip.fps - 1e-3
    start_s = max(first / clip.fps, frames[0] / clip.fps - slack)
    end_s = last / clip.fps if lost <= 1 else frames[-1] / clip.fps
    return _Choice(frames, first, last, start_s, end_s)


def _sparse(clip: StoredClip, seen: np.ndarray, first: int, rng: np.random.Generator) -> _Choice:
    """Up to :data:`MOST_SPARSE` of the frames ``seen``, about evenly apart, in a clip that ends with the last."""
    end = int(rng.integers(min(2, len(seen)), len(seen) + 1))
    frames = np.array(choose_frames(seen[:end], int(rng.integers(2, MOST_SPARSE + 1))))
    last = int(frames[-1]) + 1
    return _Choice(frames, first, last, frames[0] / clip.fps, last / clip.fps)


@dataclass(frozen=True)
class Roughness:
    """How badly one track is outlined: kept over its frames, with fresh noise on each."""

    grid: int
    noise: float
    cut: float
    blocky: bool
    shift_px: int
    partial: float
    boxed: bool = False

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Roughness:
        """Draw the faults of one track."""
        return cls(
            grid=int(rng.integers(30, 65)),
            noise=float(rng.uniform(0.02, 0.3)),
            cut=float(rng.uniform(0.3, 0.62)),
            blocky=bool(rng.random() < 0.3),
            shift_px=int(rng.integers(0, 4)),
            partial=0.12 if rng.random() < 0.4 else 0.0,
            boxed=bool(rng.random() < BOXED_SHARE),
        )

    def __call__(self, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A rough version of ``mask`` bool [H,W]; may be empty."""
        if self.boxed:
            return _boxed(mask, rng)
        height, width = mask.shape
        size = (self.grid, self.grid)
        cells = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
        cover = cells.astype(np.float32) / 255
        edge = _near(cover)
        cover = cover + edge * rng.normal(0, self.noise, cover.shape).astype(np.float32)
        if rng.random() < self.partial:
            cover = _cut_side(cover, rng)
        how = Image.Resampling.NEAREST if self.blocky else Image.Resampling.BILINEAR
        rough = np.asarray(Image.fromarray(cover).resize((width, height), how)) > self.cut
        down, across = rng.integers(-self.shift_px, self.shift_px + 1, 2)
        return _shifted(rough, int(down), int(across))


def _boxed(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The filled box around the object, each side a little off, as a person would draw it."""
    filled = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows):
        sides = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], float)
        size = sides[2:] - sides[:2]
        sides += rng.uniform(-BOX_SLACK, BOX_SLACK, 4) * np.tile(size, 2)
        top, left, bottom, right = np.maximum(sides.round().astype(int), 0)
        filled[top:bottom, left:right] = True
    return filled


def _near(cover: np.ndarray) -> np.ndarray:
    """Cells that touch the object: noise far from it would be another object."""
    wide = np.pad(cover > 0, 1)
    near = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:] | wide[1:-1, 1:-1]
    return near.astype(np.float32)


def _cut_side(cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lose up to half of the object at one side."""
    axis = int(rng.integers(2))
    filled = np.flatnonzero((cover > 0.5).any(axis=1 - axis))
    if len(filled) < 2:
        return cover
    at = filled[0] + int(len(filled) * rng.uniform(0.5, 0.85))
    index = np.arange(cover.shape[axis])
    keep = index < at if rng.random() < 0.5 else index >= filled[0] + filled[-1] - at
    return cover * (keep[:, None] if axis == 0 else keep[None])


def _shifted(mask: np.ndarray, down: int, across: int) -> np.ndarray:
    moved = np.zeros_like(mask)
    height, width = mask.shape
    source = mask[max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)]
    moved[max(0, down) :, max(0, across) :][: source.shape[0], : source.shape[1]] = source
    return moved
