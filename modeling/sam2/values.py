"""What goes into and comes out of a session. The operators' own values have the same fields; either will do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class PromptLike(Protocol):
    """A place on the newest picture: points, a box, points with a box, or a mask.

    ``points`` float32 [n, 2] and ``box`` float32 [4] are normalised to the picture, ``labels`` int32 [n] are 1
    inside and 0 outside, ``mask`` is bool [h, w] of any size that covers the whole picture.
    """

    @property
    def points(self) -> np.ndarray | None: ...
    @property
    def labels(self) -> np.ndarray | None: ...
    @property
    def box(self) -> np.ndarray | None: ...
    @property
    def mask(self) -> np.ndarray | None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One object on one picture: its mask (bool [h, w]), estimated mask quality (0..1) and presence logit."""

    mask: np.ndarray
    score: float
    presence: float


@dataclass(frozen=True, slots=True)
class Detection:
    """What a prompt marks, decoded without memory; ``stability`` is area(logit > 1) / area(logit > -1)."""

    mask: np.ndarray
    score: float
    stability: float
    presence: float
