"""The question about one window of a film, put as service puts it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from modeling.pixelrefer.questions import MOST_NEIGHBOURS, question
from modeling.pixelrefer.request import Request
from operators.neighbours import choose_neighbours
from recipes.benchmarks.boxes import Box
from recipes.benchmarks.film import Film
from recipes.benchmarks.windows import Window

LONGEST_ANSWER = 48
"""Tokens; what service allows."""
NOWHERE: Box = (0.0, 0.0, 0.0, 0.0)


def filled(boxes: Sequence[Box], height_px: int, width_px: int) -> np.ndarray:
    """One 0/1 mask a box, uint8 [n,H,W]: the box filled, its borders rounded outward."""
    masks = np.zeros((len(boxes), height_px, width_px), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        rows = slice(_floor(y0 * height_px), _ceil(y1 * height_px))
        mask[rows, _floor(x0 * width_px) : _ceil(x1 * width_px)] = 1
    return masks


def request_for(
    window: Window,
    film: Film,
    others: Sequence[Mapping[int, Box | None]] = (),
    most_neighbours: int = MOST_NEIGHBOURS,
) -> Request:
    """What the narrator would ask about the subject of a window.

    ``others``: the boxes of the clip's other subjects, by picture; those near the subject are shown with it, as
    service does, at most ``most_neighbours`` of them.
    """
    frames = np.stack([film.stills[number].pixels for number in window.pictures])
    count, height_px, width_px = frames.shape[:3]
    near = _neighbours(window, others, most_neighbours) if most_neighbours else []
    shown = [(window.boxes, tuple(range(count))), *near]
    return Request(
        frames=frames,
        times_s=np.array(window.times_s),
        masks=np.concatenate([filled(boxes, height_px, width_px) for boxes, _ in shown]),
        mask_frames=np.array([place for _, places in shown for place in places]),
        objects=np.array([number for number, (boxes, _) in enumerate(shown) for _ in boxes]),
        instruction=question("detail", window.end_s, len(near)),
        max_new_tokens=LONGEST_ANSWER,
    )


def _neighbours(
    window: Window, others: Sequence[Mapping[int, Box | None]], limit: int
) -> list[tuple[tuple[Box, ...], tuple[int, ...]]]:
    """Boxes of subjects that came near, nearest first, with the places among the window's pictures to show them on."""
    seen = [[boxes.get(number) for number in window.pictures] for boxes in others]
    sights = [
        (np.array([box or NOWHERE for box in row]), np.array([box is not None for box in row]))
        for row in seen
    ]
    own = np.array(window.boxes)
    found = choose_neighbours(own, np.ones(len(own), bool), sights, range(len(own)), limit)
    return [
        (tuple(box for place in one.frames if (box := seen[one.index][place]) is not None), one.frames)
        for one in found
    ]


def _floor(value: float) -> int:
    return math.floor(value + 1e-9)


def _ceil(value: float) -> int:
    return math.ceil(value - 1e-9)
