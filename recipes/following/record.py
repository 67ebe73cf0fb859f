"""What is kept of one frame: which objects and which tracks were in view, and how far each two agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from operators.masks import overlap as overlap_of

CLEAR_PX = 60
"""Objects that show fewer pixels need not be found, but a track on them is not false either."""


@dataclass(frozen=True)
class Seen:
    """One frame of one stream.

    ``objects`` and ``tracks`` in view (tracks whose object is too small to be judged are left out);
    ``overlap`` float32 [objects, tracks]: intersection over union of their masks. ``covered``: objects inside the
    picture but hidden behind others.
    ``inside``: for every track in view, also those left out, the largest share of its pixels on one object.
    """

    time_s: float
    objects: tuple[int, ...]
    tracks: tuple[str, ...]
    overlap: np.ndarray
    covered: frozenset[int]
    inside: Mapping[str, float]


def record(
    time_s: float, truth: Mapping[int, np.ndarray], covered: frozenset[int], found: Mapping[str, np.ndarray]
) -> Seen:
    """Compare masks bool [H,W], all of one size; ``truth`` holds every object that shows a pixel."""
    clear = {number: mask for number, mask in truth.items() if mask.sum() >= CLEAR_PX}
    small = {number: mask for number, mask in truth.items() if number not in clear}
    found = {track: mask for track, mask in found.items() if mask.any()}
    judged = {track: mask for track, mask in found.items() if not _is_on_small(mask, clear, small)}
    overlap = np.zeros((len(clear), len(judged)), np.float32)
    for row, true in enumerate(clear.values()):
        for column, mask in enumerate(judged.values()):
            overlap[row, column] = overlap_of(true, mask)
    return Seen(
        time_s=time_s,
        objects=tuple(clear),
        tracks=tuple(judged),
        overlap=overlap,
        covered=covered,
        inside={
            track: max((float(_share(mask, true)) for true in truth.values()), default=0.0)
            for track, mask in found.items()
        },
    )


def _is_on_small(mask: np.ndarray, clear: Mapping[int, np.ndarray], small: Mapping[int, np.ndarray]) -> bool:
    best_small = max((overlap_of(mask, true) for true in small.values()), default=0.0)
    return best_small > max((overlap_of(mask, true) for true in clear.values()), default=0.0)


def _share(mask: np.ndarray, true: np.ndarray) -> float:
    return float(np.logical_and(mask, true).sum() / mask.sum())
