"""Geometry of masks and boxes: boxes of masks, overlaps, connected pieces.

Masks are bool [h, w]; boxes are normalised (x0, y0, x1, y1) with exclusive ends, float32 [4].
"""

from __future__ import annotations

import numpy as np

NO_BOX = np.zeros(4, np.float32)


def box_of(mask: np.ndarray) -> np.ndarray:
    """The tightest box of a mask, normalised; zeros for an empty mask."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return NO_BOX.copy()
    height, width = mask.shape
    corners = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    return np.array(corners, np.float32)


def box_area(box: np.ndarray) -> float:
    """Area of a box as a share of the picture."""
    return float(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))


def box_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes, 0 when both are empty."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    union = box_area(a) + box_area(b) - shared
    return shared / union if union > 0 else 0.0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two masks, 0 when both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 0.0


def share(mask: np.ndarray) -> float:
    """The part of the picture that a mask covers."""
    return np.count_nonzero(mask) / mask.size


def inside(mask: np.ndarray, box: np.ndarray) -> float:
    """The part of a mask's pixels whose centres lie in a box."""
    area = np.count_nonzero(mask)
    if not area:
        return 0.0
    height, width = mask.shape
    x0, x1 = np.ceil(box[[0, 2]] * width - 0.5).astype(int)
    y0, y1 = np.ceil(box[[1, 3]] * height - 0.5).astype(int)
    return np.count_nonzero(mask[max(y0, 0) : y1, max(x0, 0) : x1]) / area


def at_border(box: np.ndarray, margin: float = 0.02) -> bool:
    """Whether a box reaches the edge of the picture."""
    return bool((box[:2] <= margin).any() or (box[2:] >= 1 - margin).any())


def pieces(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Connected pieces (8 neighbours): labels int32 [h, w], 0 outside, and the area in pixels of each label.

    Areas start with label 0 (0 by definition). Runs of a row are joined with touching runs of the row above by
    union-find: the cost follows the number of runs, not of pixels.
    """
    rows, starts, ends = _runs(mask)
    parent = np.arange(len(rows))
    above = np.searchsorted(rows, np.arange(mask.shape[0] + 1))
    for row in range(1, mask.shape[0]):
        _join(parent, starts, ends, range(above[row - 1], above[row]), range(above[row], above[row + 1]))
    roots = np.array([_root(parent, run) for run in range(len(rows))], np.int64)
    _, labels = np.unique(roots, return_inverse=True)
    areas = np.bincount(labels + 1, weights=ends - starts, minlength=1).astype(np.int64)
    picture = np.zeros(mask.shape, np.int32)
    for row, start, end, label in zip(rows, starts, ends, labels, strict=True):
        picture[row, start:end] = label + 1
    return picture, areas


def resized(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The mask on another grid over the same view, by the nearest pixel."""
    rows, columns = (
        (np.arange(size) + 0.5) * old // size for size, old in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows.astype(int), columns.astype(int))]


def tidy(mask: np.ndarray, least: float = 0.25) -> np.ndarray:
    """The mask without pieces smaller than ``least`` times its largest piece."""
    if not mask.any():
        return mask
    labels, areas = pieces(mask)
    return mask if len(areas) == 2 else (areas >= least * areas.max())[labels] & mask


def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Horizontal runs of set pixels: their rows, starts and exclusive ends, in reading order."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    return rows, starts, np.nonzero(edges == -1)[1]


def _join(parent: np.ndarray, starts: np.ndarray, ends: np.ndarray, upper: range, lower: range) -> None:
    """Unite runs of two neighbouring rows that touch, corners included; both are sorted from left to right."""
    a, b = iter(upper), iter(lower)
    up, low = next(a, None), next(b, None)
    while up is not None and low is not None:
        if starts[up] <= ends[low] and starts[low] <= ends[up]:
            first, second = sorted((_root(parent, up), _root(parent, low)))
            parent[second] = first
        if ends[up] < ends[low]:
            up = next(a, None)
        else:
            low = next(b, None)


def _root(parent: np.ndarray, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return int(run)
