"""What is exactly true of a synthetic clip: owners of pixels, paths, events.

Pixel boxes are ``(x0, y0, x1, y1)`` with exclusive ends. World coordinates are metres on the ground plane:
``x`` to the right, ``z`` away from the camera. Times are seconds from the first frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

EventKind = Literal["enters", "leaves", "stops", "starts", "bumps", "is_bumped", "hidden", "reappears"]
Side = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one object; ``other`` is the index of the partner in ``SyntheticClip.objects``.

    ``side`` is set for ``enters`` and ``leaves`` through the left or right edge. ``other`` is set for
    ``bumps``, ``is_bumped`` and, where one object covers it, ``hidden``.
    """

    kind: EventKind
    time_s: float
    side: Side | None = None
    other: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectTruth:
    """One object over the ``T`` frames of a clip.

    ``visible_px`` and ``full_px`` int32 [T]: visible area and area inside the frame if nothing occluded it.
    ``boxes`` float32 [T, 4]: box of the visible pixels, zeros where none. ``centre`` float32 [T, 2]: projected
    centre in pixels, also while hidden or outside. ``ground`` float32 [T, 2]: x, z. ``velocity`` float32 [T, 2]:
    world metres a second.
    """

    class_name: str
    colour: str
    visible_px: np.ndarray
    full_px: np.ndarray
    boxes: np.ndarray
    centre: np.ndarray
    ground: np.ndarray
    velocity: np.ndarray
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class SyntheticClip:
    """A clip with its truth. ``frames`` uint8 [T, H, W, 3]; ``ids`` uint8 [T, H, W]: 0 or index of the owner + 1."""

    frames: np.ndarray
    ids: np.ndarray
    fps: float
    objects: tuple[ObjectTruth, ...]


@dataclass(frozen=True, slots=True)
class StreamObject:
    """One object of a stream, with the first and last time it showed a pixel (None until it does)."""

    number: int
    class_name: str
    colour: str
    first_visible_s: float | None = None
    last_visible_s: float | None = None
