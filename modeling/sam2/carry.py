"""Carrying a mask to the next picture by optical flow, for moments at which the network does not see its object.

A network that was trained on drawn things may lose something real whose pixels plainly move on. Points of the object
are followed from its last picture to the next one and back (Lucas and Kanade, by OpenCV); as in Median Flow (Kalal,
Mikolajczyk and Matas, 2010) their median step moves it and the median ratio of their distances resizes it. Everything
is done in a small grey patch about the object, so that cost and state do not depend on the picture's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import cv2
import numpy as np

PATCH_PX = 96
ROOM = 2.5
"""Side of a patch in longer sides of the object: it may move by three quarters of itself between two pictures."""
POINTS_PER_SIDE, LEAST_POINTS = 10, 8
SEARCH_PX, LEVELS = 13, 3
RETURN_PX, STRAY_PX, STRAY_SHARE = 1.0, 1.5, 0.08
LEAST_SIDE_PX = 3.0


@dataclass(frozen=True, slots=True)
class CarrySettings:
    """When the flow's word counts. ``steer``: share of the points that agree from which the search window follows them;
    ``trust``: from which their place is taken when the network's box overlaps it by less than ``agreement``;
    ``patience``: for how many pictures in a row without a word of the network."""

    steer: float = 0.3
    trust: float = 0.6
    agreement: float = 0.5
    patience: int = 8

    def __post_init__(self) -> None:
        if not (
            0 < self.steer <= 1 and 0 < self.trust <= 1 and 0 <= self.agreement <= 1 and self.patience >= 0
        ):
            raise ValueError(
                "optical_flow: steer, trust and agreement are shares, patience is a number of pictures"
            )

    @staticmethod
    def read(given: object) -> CarrySettings | None:
        """From a configuration's ``optical_flow``; None means without. Raises ValueError."""
        if given is None:
            return None
        known = {field.name for field in fields(CarrySettings)}
        if not isinstance(given, Mapping) or set(given) - known:
            raise ValueError(f"optical_flow: expected a mapping of {sorted(known)}, got {given!r}")
        odd = [name for name, value in given.items() if type(value) not in (int, float)]
        if odd:
            raise ValueError(f"optical_flow: {odd[0]} must be a number, not {given[odd[0]]!r}")
        return CarrySettings(**given)


@dataclass(frozen=True, slots=True)
class Patch:
    """An object as it was seen last: ``grey`` uint8 and ``mask`` uint8 (0, 1), [PATCH_PX, PATCH_PX] each; the patch's
    upper left corner ``x``, ``y`` and its ``side`` in pixels of the picture, and how often it was carried since the
    network saw it."""

    grey: np.ndarray
    mask: np.ndarray
    x: float
    y: float
    side: float
    carried: int = 0

    @property
    def num_bytes(self) -> int:
        return self.grey.nbytes + self.mask.nbytes


