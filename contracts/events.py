"""Facts of the past: what happened to tracks, cameras and time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.base import CameraId, Message


class TrackEvent(Message):
    """A change in a track's life. One ``opened`` and at most one ``closed`` for each track."""

    event_id: str
    kind: Literal["opened", "hidden", "returned", "closed"]
    track_id: str
    camera_id: CameraId
    epoch: int
    clip_id: str
    time_s: float
    reason: str | None = None


class Gap(Message):
    """Camera time [start_s, end_s) of which there is no clip, and why."""

    gap_id: str
    camera_id: CameraId
    epoch: int
    start_s: float
    end_s: float
    reason: Literal["camera_lost", "undecodable", "shed", "paused", "no_picture"]
    cause: str | None = Field(None, max_length=500)


CameraState = Literal["connecting", "live", "degraded", "lost", "stopped"]


class CameraStateChanged(Message):
    """Every second of a camera lies between two of these; ``at_s`` is UTC seconds."""

    camera_id: CameraId
    state: CameraState
    at_s: float
    epoch: int | None = None
    cause: str | None = Field(None, max_length=500, description="in words; credentials masked")
    attempt: int = Field(0, ge=0, description="reconnections since the last live state")
    source: str | None = Field(None, description="credentials masked")
    width_px: int | None = None
    height_px: int | None = None
    codec: str | None = None


def gap_id(camera_id: str, start_s: float) -> str:
    return f"{camera_id}-gap-{round(start_s * 1000)}"
