"""Following a box without a network: the median optical flow of points in it, with a change of scale.

After Median Flow (Kalal, Mikolajczyk and Matas, 2010): a grid of points in the box is followed by pyramidal
Lucas-Kanade forward and back again, the half that comes back nearest to where it began decides, the box moves by
their median step and grows by the median ratio of their distances. The points are followed by OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

POINTS_PER_SIDE = 8
WINDOW_PX, LEVELS = 13, 3
LEAST_SIDE_PX = 2.0
Box = np.ndarray
"""float64 [4]: x0, y0, x1, y1 in pixels of the picture."""


def follow_box(pictures: Sequence[np.ndarray], box: Box) -> list[Box]:
    """The box on every picture, RGB uint8 [h, w, 3] each; the first answer is the box as it was given.

    A box that has left the picture stays where it was last.
    """
    found = [np.asarray(box, np.float64)]
    before = cv2.cvtColor(pictures[0], cv2.COLOR_RGB2GRAY)
    for picture in pictures[1:]:
        now = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        found.append(moved(found[-1], before, now))
        before = now
    return found


def moved(box: Box, before: np.ndarray, now: np.ndarray) -> Box:
    """The box on the next picture; both are grey, uint8 [h, w]."""
    height, width = before.shape
    low, high = np.maximum(box[:2], 0), np.minimum(box[2:], (width, height))
    if (high - low < LEAST_SIDE_PX).any():
        return box
    steps = (np.arange(POINTS_PER_SIDE) + 0.5) / POINTS_PER_SIDE
    points = (low + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * (high - low)).astype(np.float32)
    there, known = _followed(before, now, points)
    back, known_back = _followed(now, before, there)
    error = np.linalg.norm(back - points, axis=1)
    known &= known_back
    if known.sum() < 2:
        return box
    kept = known & (error <= np.median(error[known]))
    start, end = points[kept].astype(np.float64), there[kept].astype(np.float64)
    return _carried(box, start, end)


def _followed(before: np.ndarray, now: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points, float32 [n, 2] as x, y, of one grey picture lie in another, and whether that is known, bool [n]."""
    window = (WINDOW_PX, WINDOW_PX)
    there, known, _ = cv2.calcOpticalFlowPyrLK(
        before, now, points[:, None], None, winSize=window, maxLevel=LEVELS
    )
    return there[:, 0], known[:, 0].astype(bool)


def _carried(box: Box, start: np.ndarray, end: np.ndarray) -> Box:
    first, second = np.triu_indices(len(start), 1)
    was = np.linalg.norm(start[first] - start[second], axis=1)
    became = np.linalg.norm(end[first] - end[second], axis=1)
    growth = float(np.clip(np.median(became / was), 0.8, 1.25)) if len(was) else 1.0
    centre = (box[:2] + box[2:]) / 2 + np.median(end - start, axis=0)
    half = (box[2:] - box[:2]) / 2 * growth
    return np.concatenate([centre - half, centre + half])
