"""Read the result topics as they stand now, from their beginning (or a time) to their end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from kafka import KafkaConsumer, TopicPartition

from contracts import topics
from contracts.base import InvalidMessage
from contracts.clips import ClipRecord
from contracts.events import Gap, TrackEvent
from contracts.narrations import Narration
from contracts.segments import HEADER, SegmentHeader
from contracts.tracks import TrackUpdate
from services.adapters.kafka import KafkaConnection, committed_consumer

MESSAGES = {topic.name: topic.message for topic in topics.TOPICS}
READ_TIMEOUT_S = 120.0


@dataclass
class Results:
    """Everything read, in topic order. ``unreadable`` counts records that are no valid message of their topic."""

    segments: list[SegmentHeader] = field(default_factory=list)
    clips: list[ClipRecord] = field(default_factory=list)
    tracks: list[TrackUpdate] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    events: list[TrackEvent] = field(default_factory=list)
    narrations: list[Narration] = field(default_factory=list)
    unreadable: int = 0

    def references(self) -> dict[str, list[str]]:
        """Object names that messages refer to, by camera. Segments' own objects have their own life-time."""
        found: dict[str, list[str]] = {}
        for clip in self.clips:
            found.setdefault(clip.camera_id, []).extend(r for r in (clip.evidence_ref, clip.video_ref) if r)
        for track in self.tracks:
            found.setdefault(track.camera_id, []).extend(r for r in (track.crop_ref, track.mask_ref) if r)
        return found


def read_results(where: str | KafkaConnection, since_s: float = 0.0) -> Results:
    """Committed records only. Raises TimeoutError when the end is not reached within READ_TIMEOUT_S."""
    results = Results()
    shelves = {
        topics.SEGMENTS: results.segments,
        topics.CLIPS: results.clips,
        topics.TRACKS: results.tracks,
        topics.GAPS: results.gaps,
        topics.EVENTS: results.events,
        topics.NARRATIONS: results.narrations,
    }
    consumer = committed_consumer(where, max_poll_records=500)
    try:
        _read(consumer, shelves, results, since_s)
    finally:
        consumer.close()
    return results


def _read(consumer: KafkaConsumer, shelves: dict[str, list], results: Results, since_s: float) -> None:
    parts = [TopicPartition(t, p) for t in shelves for p in sorted(consumer.partitions_for_topic(t) or ())]
    ends = consumer.end_offsets(parts)
    consumer.assign(parts)
    _seek(consumer, parts, ends, since_s)
    deadline = time.monotonic() + READ_TIMEOUT_S
    while any(consumer.position(part) < ends[part] for part in parts):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the topics could not be read to their end within {READ_TIMEOUT_S:.0f} s")
        for part, records in consumer.poll(timeout_ms=500).items():
            for record in records:
                _shelve(shelves[part.topic], record, results)


def _seek(consumer: KafkaConsumer, parts: list[TopicPartition], ends: dict, since_s: float) -> None:
    if not since_s:
        consumer.seek_to_beginning()
        return
    found = consumer.offsets_for_times({part: int(since_s * 1000) for part in parts})
    for part in parts:
        consumer.seek(part, found[part].offset if found.get(part) else ends[part])


def _shelve(shelf: list, record, results: Results) -> None:
    value = dict(record.headers or ()).get(HEADER) if record.topic == topics.SEGMENTS else record.value
    try:
        shelf.append(MESSAGES[record.topic].from_bytes(value))
    except InvalidMessage:
        results.unreadable += 1
