"""Following a box without a network: the median optical flow of points in it, with a change of scale.

After Median Flow (Kalal, Mikolajczyk and Matas, 2010): a grid of points in the box is followed by pyramidal
Lucas-Kanade forward and back again, the half that comes back nearest to where it began decides, the box moves by
their median step and grows by the median ratio of their distances. Plain numpy; pictures are grey float32 [h, w].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

POINTS_PER_SIDE = 8
WINDOW_PX, LEVELS, ROUNDS = 13, 4, 8
LEAST_SIDE_PX = 2.0
Box = np.ndarray
"""float64 [4]: x0, y0, x1, y1 in pixels of the picture."""


def follow_box(pictures: Sequence[np.ndarray], box: Box) -> list[Box]:
    """The box on every picture, RGB uint8 [h, w, 3] each; the first answer is the box as it was given.

    A box that has left the picture stays where it was last.
    """
    found = [np.asarray(box, np.float64)]
    before = pyramid(pictures[0])
    for picture in pictures[1:]:
        now = pyramid(picture)
        found.append(moved(found[-1], before, now))
        before = now
    return found


def pyramid(picture: np.ndarray) -> list[np.ndarray]:
    """The grey picture and its halvings, finest first."""
    levels = [picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)]
    while len(levels) < LEVELS and min(levels[-1].shape) >= 4 * WINDOW_PX:
        fine = levels[-1][: levels[-1].shape[0] // 2 * 2, : levels[-1].shape[1] // 2 * 2]
        levels.append((fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4)
    return levels


def moved(box: Box, before: list[np.ndarray], now: list[np.ndarray]) -> Box:
    """The box on the next picture."""
    height, width = before[0].shape
    low, high = np.maximum(box[:2], 0), np.minimum(box[2:], (width, height))
    if (high - low < LEAST_SIDE_PX).any():
        return box
    steps = (np.arange(POINTS_PER_SIDE) + 0.5) / POINTS_PER_SIDE
    points = (low + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * (high - low)).astype(np.float32)
    there = lucas_kanade(before, now, points)
    back = lucas_kanade(now, before, there)
    error = np.linalg.norm(back - points, axis=1)
    kept = error <= np.median(error)
    start, end = points[kept].astype(np.float64), there[kept].astype(np.float64)
    return _carried(box, start, end)


def lucas_kanade(before: list[np.ndarray], now: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    """Where the points, float32 [n, 2] as x, y, of one pyramid lie in another; coarse to fine."""
    guess = np.zeros_like(points)
    for level in reversed(range(len(before))):
        guess = _refined(
            before[level], now[level], points / 2**level, guess * (2 if level + 1 < len(before) else 1)
        )
    return points + guess


def _refined(before: np.ndarray, now: np.ndarray, points: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Gauss-Newton on each point's window, from a first guess of its displacement [n, 2]."""
    reach = np.arange(WINDOW_PX, dtype=np.float32) - WINDOW_PX // 2
    window = np.stack(np.meshgrid(reach, reach), -1).reshape(1, -1, 2)
    places = points[:, None] + window
    patch = _sampled(before, places)
    one = np.array([1, 0], np.float32)
    slope_x = (_sampled(before, places + one) - _sampled(before, places - one)) / 2
    slope_y = (_sampled(before, places + one[::-1]) - _sampled(before, places - one[::-1])) / 2
    # A little is added to the diagonal: plain surfaces have no slope to go by.
    xx, yy = (slope_x**2).sum(1) + 1, (slope_y**2).sum(1) + 1
    xy = (slope_x * slope_y).sum(1)
    scale = xx * yy - xy * xy
    for _ in range(ROUNDS):
        wrong = patch - _sampled(now, places + guess[:, None])
        bx, by = (slope_x * wrong).sum(1), (slope_y * wrong).sum(1)
        step = np.stack([(yy * bx - xy * by) / scale, (xx * by - xy * bx) / scale], 1)
        guess = guess + np.clip(step, -WINDOW_PX, WINDOW_PX)
    return guess


def _sampled(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The picture at places [n, m, 2] (x, y; pixel centres are whole numbers), bilinear, edges repeated."""
    height, width = picture.shape
    x, y = np.clip(places[..., 0], 0, width - 1.001), np.clip(places[..., 1], 0, height - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    across, down = x - left, y - top
    flat, corner = picture.ravel(), top * width + left
    upper = flat[corner] * (1 - across) + flat[corner + 1] * across
    lower = flat[corner + width] * (1 - across) + flat[corner + width + 1] * across
    return upper * (1 - down) + lower * down


def _carried(box: Box, start: np.ndarray, end: np.ndarray) -> Box:
    first, second = np.triu_indices(len(start), 1)
    was = np.linalg.norm(start[first] - start[second], axis=1)
    became = np.linalg.norm(end[first] - end[second], axis=1)
    growth = float(np.clip(np.median(became / was), 0.8, 1.25)) if len(was) else 1.0
    centre = (box[:2] + box[2:]) / 2 + np.median(end - start, axis=0)
    half = (box[2:] - box[:2]) / 2 * growth
    return np.concatenate([centre - half, centre + half])
