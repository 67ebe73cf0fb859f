"""The values that operators exchange: frozen, with arrays checked at birth.

Pixels are RGB ``uint8 [H, W, 3]``. Points and boxes are normalised to the picture: ``x`` and ``y`` in 0..1,
boxes are ``(x0, y0, x1, y1)`` with exclusive ends. Masks are ``bool [h, w]`` on a mask grid that may be
smaller than the picture but covers exactly the same view. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

ClosedBy = Literal["full", "duration", "scene_cut", "end"]
TrackState = Literal["tentative", "active", "hidden", "retired"]


def _check(array: np.ndarray, dtype: type, ndim: int, name: str) -> None:
    if array.dtype != dtype or array.ndim != ndim:
        raise ValueError(
            f"{name}: expected {np.dtype(dtype)} with {ndim} axes, got {array.dtype} {array.shape}"
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture. ``pts_s`` is media time inside the epoch, ``time_s`` is UTC seconds since 1970."""

    pixels: np.ndarray
    pts_s: float
    time_s: float
    index: int

    def __post_init__(self) -> None:
        _check(self.pixels, np.uint8, 3, "Frame.pixels")
        if self.pixels.shape[2] != 3:
            raise ValueError(f"Frame.pixels: expected RGB in the last axis, got {self.pixels.shape}")


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames given to the models at once: unit of tracking, captioning, accounting and recovery.

    Covers camera time ``[start_s, end_s)`` (UTC seconds); neighbouring clips of one epoch share their borders.
    """

    camera_id: str
    epoch: int
    index: int
    frames: tuple[Frame, ...]
    start_s: float
    end_s: float
    closed_by: ClosedBy

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("Clip.frames: a clip has at least one frame")
        if not self.end_s > self.start_s:
            raise ValueError(f"Clip: end {self.end_s} is not after start {self.start_s}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A region given to the segmenter on its newest frame: points, a box, a mask, or points with a box."""

    points: np.ndarray | None = None  # float32 [n, 2], normalised x, y
    labels: np.ndarray | None = None  # int32 [n], 1 inside, 0 outside
    box: np.ndarray | None = None  # float32 [4], normalised
    mask: np.ndarray | None = None  # bool [h, w]

    def __post_init__(self) -> None:
        if self.points is None and self.box is None and self.mask is None:
            raise ValueError("Prompt: give points, a box or a mask")
        if self.points is not None:
            _check(self.points, np.float32, 2, "Prompt.points")
            if self.labels is None or len(self.labels) != len(self.points):
                raise ValueError("Prompt.labels: one label for each point")


@dataclass(frozen=True, slots=True)
class Detection:
    """A proposer's raw output on one frame: a mask with its quality estimates."""

    mask: np.ndarray
    score: float  # 0..1, estimated mask quality (IoU estimate for SAM 2)
    stability: float = 1.0  # area(logit > 1) / area(logit > -1)
    presence: float = 0.0  # object score logit; <= 0 means nothing there

    def __post_init__(self) -> None:
        _check(self.mask, np.bool_, 2, "Detection.mask")


@dataclass(frozen=True, slots=True)
class Proposal:
    """Where a detector sees something, how sure it is (0..1), and what it calls it, if it says."""

    box: np.ndarray  # float32 [4], normalised, inside the picture, not empty
    score: float
    label: str = ""

    def __post_init__(self) -> None:
        _check(self.box, np.float32, 1, "Proposal.box")
        x0, y0, x1, y1 = self.box if len(self.box) == 4 else (np.nan,) * 4
        if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):  # false for what is not a number, too
            raise ValueError(f"Proposal.box: not a box inside the picture: {self.box}")
        if not 0 <= self.score <= 1:
            raise ValueError(f"Proposal.score: {self.score} is not in 0..1")


@dataclass(frozen=True, slots=True)
class Step:
    """What the segmenter says of one object on one frame. ``presence`` is a logit; <= 0 means not in view."""

    mask: np.ndarray
    score: float
    presence: float

    def __post_init__(self) -> None:
        _check(self.mask, np.bool_, 2, "Step.mask")


@dataclass(frozen=True, slots=True)
class Masklet:
    """One track's masks over one clip. Frames before birth or while hidden have an empty mask."""

    track_id: str
    masks: np.ndarray  # bool [T, h, w]
    boxes: np.ndarray  # float32 [T, 4], normalised; zeros where not visible
    scores: np.ndarray  # float32 [T], 0..1
    state: TrackState  # at the end of the clip
    born_at: int | None = None  # frame of the clip at which the track was opened, None if older
    embedding: np.ndarray | None = None  # float32 [d], appearance, when the segmenter offers one
    name: str = ""  # what a person calls it
    pinned: bool = False

    def __post_init__(self) -> None:
        _check(self.masks, np.bool_, 3, "Masklet.masks")
        _check(self.boxes, np.float32, 2, "Masklet.boxes")
        _check(self.scores, np.float32, 1, "Masklet.scores")
        if not len(self.masks) == len(self.boxes) == len(self.scores):
            raise ValueError("Masklet: masks, boxes and scores differ in length")

    @property
    def visible(self) -> np.ndarray:
        """bool [T]: frames on which the mask has pixels."""
        return self.masks.any(axis=(1, 2))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a person's request: a code of the prompts' contract, and on which frame it took effect."""

    request_id: str
    code: str
    track_id: str = ""
    words: str = ""  # why not
    name: str = ""
    time_s: float = 0.0
    mask: np.ndarray | None = None  # bool [h, w], of the track on that frame


@dataclass(frozen=True, slots=True)
class TrackedClip:
    """A clip with every masklet alive in it, and the track ids closed during it with their reasons."""

    clip: Clip
    masklets: tuple[Masklet, ...]
    opened: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    closed: dict[str, str] = field(default_factory=dict)  # track id -> reason
    outcomes: tuple[Outcome, ...] = ()
