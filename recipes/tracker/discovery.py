"""Find objects without a prompt: single clicks on a grid, filtered by the network's own estimates.

This measures the weights alone, on one picture; the stream's own rules for births are in ``operators``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Clickable(Protocol):
    """A session that decodes single clicks on its newest picture."""

    def candidates(self, points: np.ndarray) -> list: ...


@dataclass(frozen=True, slots=True)
class Filters:
    """What a candidate must reach. Areas are shares of the picture; ``same`` is the IoU of duplicates."""

    grid: int = 10
    quality: float = 0.6
    stability: float = 0.75
    presence: float = 0.0
    smallest: float = 0.0008
    largest: float = 0.4
    same: float = 0.5


def grid_points(grid: int) -> np.ndarray:
    """float32 [grid * grid, 2], normalised x, y of the cells' centres."""
    places = (np.arange(grid, dtype=np.float32) + 0.5) / grid
    return np.stack(np.meshgrid(places, places), -1).reshape(-1, 2)


def discover(session: Clickable, filters: Filters) -> list[np.ndarray]:
    """Masks bool [h, w] of what is found on the session's newest picture, best first, without duplicates."""
    return select(session.candidates(grid_points(filters.grid)), filters)


def select(candidates: list, filters: Filters) -> list[np.ndarray]:
    """The masks that pass the filters, by falling quality; of duplicates the better one stays."""
    good = [c for c in candidates if _passes(c, filters)]
    good.sort(key=lambda c: c.score * c.stability, reverse=True)
    kept: list[np.ndarray] = []
    for candidate in good:
        if not any(_same(candidate.mask, mask, filters.same) for mask in kept):
            kept.append(candidate.mask)
    return kept


def _passes(candidate, filters: Filters) -> bool:
    return (
        candidate.presence > filters.presence
        and candidate.score >= filters.quality
        and candidate.stability >= filters.stability
        and filters.smallest <= candidate.mask.mean() <= filters.largest
    )


def _same(mask: np.ndarray, other: np.ndarray, limit: float) -> bool:
    """Whether two masks show one thing: they overlap by ``limit``, or one lies mostly inside the other."""
    overlap = np.count_nonzero(mask & other)
    if not overlap:
        return False
    smaller = min(np.count_nonzero(mask), np.count_nonzero(other))
    return overlap / np.count_nonzero(mask | other) >= limit or overlap / smaller >= 0.7
