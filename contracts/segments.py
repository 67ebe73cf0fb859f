"""A segment: about a second of one camera's encoded video, starting at a key frame, remuxed, never re-encoded.

The record's value is a Matroska file (empty when ``ref`` points to object storage, and on end markers); the
record's header ``segment`` carries ``SegmentHeader`` as JSON.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from contracts.base import CameraId, Message
from contracts.cameras import MemoryPolicy, Words

HEADER = "segment"
INLINE_LIMIT_BYTES = 900_000

EndCause = Literal["end_of_file", "lost", "stopped", "changed"]


class SegmentHeader(Message):
    """Where a segment lies in its camera's time.

    Camera time of a packet = ``epoch_start_s + pts_s``: an epoch is one connection to the source, its number the
    UTC milliseconds at which it began, and media time ``pts_s`` starts near 0 in each epoch. Segments of an epoch
    are gapless: ``start_s`` of one is ``end_s`` of the one before, ``seq`` counts 0, 1, 2 ... The last record of
    an epoch is an end marker (``end`` set, no video, ``start_s == end_s``).
    """

    camera_id: CameraId
    epoch: int = Field(ge=0)
    seq: int = Field(ge=0)
    epoch_start_s: float = Field(ge=0, description="camera time of media time 0, UTC seconds")
    start_s: float = Field(ge=0, description="camera time of the first picture, UTC seconds")
    end_s: float = Field(ge=0, description="camera time at which the next segment begins, UTC seconds")
    codec: str = ""
    width_px: int = Field(0, ge=0, le=16384)
    height_px: int = Field(0, ge=0, le=16384)
    packets: int = Field(0, ge=0)
    size_bytes: int = Field(0, ge=0)
    sample_fps: float = Field(4.0, gt=0, le=30)
    memory_policy: MemoryPolicy | None = Field(None, description="as the camera's settings want it")
    find: Words | None = Field(None, description="as the camera's settings want it")
    ref: str | None = Field(None, description="object name when the video is too large for the topic")
    end: EndCause | None = None
    cause: str | None = Field(None, max_length=500, description="in words, on end markers")
    ingested_at: float = Field(ge=0, description="UTC seconds")

    @model_validator(mode="after")
    def _times(self) -> SegmentHeader:
        if self.end is None and not self.end_s > self.start_s:
            raise ValueError("end_s must be after start_s")
        return self
