"""The question about one window of a film, put as service puts it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from modeling.pixelrefer.questions import question
from modeling.pixelrefer.request import Request
from recipes.benchmarks.boxes import Box
from recipes.benchmarks.film import Film
from recipes.benchmarks.windows import Window

LONGEST_ANSWER = 48
"""Tokens; what service allows."""


def filled(boxes: Sequence[Box], height_px: int, width_px: int) -> np.ndarray:
    """One 0/1 mask a box, uint8 [n,H,W]: the box filled, its borders rounded outward."""
    masks = np.zeros((len(boxes), height_px, width_px), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        rows = slice(_floor(y0 * height_px), _ceil(y1 * height_px))
        mask[rows, _floor(x0 * width_px) : _ceil(x1 * width_px)] = 1
    return masks


def request_for(window: Window, film: Film, instruction: str | None = None) -> Request:
    """What the narrator would ask about the subject of a window; ``instruction`` replaces its question."""
    frames = np.stack([film.stills[number].pixels for number in window.pictures])
    count, height_px, width_px = frames.shape[:3]
    return Request(
        frames=frames,
        times_s=np.array(window.times_s),
        masks=filled(window.boxes, height_px, width_px),
        mask_frames=np.arange(count),
        objects=np.zeros(count, np.int64),
        instruction=instruction or question("detail", window.end_s),
        max_new_tokens=LONGEST_ANSWER,
    )


def _floor(value: float) -> int:
    return math.floor(value + 1e-9)


def _ceil(value: float) -> int:
    return math.ceil(value - 1e-9)
