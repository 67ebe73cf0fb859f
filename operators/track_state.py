"""A tracker's snapshot as a plain value; ``pipelines.snapshot`` makes stored objects of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from operators.glimpse import Glimpse
from operators.lifecycle import Track
from operators.motion import MotionState


@dataclass(frozen=True, slots=True)
class TrackerState:
    """Everything a tracker needs to go on after the newest clip.

    ``segmenter`` is the session's own state in named parts (:meth:`operators.ports.Segmenter.export_state`);
    ``glimpses`` hold by key the newest sight of every opened track, for a session that cannot read that state.
    """

    camera_id: str
    segmenter: Mapping[str, bytes]
    epoch: int | None = None
    next_key: int = 1
    next_number: int = 1
    since_grid: int | None = None  # frames since the last search by clicks, None before the first
    since_motion: int = 0
    searches: int = 0  # by clicks, so far
    cut: bool = False  # the next clip shows another scene
    tracks: tuple[Track, ...] = ()
    twins: Mapping[tuple[int, int], int] = field(default_factory=dict)
    apart: Mapping[tuple[int, int], int] = field(default_factory=dict)
    motion: MotionState = field(default_factory=MotionState)
    glimpses: Mapping[int, Glimpse] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)  # the pipeline's own, plain JSON values
