"""Where each camera's video stood when ingest last ran, read from the end of the segments topic."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition

from contracts import topics
from contracts.base import InvalidMessage
from contracts.segments import HEADER, SegmentHeader
from services.adapters.kafka import KafkaConnection, committed_consumer

TAIL_RECORDS = 400
READ_TIMEOUT_S = 30.0


def last_segments(where: str | KafkaConnection) -> dict[str, SegmentHeader]:
    """The newest segment header of each camera found in the last TAIL_RECORDS records of every partition."""
    consumer = committed_consumer(where, max_poll_records=TAIL_RECORDS)
    try:
        partitions = [
            TopicPartition(topics.SEGMENTS, p) for p in consumer.partitions_for_topic(topics.SEGMENTS)
        ]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        starts = consumer.beginning_offsets(partitions)
        newest: dict[str, SegmentHeader] = {}
        for partition in partitions:
            first = max(starts[partition], ends[partition] - TAIL_RECORDS)
            _read(consumer, partition, first, ends[partition], newest)
        return newest
    finally:
        consumer.close()


def _read(
    consumer: KafkaConsumer, partition: TopicPartition, first: int, end: int, newest: dict[str, SegmentHeader]
) -> None:
    consumer.assign([partition])
    consumer.seek(partition, first)
    waited_s = 0.0
    while consumer.position(partition) < end and waited_s < READ_TIMEOUT_S:
        batch = consumer.poll(timeout_ms=500).get(partition, [])
        waited_s += 0.0 if batch else 0.5
        for record in batch:
            header = _header(dict(record.headers or ()))
            if header is not None and header.end_s >= _end_of(newest, header.camera_id):
                newest[header.camera_id] = header


def _header(headers: dict[str, bytes]) -> SegmentHeader | None:
    try:
        return SegmentHeader.from_bytes(headers.get(HEADER))
    except InvalidMessage:
        return None  # the tracker dead-letters it; here it only tells nothing


def _end_of(newest: dict[str, SegmentHeader], camera_id: str) -> float:
    return newest[camera_id].end_s if camera_id in newest else 0.0
