"""The transactional loop and the publisher on a real broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
from kafka import TopicPartition

from contracts.clips import ClipRecord
from contracts.topics import Topic
from pipelines.ports import Commit, Output, PublisherFull, Record
from services.adapters.kafka import KafkaPublisher, KafkaUnavailable, committed_consumer, ensure_topics
from services.adapters.worker import TransactionalWorker, WorkerSettings, within

RECORDS = 60


class Doubler:
    """Writes each record on; its state is the count of each partition, kept in the offsets' metadata."""

    def __init__(self, topic: str, faults: dict[int, str]) -> None:
        self.topic, self.faults = topic, faults
        self.counts: dict[int, int] = {}
        self.taken = 0

    def assigned(self, partition: int, offset: int | None, metadata: str) -> None:
        assert (offset or 0) == int(metadata or 0), "state and offset belong together"
        self.counts[partition] = int(metadata or 0)

    def revoked(self, partition: int) -> None:
        del self.counts[partition]

    def handle(self, record: Record) -> Iterator[Commit]:
        self.taken += 1
        fault = self.faults.get(self.taken, "")
        if fault == "before":
            raise RuntimeError("crash before the commit")
        self.counts[record.partition] += 1
        count = self.counts[record.partition]
        assert count == record.offset + 1
        yield Commit((Output(self.topic, record.key, record.value),), {record.partition: (count, str(count))})
        if fault == "after":
            raise RuntimeError("crash after the commit")

    def tick(self) -> tuple[Commit, ...]:
        return ()

    def full(self) -> bool:
        return False


@pytest.fixture
def topics(kafka: str) -> tuple[str, str]:
    name = uuid.uuid4().hex[:10]
    pair = (f"test.in.{name}", f"test.out.{name}")
    ensure_topics(kafka, [Topic(one, ClipRecord, 3_600_000, partitions=2) for one in pair])
    return pair


def fill(kafka: str, topic: str) -> None:
    publisher = KafkaPublisher(kafka, linger_ms=5)
    sent = [publisher.publish(topic, f"key-{i % 9}", str(i).encode(), {"n": b"1"}) for i in range(RECORDS)]
    publisher.flush(20)
    assert {future.result(1)[0] for future in sent} == {0, 1}
    publisher.close()


def read_all(kafka: str, topic: str, wanted: int, limit_s: float = 90.0) -> list[bytes]:
    """Committed values; waits for ``wanted`` of them, then a little longer for any too many."""
    consumer = committed_consumer(kafka)
    consumer.assign([TopicPartition(topic, p) for p in range(2)])
    values: list[bytes] = []
    deadline = time.monotonic() + limit_s
    while len(values) < wanted and time.monotonic() < deadline:
        values += [r.value for records in consumer.poll(200).values() for r in records]
    values += [r.value for records in consumer.poll(1000).values() for r in records]
    consumer.close()
    return values


def worker(
    kafka: str, topics: tuple[str, str], group: str, name: str, faults: dict[int, str]
) -> TransactionalWorker:
    settings = WorkerSettings(topics[0], group, f"{group}-{name}", session_timeout_s=4.0, backoff_max_s=0.4)
    return TransactionalWorker(kafka, settings, Doubler(topics[1], faults))


def test_each_record_has_its_effect_once_through_crashes_and_a_second_member(
    kafka: str, topics: tuple[str, str]
) -> None:
    fill(kafka, topics[0])
    group = f"g-{topics[0]}"
    faults = {8: "before", 15: "after", 30: "before"}
    workers = [worker(kafka, topics, group, name, dict(faults)) for name in ("one", "two")]
    threads = [threading.Thread(target=w.run, daemon=True) for w in workers]
    threads[0].start()
    time.sleep(1.0)
    threads[1].start()
    values = read_all(kafka, topics[1], RECORDS)
    for one in workers:
        one.stop()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    counts = Counter(values)
    assert len(counts) == RECORDS and set(counts.values()) == {1}
    assert sum(w.failures for w in workers) >= 2


def test_a_stopped_member_hands_over_where_it_stopped(kafka: str, topics: tuple[str, str]) -> None:
    fill(kafka, topics[0])
    for name in ("one", "two"):
        one = worker(kafka, topics, f"h-{topics[0]}", name, {})
        thread = threading.Thread(target=one.run, daemon=True)
        thread.start()
        read_all(kafka, topics[1], RECORDS // 4 if name == "one" else RECORDS)
        one.stop()
        thread.join(20)
        assert not thread.is_alive() and one.failures == 0
    assert Counter(read_all(kafka, topics[1], RECORDS)).most_common(1)[0][1] == 1


def test_topics_are_made_once(kafka: str) -> None:
    topic = Topic(f"test.once.{uuid.uuid4().hex[:8]}", ClipRecord, 60_000, partitions=3)
    assert ensure_topics(kafka, [topic]) == [topic.name]
    assert ensure_topics(kafka, [topic]) == []


def test_a_publisher_has_a_bound(kafka: str, topics: tuple[str, str]) -> None:
    publisher = KafkaPublisher(kafka, max_in_flight=4, patience_s=0.2, linger_ms=10_000)
    with pytest.raises(PublisherFull):
        for _ in range(8):
            publisher.publish(topics[0], "k", b"v")
    publisher.flush(10)
    publisher.publish(topics[0], "k", b"v")
    publisher.close()


def test_a_dead_broker_is_named() -> None:
    with pytest.raises(KafkaUnavailable, match="127.0.0.1:9"):
        ensure_topics("127.0.0.1:9", timeout_s=1.0)


def test_waiting_is_bounded_and_errors_come_through() -> None:
    assert within(1.0, lambda: 3) == 3
    with pytest.raises(KeyError):
        within(1.0, lambda: {}["missing"])
    with pytest.raises(TimeoutError):
        within(0.05, lambda: time.sleep(5))
