"""Region and boundary scores of masks as in the DAVIS benchmark (Perazzi et al., CVPR 2016).

J is the IoU of two masks; F the harmonic mean of the precision and recall of their outlines, matched within 0.8 %
of the picture's diagonal. Where both masks are empty both scores are 1.
"""

from __future__ import annotations

import math

import numpy as np


def region_score(guess: np.ndarray, truth: np.ndarray) -> float:
    """J of two masks, bool [H, W]."""
    union = np.count_nonzero(guess | truth)
    return np.count_nonzero(guess & truth) / union if union else 1.0


def boundary_score(guess: np.ndarray, truth: np.ndarray) -> float:
    """F of two masks, bool [H, W]."""
    guess_edge, truth_edge = _outline(guess), _outline(truth)
    guess_px, truth_px = np.count_nonzero(guess_edge), np.count_nonzero(truth_edge)
    if guess_px == 0 or truth_px == 0:
        return float(guess_px == truth_px)
    radius_px = math.ceil(0.008 * math.hypot(*truth.shape))
    precision = np.count_nonzero(guess_edge & _dilated(truth_edge, radius_px)) / guess_px
    recall = np.count_nonzero(truth_edge & _dilated(guess_edge, radius_px)) / truth_px
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def track_scores(guess: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Mean J and mean F of one object over its frames, both bool [T, H, W]."""
    regions = [region_score(a, b) for a, b in zip(guess, truth, strict=True)]
    boundaries = [boundary_score(a, b) for a, b in zip(guess, truth, strict=True)]
    return float(np.mean(regions)), float(np.mean(boundaries))


def _outline(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their neighbour to the right, below, or both."""
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edge[:-1] |= mask[:-1] != mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return edge


def _dilated(edge: np.ndarray, radius_px: int) -> np.ndarray:
    """Everything within a disc of ``radius_px`` around the set pixels."""
    height, width = edge.shape
    wide = np.pad(edge, radius_px)
    grown = np.zeros_like(edge)
    for down in range(-radius_px, radius_px + 1):
        for right in range(-radius_px, radius_px + 1):
            if down * down + right * right <= radius_px * radius_px:
                top, left = radius_px + down, radius_px + right
                grown |= wide[top : top + height, left : left + width]
    return grown
