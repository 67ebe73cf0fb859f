"""The topics: their names, how each is kept, and the message each carries. Key = camera id on all of them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.base import Message
from contracts.cameras import CameraSettings
from contracts.clips import ClipRecord
from contracts.deadletter import DeadLetter
from contracts.events import CameraStateChanged, Gap, TrackEvent
from contracts.narrations import Narration, Partial
from contracts.prompts import PromptRecord
from contracts.segments import SegmentHeader
from contracts.tracks import TrackUpdate

PARTITIONS = 4
MINUTE_MS = 60_000
DAY_MS = 24 * 60 * MINUTE_MS

SEGMENTS = "streamrefer.segments.v1"
CAMERAS = "streamrefer.cameras.v1"
CAMERA_STATES = "streamrefer.camera-states.v1"
CLIPS = "streamrefer.clips.v1"
TRACKS = "streamrefer.tracks.v1"
EVENTS = "streamrefer.events.v1"
GAPS = "streamrefer.gaps.v1"
NARRATIONS = "streamrefer.narrations.v1"
PARTIALS = "streamrefer.partials.v1"
PROMPTS = "streamrefer.prompts.v1"
DEADLETTER = "streamrefer.deadletter.v1"


@dataclass(frozen=True)
class Topic:
    """A topic's settings. ``message`` describes the value, but for segments: there it is the ``segment`` header."""

    name: str
    message: type[Message] | type[PromptRecord]
    retention_ms: int
    retention_bytes: int = -1
    compacted: bool = False
    partitions: int = PARTITIONS

    def config(self) -> dict[str, str]:
        """Settings as the broker names them. Record times are pipeline times, so retention follows the log."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": str(self.retention_bytes),
            "max.message.bytes": "1500000",
        }


TOPICS: tuple[Topic, ...] = (
    Topic(SEGMENTS, SegmentHeader, 6 * 60 * MINUTE_MS, retention_bytes=2_000_000_000),
    Topic(CAMERAS, CameraSettings, -1, compacted=True),
    Topic(CAMERA_STATES, CameraStateChanged, 7 * DAY_MS),
    Topic(CLIPS, ClipRecord, 7 * DAY_MS),
    Topic(TRACKS, TrackUpdate, 7 * DAY_MS),
    Topic(EVENTS, TrackEvent, 7 * DAY_MS),
    Topic(GAPS, Gap, 7 * DAY_MS),
    Topic(NARRATIONS, Narration, 30 * DAY_MS),
    Topic(PARTIALS, Partial, 10 * MINUTE_MS),
    Topic(PROMPTS, PromptRecord, DAY_MS),
    Topic(DEADLETTER, DeadLetter, 30 * DAY_MS),
)
