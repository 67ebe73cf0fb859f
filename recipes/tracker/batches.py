"""Draw training batches from clip stores: views, time order, colours and the objects to follow.

Every batch is a function of (seed, step) alone, so a resumed run sees what the interrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recipes.tracker.store import ClipStore

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
VISIBLE_SHARE = 4e-4  # of the view: below it an object is neither clearly present nor clearly absent
LEAST_WINDOW = 0.22  # side of a search window, as share of the picture
PROMPTED_SHARE = 8e-4  # an object must show at least this much on the frame that is prompted


@dataclass(frozen=True, slots=True)
class Batch:
    """``clips`` clips of ``length`` frames and one row for every object followed.

    images float32 [clips * length, 3, S, S], normalised, frame t of clip b at row b * length + t;
    ids uint8 [clips * length, S, S]; masks bool [rows, length, S, S]; owner int64 [rows], the row's clip.
    """

    images: torch.Tensor
    ids: torch.Tensor
    masks: torch.Tensor
    owner: torch.Tensor
    length: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        tensors = (t.to(device) for t in (self.images, self.ids, self.masks, self.owner))
        return Batch(*tensors, self.length)


@dataclass(frozen=True, slots=True)
class Draw:
    """What to draw: input size, clips, frames, objects per clip, and how often a view is a moving window."""

    size_px: int
    clips: int
    length: int
    objects: int
    window_share: float = 0.35


def draw_batch(
    stores: Sequence[ClipStore], shares: Sequence[float], draw: Draw, rng: np.random.Generator
) -> Batch:
    """One batch; ``shares`` are the stores' parts of the clips (they need not sum to one)."""
    chances = np.asarray(shares, np.float64) / np.sum(shares)
    images, ids, masks, owner = [], [], [], []
    while len(images) < draw.clips:
        store = stores[rng.choice(len(stores), p=chances)]
        view_frames, view_ids = _draw_view(store, draw, rng)
        chosen = _choose_objects(view_ids, draw.objects, rng)
        if not len(chosen):
            continue
        owner += [len(images)] * len(chosen)
        images.append(_recolour(view_frames, rng))
        ids.append(view_ids)
        masks += [view_ids == k for k in chosen]
    pixels = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2).contiguous()
    return Batch(
        pixels,
        torch.from_numpy(np.concatenate(ids)),
        torch.from_numpy(np.stack(masks)),
        torch.tensor(owner),
        draw.length,
    )


def whole_view(frames: np.ndarray, ids: np.ndarray, size_px: int, objects: Sequence[int]) -> Batch:
    """One clip as stored (uint8 [T, S, S, 3] and [T, S, S]) and the given ids, for checks: nothing at random."""
    box = np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (len(frames), 1))
    view_frames, view_ids = _cut(frames, ids, box, size_px, flip=False)
    pixels = torch.from_numpy((view_frames / 255.0 - MEAN) / STD).float().permute(0, 3, 1, 2).contiguous()
    masks = torch.from_numpy(np.stack([view_ids == k for k in objects]))
    owner = torch.zeros(len(objects), dtype=torch.long)
    return Batch(pixels, torch.from_numpy(view_ids), masks, owner, len(frames))


