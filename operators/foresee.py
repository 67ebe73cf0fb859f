"""Foresee: where a followed object should be by now, and whether what is seen there can be it.

Objects go on as they went (constant velocity), for a moment; after that all that is known is how far they can have
come. Boxes are shares of the picture, velocities shares of the picture a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class ForeseeSettings:
    """How steadily things move. Distances are shares of the picture, times seconds of camera time."""

    coast_s: float = 0.75  # so long an unseen object is thought to go on as it went
    pace: float = 0.5  # share of the newest displacement in the velocity that is remembered
    top_speed: float = 1.5  # a second; what seems faster is a change of the mask
    reach_sides: float = 1.0  # by so many of its longer sides a thing may be off the place foreseen ...
    reach_speed: float = 0.5  # ... and by so much more for each second since it was seen ...
    reach_s: float = 1.0  # ... up to so many: who is gone for long still comes back near where he went


def foreseen(
    box: Sequence[float], velocity: Sequence[float], unseen_s: float, settings: ForeseeSettings
) -> np.ndarray:
    """The box, float32 [4], where what was last seen in ``box`` should be ``unseen_s`` later; parts may lie outside."""
    shift = np.array(velocity, np.float32) * min(max(unseen_s, 0.0), settings.coast_s)
    return np.array(box, np.float32) + np.tile(shift, 2)


def reaches(
    box: Sequence[float],
    velocity: Sequence[float],
    unseen_s: float,
    found: np.ndarray,
    settings: ForeseeSettings,
) -> bool:
    """Whether what was in ``box`` can be in ``found`` after ``unseen_s``: near where it went, or where it was."""
    last = np.array(box, np.float32)
    ahead = foreseen(box, velocity, unseen_s, settings)
    side = max(_longer_side(last), _longer_side(found))
    limit = settings.reach_sides * side + settings.reach_speed * min(max(unseen_s, 0.0), settings.reach_s)
    return min(_apart(last, found), _apart(ahead, found)) <= limit


def velocity_after(
    box: Sequence[float],
    velocity: tuple[float, float],
    elapsed_s: float,
    now: np.ndarray,
    settings: ForeseeSettings,
) -> tuple[float, float]:
    """The velocity after the object has come from ``box`` to ``now``; what was known before fades."""
    if elapsed_s <= 0:
        return velocity
    newest = np.clip(
        (_centre(now) - _centre(np.array(box, np.float32))) / elapsed_s,
        -settings.top_speed,
        settings.top_speed,
    )
    # After a long absence the old velocity says nothing any more.
    pace = 1.0 if elapsed_s > settings.coast_s else settings.pace
    x, y = (1 - pace) * np.array(velocity) + pace * newest
    return round(float(x), 4), round(float(y), 4)


def _centre(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(_centre(a) - _centre(b)))


def _longer_side(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
