"""A clip's record: written by the tracker in the same transaction as its tracks, events and consumed offsets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.base import CameraId, Message


class ClipFrame(Message):
    """One sampled frame of the clip."""

    index: int = Field(ge=0, description="number of the sampled frame in its epoch")
    pts_s: float
    time_s: float = Field(description="camera time, UTC seconds")


class SourceRange(Message):
    """Which segment records a clip was made from: inclusive offsets on one partition."""

    partition: int = Field(ge=0)
    first_offset: int = Field(ge=0)
    last_offset: int = Field(ge=0)


class ClipRecord(Message):
    """Covers camera time [start_s, end_s). ``refs`` are object names in the bucket."""

    clip_id: str
    camera_id: CameraId
    epoch: int
    index: int = Field(ge=0, description="clip number in its epoch")
    start_s: float
    end_s: float
    frames: list[ClipFrame]
    width_px: int
    height_px: int
    closed_by: Literal["full", "duration", "scene_cut", "end"]
    source: SourceRange
    evidence_ref: str = Field(
        description="safetensors: pictures as JPEG, masks packed, see pipelines.evidence"
    )
    video_ref: str | None = Field(None, description="Matroska file with the clip's encoded video")
    checkpoint_ref: str | None = None
    track_ids: list[str]
    names: dict[str, str] | None = Field(None, description="of tracks that a person named, by track id")
    model: str = Field(description="tracker weights: name and hash")
    captured_at: float = Field(description="UTC seconds when the last segment of the clip was ingested")
    committed_at: float
    stage_s: dict[str, float] = Field(default_factory=dict, description="seconds per stage")


def clip_id(camera_id: str, epoch: int, index: int) -> str:
    """Derived from its inputs, so that doing a clip twice gives the same id."""
    return f"{camera_id}-{epoch}-c{index:06d}"
