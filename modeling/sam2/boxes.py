"""Geometry of normalised boxes, float [4]: x0, y0, x1, y1."""

from __future__ import annotations

import numpy as np


def box_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes; 0 when both are empty."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.clip(sides, 0, None)))
    both = sum(float(np.prod(box[2:] - box[:2])) for box in (one, other))
    return shared / max(both - shared, 1e-12)
