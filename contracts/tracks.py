"""One track's masks and boxes over one clip."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.base import CameraId, Message

State = Literal["tentative", "active", "hidden", "retired"]


class Rle(Message):
    """A binary mask as run lengths in row-major order, starting with a (possibly empty) run of zeros."""

    height: int = Field(gt=0, le=4096)
    width: int = Field(gt=0, le=4096)
    counts: list[int]


class TrackFrame(Message):
    """The track on one sampled frame. ``box`` is (x0, y0, x1, y1) in 0..1 of the picture."""

    time_s: float
    pts_s: float
    box: tuple[float, float, float, float]
    area: float = Field(ge=0, le=1, description="share of the picture")
    score: float = Field(ge=0, le=1)
    mask: Rle


class TrackUpdate(Message):
    """Frames on which the track is not visible are left out."""

    track_id: str
    camera_id: CameraId
    epoch: int
    clip_id: str
    clip_index: int
    state: State
    frames: list[TrackFrame]
    crop_ref: str | None = Field(None, description="JPEG of the object's best look in the clip")
    mask_ref: str | None = Field(None, description="PNG of the mask on that picture, cut like the crop")
    embedding: list[float] | None = None
    name: str | None = Field(None, description="what a person calls it, as plain text")
    pinned: bool | None = Field(None, description="a person wants it kept: it ends only when dropped")