def _draw_view(store: ClipStore, draw: Draw, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    clip = rng.integers(len(store))
    stride = 2 if draw.length * 2 <= store.length and rng.random() < 0.2 else 1
    start = rng.integers(store.length - (draw.length - 1) * stride)
    times = start + stride * np.arange(draw.length)
    if rng.random() < 0.3:
        times = times[::-1]
    frames, ids = store.frames[clip][times], store.ids[clip][times]
    boxes = _windows(ids, rng) if rng.random() < draw.window_share else _zooms(len(times), rng)
    return _cut(frames, ids, boxes, draw.size_px, flip=bool(rng.random() < 0.5))


def _zooms(length: int, rng: np.random.Generator) -> np.ndarray:
    """A still view of most of the picture: float64 [T, 4], x0, y0, x1, y1 in 0..1."""
    if rng.random() < 0.5:
        return np.tile(np.array([0.0, 0.0, 1.0, 1.0]), (length, 1))
    width, height = rng.uniform(0.7, 1.0, 2)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return np.tile(np.array([x, y, x + width, y + height]), (length, 1))


def _windows(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Windows that follow one object as a search window does: about where it was on the picture before.

    They show 2.5 to 4 object sizes (single pictures 1.2 to 8), change size slowly, and grow while it is out of view.
    """
    present = np.unique(ids[0])
    present = present[present > 0]
    if not len(present):
        return _zooms(len(ids), rng)
    target = rng.choice(present)
    places = [_extent(picture == target) for picture in ids]
    # One picture alone is also looked at from too near and from too far, as a click is that may mean anything.
    scale = rng.uniform(2.5, 4.0) if len(ids) > 1 else np.exp(rng.uniform(np.log(1.2), np.log(8.0)))
    boxes = np.empty((len(ids), 4))
    centre, side = np.array([0.5, 0.5]), 1.0
    for t in range(len(ids)):
        last = places[max(t - 1, 0)]
        if last is None:
            side = min(1.0, side * 1.25)
        else:
            low, high = last
            wanted = float(np.clip((high - low).max() * scale, LEAST_WINDOW, 1.0))
            side = wanted if t == 0 else 0.7 * side + 0.3 * wanted
            centre = (low + high) / 2 + rng.normal(0, 0.05 * side, 2)
        corner = np.clip(centre - side / 2, 0, 1 - side)
        boxes[t] = (*corner, *(corner + side))
    return boxes


def _extent(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both corners of a mask's box, normalised; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    size = len(mask)
    return np.array([columns[0], rows[0]]) / size, np.array([columns[-1] + 1, rows[-1] + 1]) / size


def _cut(
    frames: np.ndarray, ids: np.ndarray, boxes: np.ndarray, size_px: int, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Views of the boxes: float32 [T, S, S, 3] (each pixel the mean of four samples) and uint8 ids [T, S, S]."""
    source = frames.shape[1]
    view = np.empty((len(frames), size_px, size_px, 3), np.float32)
    view_ids = np.empty((len(frames), size_px, size_px), np.uint8)
    for t, (x0, y0, x1, y1) in enumerate(boxes):
        columns, rows = _samples(x0, x1, 2 * size_px, source), _samples(y0, y1, 2 * size_px, source)
        fine = frames[t].take(rows, 0).take(columns, 1).astype(np.uint16)
        pairs = fine[0::2] + fine[1::2]
        view[t] = (pairs[:, 0::2] + pairs[:, 1::2]) * np.float32(0.25)
        columns, rows = _samples(x0, x1, size_px, source), _samples(y0, y1, size_px, source)
        view_ids[t] = ids[t].take(rows, 0).take(columns, 1)
    if flip:
        return np.ascontiguousarray(view[:, :, ::-1]), np.ascontiguousarray(view_ids[:, :, ::-1])
    return view, view_ids


def _samples(low: float, high: float, count: int, source: int) -> np.ndarray:
    places = (low + (np.arange(count) + 0.5) / count * (high - low)) * source
    return np.clip(places.astype(np.intp), 0, source - 1)


def _choose_objects(ids: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Objects to follow from the first frame; those that are gone on some frame are three times as likely."""
    areas = np.stack([np.bincount(picture.ravel(), minlength=256) for picture in ids])
    areas[:, 0] = 0
    candidates = np.nonzero(areas[0] >= PROMPTED_SHARE * ids[0].size)[0]
    if len(candidates) <= count:
        return candidates
    weights = np.where((areas[:, candidates] == 0).any(0), 3.0, 1.0)
    return rng.choice(candidates, count, replace=False, p=weights / weights.sum())


def _recolour(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, cast, saturation and noise, the same for a whole clip; normalised float32."""
    pixels = frames / np.float32(255.0)
    if rng.random() < 0.75:
        grey = pixels.mean(-1, keepdims=True)
        pixels = grey + (pixels - grey) * np.float32(rng.uniform(0.4, 1.4))
        gain = (rng.uniform(0.7, 1.3) * rng.uniform(0.85, 1.15, 3)).astype(np.float32)
        pixels = (pixels - 0.5) * gain + np.float32(0.5 + rng.uniform(-0.12, 0.12))
    if rng.random() < 0.3:
        noise = rng.standard_normal(pixels.shape, dtype=np.float32)
        pixels = pixels + noise * np.float32(rng.uniform(0.01, 0.05))
    return (np.clip(pixels, 0, 1) - MEAN) / STD
