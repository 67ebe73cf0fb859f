"""Find objects that nobody pointed at: which clicks to try, and which of their answers are new objects.

Clicks on a grid are decoded by the segmenter; what follows are rules on the masks that come back. Pure
functions on the masks of one frame; cadence and memory belong to the tracker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from operators.masks import box_of, box_overlap, inside, overlap, resized, share
from operators.motion import Moving
from operators.types import Detection


@dataclass(frozen=True, slots=True)
class DiscoverSettings:
    """What counts as an object worth following. Areas are shares of the picture.

    Score and stability are set for the small embedded model, whose logits are shallow; see :data:`PUBLISHED`.
    """

    grid: int = 8  # clicks along each side of the picture
    min_score: float = 0.6
    min_stability: float = 0.4
    min_agreement: float = 0.5  # overlap of an answer with what its own box gives
    min_area: float = 0.001
    max_area: float = 0.5
    same_box: float = 0.7  # box overlap from which two answers are the same object
    same_mask: float = 0.7
    min_unclaimed: float = 0.8  # part of a mask that no track may hold already
    max_claimed: float = 0.3  # overlap with any one track
    min_moving_score: float = 0.5  # motion is evidence too: what moves may look less certain
    min_moving_fill: float = 0.15  # part of a moving box that its mask fills
    min_moving_inside: float = 0.6  # part of the mask that stays in the moving box
    trust_motion_after: int = 3  # pictures after which moving pixels are an object by themselves; 0 never
    min_trusted_area: float = 0.004

    def __post_init__(self) -> None:
        if self.grid < 1 or not 0 < self.min_area < self.max_area <= 1:
            raise ValueError("DiscoverSettings: grid is at least 1 and 0 < min_area < max_area <= 1")


PUBLISHED = DiscoverSettings(min_score=0.8, min_stability=0.95)
"""For the published SAM 2 weights."""


SHIFTS = ((0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (0.0, 0.5))
"""By how much of a cell, across and down, the grid of one search is shifted against that of the first."""


def grid_points(grid: int, taken: np.ndarray | None = None, turn: int | None = None) -> np.ndarray:
    """One point for each cell of a grid, float32 [n, 2] normalised, without those on pixels that tracks hold already.

    Without a ``turn`` these are the centres. The points of four turns in a row lie half a cell apart: what stands
    still between the clicks of one search would be missed by all, were they the same ones.
    """
    across, down = (0.5, 0.5) if turn is None else (0.25 + by for by in SHIFTS[turn % len(SHIFTS)])
    cells = np.arange(grid, dtype=np.float32)
    rows_and_columns = np.meshgrid((cells + across) / grid, (cells + down) / grid)
    points = np.stack(rows_and_columns, axis=-1).reshape(-1, 2).astype(np.float32)
    if taken is None:
        return points
    height, width = taken.shape
    columns, rows = (points * (width, height)).astype(int).T
    return points[~taken[rows, columns]]


def sound(detections: Iterable[Detection], settings: DiscoverSettings) -> list[Detection]:
    """Those that are certain, stable, in view and of a sensible size."""
    return [
        found
        for found in detections
        if found.presence > 0
        and found.score >= settings.min_score
        and found.stability >= settings.min_stability
        and settings.min_area <= share(found.mask) <= settings.max_area
    ]


def distinct(detections: Iterable[Detection], settings: DiscoverSettings) -> list[Detection]:
    """One of each group of detections of the same thing, the best score first."""
    kept: list[tuple[Detection, np.ndarray]] = []
    for found in sorted(detections, key=lambda item: -item.score):
        box = box_of(found.mask)
        if not any(_same(found.mask, box, other.mask, its_box, settings) for other, its_box in kept):
            kept.append((found, box))
    return [found for found, _ in kept]


def unclaimed(
    detections: Iterable[Detection], held: Sequence[np.ndarray], settings: DiscoverSettings, limit: int
) -> list[Detection]:
    """At most ``limit`` detections that no held mask, nor an earlier one of the list, already covers."""
    masks, new = list(held), []
    for found in detections:
        if len(new) == limit:
            break
        if is_unclaimed(found.mask, masks, settings):
            new.append(found)
            masks.append(found.mask)
    return new


def is_unclaimed(mask: np.ndarray, held: Sequence[np.ndarray], settings: DiscoverSettings) -> bool:
    """Whether enough of a mask is free of the held masks, and none of them is much the same."""
    if not held:
        return True
    free = mask & ~np.logical_or.reduce(held)
    if share(free) < settings.min_area or share(free) < settings.min_unclaimed * share(mask):
        return False
    return all(overlap(mask, other) < settings.max_claimed for other in held)


def discover(
    detections: Iterable[Detection], held: Sequence[np.ndarray], settings: DiscoverSettings, limit: int
) -> list[Detection]:
    """New objects among a grid's answers, the surest first: sound, each once, not followed yet."""
    return unclaimed(distinct(sound(detections, settings), settings), held, settings, limit)


def settled(found: Detection, again: Detection, settings: DiscoverSettings) -> Detection | None:
    """The better of an answer to a click and the answer to that answer's box; None when they disagree."""
    if again.presence <= 0 or overlap(found.mask, again.mask) < settings.min_agreement:
        return None
    return max(found, again, key=lambda answer: answer.score)


def is_moving_object(found: Detection, box: np.ndarray, settings: DiscoverSettings) -> bool:
    """Whether the answer to a moving box is an object in it, rather than the ground it moves over."""
    area = share(found.mask)
    if found.presence <= 0 or found.score < settings.min_moving_score:
        return False
    if not settings.min_area <= area <= settings.max_area:
        return False
    own = box_of(found.mask)
    filled = area / max(float((box[2] - box[0]) * (box[3] - box[1])), 1e-9)
    touches = box_overlap(own, box) > 0
    return (
        touches
        and filled >= settings.min_moving_fill
        and inside(found.mask, box) >= settings.min_moving_inside
    )


def moving_object(thing: Moving, found: Detection, settings: DiscoverSettings) -> Detection | None:
    """What moves, as the segmenter sees it or, when it sees no object there, as its moving pixels.

    Footage unlike what a segmenter was trained on still has things that keep moving, and a mask to start from
    is all that following them needs.
    """
    if is_moving_object(found, thing.box, settings):
        return found
    after = settings.trust_motion_after
    if (
        not after
        or thing.pushes < after
        or found.presence <= 0
        or share(thing.mask) < settings.min_trusted_area
    ):
        return None
    return replace(found, mask=resized(thing.mask, found.mask.shape))


def _same(
    mask: np.ndarray, box: np.ndarray, other: np.ndarray, its_box: np.ndarray, settings: DiscoverSettings
) -> bool:
    near = box_overlap(box, its_box)
    if near == 0:
        return False
    return near >= settings.same_box or overlap(mask, other) >= settings.same_mask
