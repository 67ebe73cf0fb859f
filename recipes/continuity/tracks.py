"""Tracks as a good tracker would give them: true masks, outlined roughly, under ids that never change.

The question is what the narrator makes of them, so the tracker makes no mistakes of identity: an object keeps its id
while it is hidden, however long, and its track ends when it leaves the view.
"""

from __future__ import annotations

import numpy as np

from operators.types import Masklet, TrackState
from recipes.captioner.evidence import MIN_MASK_PX, Roughness
from recipes.continuity.footage import StreamClip


class TruthTracker:
    """Follows the objects of one stream. ``rough``: outline them as raggedly as a small tracker does."""

    def __init__(self, camera_id: str, seed: int, rough: bool = True) -> None:
        self._camera_id, self._seed, self._rough = camera_id, seed, rough
        self._open: dict[int, tuple[Roughness, np.random.Generator]] = {}

    def track_id(self, number: int) -> str:
        return f"{self._camera_id}-{number}"

    def follow(self, clip: StreamClip) -> tuple[tuple[Masklet, ...], dict[str, str]]:
        """The clip's masklets, and the tracks that ended in it with their reasons."""
        masklets, closed = [], {}
        for k, number in enumerate(clip.numbers):
            visible_px = clip.clip.objects[k].visible_px
            if number not in self._open and visible_px.max() < MIN_MASK_PX:
                continue
            if number not in self._open:
                rng = np.random.default_rng([self._seed, number])
                self._open[number] = Roughness.sample(rng), rng
            left = any(event.kind == "leaves" for event in clip.clip.objects[k].events)
            seen_last = visible_px[-1] >= MIN_MASK_PX
            state: TrackState = "retired" if left else "active" if seen_last else "hidden"
            masklets.append(self._masklet(clip, k, state))
            if left:
                closed[self.track_id(number)] = "left"
                del self._open[number]
        return tuple(masklets), closed

    def _masklet(self, clip: StreamClip, k: int, state: TrackState) -> Masklet:
        number, ids = clip.numbers[k], clip.clip.ids
        masks = np.zeros(ids.shape, bool)
        boxes = np.zeros((len(ids), 4), np.float32)
        for t in np.flatnonzero(clip.clip.objects[k].visible_px >= MIN_MASK_PX):
            masks[t] = self._outlined(number, ids[t] == k + 1)
            boxes[t] = _box(masks[t])
        return Masklet(self.track_id(number), masks, boxes, masks.any((1, 2)).astype(np.float32), state)

    def _outlined(self, number: int, mask: np.ndarray) -> np.ndarray:
        if not self._rough:
            return mask
        roughen, rng = self._open[number]
        rough = roughen(mask, rng)
        return rough if rough.sum() >= MIN_MASK_PX else mask


def _box(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    corners = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    return np.array(corners, np.float32)
