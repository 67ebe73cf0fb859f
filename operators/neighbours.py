"""Neighbours: which other objects a captioner should be shown beside the one it is asked about, and when.

What an object does to another can only be told by somebody who sees both. Training and service choose by these
rules alone. Boxes are shares of the picture, x0 y0 x1 y1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEIGHBOUR_FRAMES = 3
NEAR_SHARE = 0.18
"""Farther apart than this at their closest, in shares of the picture, objects have nothing to do with each other."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One object near another: its position in the list given, and the frames of the clip to show it on."""

    index: int
    frames: tuple[int, ...]


def distances(box: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far apart two things stand on each frame, float [T], from boxes float [T, 4].

    Sideways the gap between the boxes counts, in depth the difference of their lower edges: things that stand on one
    floor touch where both are small, wherever their pictures overlap.
    """
    gap = np.maximum(box[:, 0], other[:, 0]) - np.minimum(box[:, 2], other[:, 2])
    return np.maximum(0.0, gap) + np.abs(box[:, 3] - other[:, 3])


def choose_neighbours(
    boxes: np.ndarray,
    seen: np.ndarray,
    others: Sequence[tuple[np.ndarray, np.ndarray]],
    shown: Sequence[int],
    limit: int = 2,
) -> tuple[Neighbour, ...]:
    """The nearest other objects, nearest first, with at most :data:`NEIGHBOUR_FRAMES` of the frames ``shown``.

    ``boxes`` float [T, 4] and ``seen`` bool [T] are the object's own; ``others`` holds the same of each other object;
    ``shown`` are the frames on which the object itself is shown. A neighbour is shown around its closest approach.
    """
    found: list[tuple[float, int, tuple[int, ...]]] = []
    for index, (other_boxes, other_seen) in enumerate(others):
        both = np.flatnonzero(seen & other_seen)
        frames = [frame for frame in shown if other_seen[frame]]
        if not len(both) or not frames:
            continue
        apart = distances(boxes[both], other_boxes[both])
        closest = int(both[apart.argmin()])
        if apart.min() <= NEAR_SHARE:
            found.append((float(apart.min()), index, _around(frames, closest)))
    return tuple(Neighbour(index, frames) for _, index, frames in sorted(found)[:limit])


def _around(frames: Sequence[int], at: int) -> tuple[int, ...]:
    """The frames nearest to ``at``, in order."""
    nearest = sorted(frames, key=lambda frame: (abs(frame - at), frame))[:NEIGHBOUR_FRAMES]
    return tuple(sorted(nearest))