@dataclass(frozen=True, slots=True)
class Carried:
    """Where a patch's object is now: its box, normalised float64 [4]; the step of its middle ``dx``, ``dy`` as shares
    of the picture; the share of its points that agree; the matrix [2, 3] from patch to picture pixels."""

    box: np.ndarray
    dx: float
    dy: float
    agreeing: float
    matrix: np.ndarray

    def mask(self, patch: Patch, shape: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
        """The patch's mask where it is now, bool on a grid [h, w] over a picture [H, W, ...]."""
        scale = np.diag([size[1] / shape[1], size[0] / shape[0]])
        moved = cv2.warpAffine(patch.mask.astype(np.float32), scale @ self.matrix, (size[1], size[0]))
        return moved > 0.5

    @property
    def is_in_view(self) -> bool:
        """Whether all of it lies in the picture: what crosses the edge is no longer carried."""
        return bool((self.box[:2] >= -0.01).all() and (self.box[2:] <= 1.01).all())


def grey_of(picture: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] as grey uint8 [H, W]."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def take_patch(grey: np.ndarray, mask: np.ndarray, box: np.ndarray, carried: int = 0) -> Patch | None:
    """The patch about a mask, bool [h, w] on any grid, with its normalised box; None for what is too small."""
    height, width = grey.shape
    sides = (box[2:] - box[:2]) * (width, height)
    if (sides < LEAST_SIDE_PX).any():
        return None
    side = float(sides.max()) * ROOM
    x, y = (box[:2] + box[2:]) / 2 * (width, height) - side / 2
    onto = _onto(x, y, side)
    grid = onto @ np.vstack([np.diag([width / mask.shape[1], height / mask.shape[0], 1.0])])
    shown = cv2.warpAffine(mask.astype(np.float32), grid[:2], (PATCH_PX, PATCH_PX))
    return Patch(_cut(grey, onto), (shown > 0.5).astype(np.uint8), float(x), float(y), side, carried)


def carry(patch: Patch, grey: np.ndarray) -> Carried | None:
    """Where the patch's object is on the next picture, grey uint8 [H, W]; None when its points cannot be followed."""
    box = _extent(patch.mask)
    if box is None:
        return None
    onto = _onto(patch.x, patch.y, patch.side)
    now = _cut(grey, onto)
    points = _points(patch.mask, box)
    there, known = _followed(patch.grey, now, points)
    back, known_back = _followed(now, patch.grey, there)
    error = np.linalg.norm(back - points, axis=1)
    known &= known_back
    if known.sum() < LEAST_POINTS // 2:
        return None
    kept = known & (error <= np.median(error[known]))
    step, growth = _movement(points[kept].astype(np.float64), there[kept].astype(np.float64))
    middle = (box[:2] + box[2:]) / 2
    stray = np.linalg.norm(there - (middle + step + (points - middle) * growth), axis=1)
    most = max(STRAY_PX, STRAY_SHARE * float((box[2:] - box[:2]).max()))
    agreeing = float((known & (error < RETURN_PX) & (stray < most)).mean())
    moves = np.array(
        [[growth, 0, middle[0] * (1 - growth) + step[0]], [0, growth, middle[1] * (1 - growth) + step[1]]]
    )
    return _placed(box, moves, patch, grey.shape, agreeing)


def _placed(
    box: np.ndarray, moves: np.ndarray, patch: Patch, shape: tuple[int, ...], agreeing: float
) -> Carried:
    height, width = shape[:2]
    cell = patch.side / PATCH_PX
    matrix = cell * moves
    matrix[:, 2] += (patch.x, patch.y)
    corners = np.stack([matrix[:, :2] @ corner + matrix[:, 2] for corner in box.reshape(2, 2)]) / (
        width,
        height,
    )
    before = (box.reshape(2, 2) * cell + (patch.x, patch.y)) / (width, height)
    dx, dy = corners.mean(0) - before.mean(0)
    return Carried(corners.reshape(4), float(dx), float(dy), agreeing, matrix)


def _onto(x: float, y: float, side: float) -> np.ndarray:
    """From pixels of the picture to pixels of a patch, [3, 3]."""
    scale = PATCH_PX / side
    return np.array([[scale, 0, -x * scale], [0, scale, -y * scale], [0, 0, 1]])


def _cut(grey: np.ndarray, onto: np.ndarray) -> np.ndarray:
    how = cv2.INTER_AREA if onto[0, 0] < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(grey, onto[:2], (PATCH_PX, PATCH_PX), flags=how, borderMode=cv2.BORDER_REPLICATE)


def _extent(mask: np.ndarray) -> np.ndarray | None:
    """The box of a mask in its own pixels, float64 [4]."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def _points(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Points of a grid in the box, float32 [n, 2] as x, y; those on the mask, unless they are too few."""
    steps = (np.arange(POINTS_PER_SIDE) + 0.5) / POINTS_PER_SIDE
    points = box[:2] + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * (box[2:] - box[:2])
    columns, rows = points.astype(int).T.clip(0, PATCH_PX - 1)
    on = mask[rows, columns] > 0
    return (points[on] if on.sum() >= LEAST_POINTS else points).astype(np.float32)


def _followed(before: np.ndarray, now: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points of one grey picture lie in another, and whether that is known, bool [n]."""
    window = (SEARCH_PX, SEARCH_PX)
    there, known, _ = cv2.calcOpticalFlowPyrLK(
        before, now, points[:, None], None, winSize=window, maxLevel=LEVELS
    )
    return there[:, 0], known[:, 0].astype(bool)


def _movement(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, float]:
    """Median step, and median growth of the distances between points [n, 2]."""
    first, second = np.triu_indices(len(start), 1)
    was = np.linalg.norm(start[first] - start[second], axis=1)
    became = np.linalg.norm(end[first] - end[second], axis=1)
    growth = float(np.clip(np.median(became / np.maximum(was, 1e-6)), 0.8, 1.25)) if len(was) else 1.0
    return np.median(end - start, axis=0), growth
