"""What production gives the captioner, imitated: a tracker's rough masks on a few frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from modeling.pixelrefer.questions import MAX_FRAMES
from operators.observe import choose_frames
from recipes.captioner.clips import StoredClip
from synthetic.grammar import Attributes
from synthetic.language import describe
from synthetic.truth import SyntheticClip

MIN_MASK_PX = 24
"""Smaller masks are not shown to the captioner."""
EXACT_SHARE = 0.25
WINDOW_SHARE = 0.3
LATE_SHARE = 0.25
"""Tracks opened some frames after their object came into view."""
LOST_SHARE = 0.06
GAP_SHARE = 0.3
LENIENT_FRAMES = 2
"""An entrance missed by at most this many frames is still told: the first place is near the border."""


@dataclass(frozen=True)
class Evidence:
    """Frames of one object: ``frames`` (indices into the clip), 0/1 ``masks`` [n,H,W], times, and the truth."""

    frames: list[int]
    masks: np.ndarray
    times_s: list[float]
    end_s: float
    said: Attributes


@dataclass(frozen=True)
class _Choice:
    frames: np.ndarray
    first: int
    last: int
    start_s: float
    end_s: float


def sample_evidence(clip: StoredClip, index: int, rng: np.random.Generator) -> Evidence | None:
    """Evidence on one object as a tracker might give it, or None if it is never seen well enough."""
    choice = _choose(clip, index, rng)
    if choice is None:
        return None
    exact = rng.random() < EXACT_SHARE
    masks = {t: (clip.ids[t] == index + 1) for t in choice.frames.tolist()}
    if not exact:
        roughen = Roughness.sample(rng)
        masks = {t: roughen(mask, rng) for t, mask in masks.items()}
    kept = [t for t, mask in masks.items() if mask.sum() >= MIN_MASK_PX]
    if not kept:
        return None
    said = describe(clip.objects, index, clip.fps, choice.start_s, choice.end_s).attributes
    return Evidence(
        frames=kept,
        masks=np.stack([masks[t] for t in kept]).astype(np.uint8),
        times_s=[(t - choice.first) / clip.fps for t in kept],
        end_s=(choice.last - choice.first) / clip.fps,
        said=said,
    )


def exact_evidence(
    clip: StoredClip | SyntheticClip, index: int, rough: np.random.Generator | None = None
) -> Evidence | None:
    """Evidence over the whole clip without loss; masks roughened by ``rough`` if it is given."""
    seen = np.flatnonzero(clip.objects[index].visible_px >= MIN_MASK_PX)
    frames = [t for t in choose_frames(seen, MAX_FRAMES) if (clip.ids[t] == index + 1).any()]
    if not frames:
        return None
    masks = [clip.ids[t] == index + 1 for t in frames]
    if rough is not None:
        roughen = Roughness.sample(rough)
        masks = [found if (found := roughen(mask, rough)).any() else mask for mask in masks]
    end_s = len(clip.frames) / clip.fps
    start_s = (frames[0] - 1) / clip.fps + 1e-3 if frames[0] else 0.0
    said = describe(clip.objects, index, clip.fps, start_s, end_s).attributes
    return Evidence(frames, np.stack(masks).astype(np.uint8), [t / clip.fps for t in frames], end_s, said)


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
    frames = np.array(choose_frames(kept, MAX_FRAMES))
    slack = (1 + min(late, LENIENT_FRAMES)) / clip.fps - 1e-3
    start_s = max(first / clip.fps, frames[0] / clip.fps - slack)
    end_s = last / clip.fps if lost <= 1 else frames[-1] / clip.fps
    return _Choice(frames, first, last, start_s, end_s)


@dataclass(frozen=True)
class Roughness:
    """How badly one track is outlined: kept over its frames, with fresh noise on each."""

    grid: int
    noise: float
    cut: float
    blocky: bool
    shift_px: int
    partial: float

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
        )

    def __call__(self, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A rough version of ``mask`` bool [H,W]; may be empty."""
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
