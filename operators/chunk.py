"""Chunk sampled frames into clips that tile their epoch: one begins where the one before ended.

A clip is closed when it is full, when it has lasted long enough, at a scene cut, or at the end of its epoch.
Where it ends is known at once, without waiting for the next frame: the end of the last frame's cell on the
sampling grid, or the end of its segment if that comes first. Time without pictures leaves as a ``Hole``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from operators.types import Clip, ClosedBy, Frame

HoleReason = Literal["no_picture", "undecodable", "shed"]
Signature = tuple[np.ndarray, np.ndarray]  # grey thumbnail, colour histogram

_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True)
class Hole:
    """Camera time [start_s, end_s) of which there are no frames, and why."""

    camera_id: str
    epoch: int
    start_s: float
    end_s: float
    reason: HoleReason
    cause: str


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """Limits of a clip, and what counts as a scene cut (both differences must be reached; 0..1)."""

    max_frames: int = 16
    max_duration_s: float = 4.0
    cut_grey: float = 0.12
    cut_colour: float = 0.55
    min_frames_before_cut: int = 4


@dataclass(frozen=True, slots=True)
class ChunkerState:
    """Where the next clip begins; taken between clips, so it holds no pictures."""

    camera_id: str
    epoch: int
    next_index: int
    start_s: float


class Chunker:
    """Groups the frames of one camera's epoch. Times are camera time; frames must come in order.

    ``push`` and ``end`` return what became complete, in order of time, without overlap and without holes other
    than those returned.
    """

    def __init__(
        self, camera_id: str, epoch: int, start_s: float, settings: ChunkSettings, next_index: int = 0
    ) -> None:
        self._camera_id = camera_id
        self._epoch = epoch
        self._settings = settings
        self._index = next_index
        self._start_s = start_s
        self._frames: list[Frame] = []
        self._cell_end_s = start_s
        self._signature: Signature | None = None

    @property
    def epoch(self) -> int:
        return self._epoch

    @property
    def start_s(self) -> float:
        """Camera time up to which everything has left."""
        return self._start_s

    @property
    def pending(self) -> int:
        """Number of frames waiting for their clip to be complete."""
        return len(self._frames)

    def push(self, frame: Frame, cell: tuple[float, float], segment_end_s: float) -> list[Clip | Hole]:
        """Take a frame with the camera times at which its cell begins and ends, and at which its segment ends."""
        out = self._close_before(frame, cell[0])
        self._frames.append(frame)
        self._cell_end_s = cell[1]
        end_s = segment_end_s if cell[1] > segment_end_s - _EPSILON_S else cell[1]
        if len(self._frames) >= self._settings.max_frames:
            return [*out, self._close(end_s, "full")]
        if end_s - self._start_s >= self._settings.max_duration_s - _EPSILON_S:
            return [*out, self._close(end_s, "duration")]
        return out

    def advance(self, time_s: float) -> list[Clip | Hole]:
        """Say that all frames before ``time_s`` have been pushed: time that ran out without frames leaves."""
        out: list[Clip | Hole] = []
        if self._frames and time_s >= self._late_s:
            out.append(self._close(self._late_s, "duration"))
        if not self._frames and time_s - self._start_s > 2 * self._settings.max_duration_s:
            out.append(self._hole(time_s, "no_picture", "the camera sent no pictures"))
        return out

    def end(
        self, end_s: float, reason: HoleReason = "no_picture", cause: str = "no picture was sampled"
    ) -> list[Clip | Hole]:
        """Close what is pending at ``end_s``: the epoch's end, or the beginning of time that has no pictures."""
        if end_s <= self._start_s + _EPSILON_S:
            return []
        if self._frames:
            return [self._close(end_s, "end")]
        return [self._hole(end_s, reason, cause)]

    def snapshot(self) -> ChunkerState:
        """The state at the beginning of the pending clip: frames from there on must be pushed again."""
        return ChunkerState(self._camera_id, self._epoch, self._index, self._start_s)

    @staticmethod
    def restore(state: ChunkerState, settings: ChunkSettings) -> Chunker:
        return Chunker(state.camera_id, state.epoch, state.start_s, settings, state.next_index)

    def _close_before(self, frame: Frame, cell_start_s: float) -> list[Clip | Hole]:
        """What must be closed before the frame is taken: time that ran out, a scene that ended, empty time."""
        before, self._signature = self._signature, _signature(frame.pixels)
        out: list[Clip | Hole] = []
        if self._frames and frame.time_s >= self._late_s:
            out.append(self._close(self._late_s, "duration"))
        elif self._is_cut(before, self._signature, frame) and cell_start_s > self._start_s:
            out.append(self._close(cell_start_s, "scene_cut"))
        if not self._frames and cell_start_s - self._start_s > self._settings.max_duration_s:
            out.append(self._hole(cell_start_s, "no_picture", "the camera sent no pictures"))
        return out

    @property
    def _late_s(self) -> float:
        """When the pending clip ends if no frame comes; not inside its last frame's cell, which has been sampled."""
        return max(self._start_s + self._settings.max_duration_s, self._cell_end_s)

    def _is_cut(self, before: Signature | None, now: Signature, frame: Frame) -> bool:
        if self._frames and self._frames[-1].pixels.shape != frame.pixels.shape:
            return True  # a clip's pictures are all of one size
        if before is None or len(self._frames) < self._settings.min_frames_before_cut:
            return False
        grey, colour = (float(np.abs(a - b).sum()) for a, b in zip(before, now, strict=True))
        return grey >= self._settings.cut_grey and colour / 2 >= self._settings.cut_colour

    def _close(self, end_s: float, closed_by: ClosedBy) -> Clip:
        clip = Clip(
            self._camera_id, self._epoch, self._index, tuple(self._frames), self._start_s, end_s, closed_by
        )
        self._frames, self._start_s, self._index = [], end_s, self._index + 1
        return clip

    def _hole(self, end_s: float, reason: HoleReason, cause: str) -> Hole:
        hole = Hole(self._camera_id, self._epoch, self._start_s, end_s, reason, cause)
        self._start_s = end_s
        return hole


def _signature(pixels: np.ndarray) -> Signature:
    """Of a picture: a grey thumbnail (its sum of differences is the mean difference, 0..1) and a colour histogram.

    The histogram has 4 x 4 x 4 cells and sums to 1; about 4,000 pixels are looked at, evenly spread.
    """
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / 4096) ** 0.5))
    few = pixels[::step, ::step]
    grey = few.mean(axis=2, dtype=np.float32) / 255.0
    cells = (few >> 6).astype(np.int32)
    codes = (cells[..., 0] * 16 + cells[..., 1] * 4 + cells[..., 2]).ravel()
    histogram = np.bincount(codes, minlength=64).astype(np.float32) / codes.size
    return grey / grey.size, histogram
