"""The transactional loop and the publisher on a real broker."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.structs import MemberState

from contracts.clips import ClipRecord
from contracts.topics import Topic
from pipelines.ports import Commit, Output, PublisherFull, Record
from services.adapters.kafka import KafkaPublisher, KafkaUnavailable, committed_consumer, ensure_topics
from services.adapters.worker import TELL_AFTER_S, TransactionalWorker, WorkerSettings, within

RECORDS = 60


class Doubler:
    """Writes each record on; its state is the count of each partition, kept in the offsets' metadata."""

    def __init__(self, topic: str, faults: dict[int, str]) -> None:
        self.topic, self.faults = topic, faults
        self.counts: dict[int, int] = {}
        self.taken = 0
        self.frozen, self.thawed = threading.Event(), threading.Event()

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
        if fault == "freeze":
            self.frozen.set()
            assert self.thawed.wait(90)
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
    kafka: str, topics: tuple[str, str], group: str, name: str, faults: dict[int, str], **times_s: float
) -> TransactionalWorker:
    times_s = {"session_timeout_s": 4.0, "backoff_max_s": 0.4, **times_s}
    settings = WorkerSettings(topics[0], group, f"{group}-{name}", **times_s)
    return TransactionalWorker(kafka, settings, Doubler(topics[1], faults))


@contextmanager
def running(one: TransactionalWorker) -> Iterator[None]:
    thread = threading.Thread(target=one.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        one.stop()
        thread.join(20)
        assert not thread.is_alive()


def wait_until(true: Callable[[], bool], limit_s: float = 60.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


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


def test_a_member_whose_polls_are_shorter_than_a_join_gets_its_partitions(
    kafka: str, topics: tuple[str, str]
) -> None:
    """The plain client forgets a join that a poll did not live to see the end of, and waits for minutes."""
    one = worker(kafka, topics, f"s-{topics[0]}", "one", {}, poll_s=0.001)
    with running(one):
        assert wait_until(lambda: one.owned == {0, 1})
    assert one.failures == 0


def test_joining_a_group_that_does_not_answer_is_told_and_bounded(
    kafka: str, topics: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Another member lives but does not poll: the group's rebalance waits for it, for up to five minutes."""
    caplog.set_level(logging.INFO, "services.adapters.worker")
    group = f"b-{topics[0]}"
    busy = committed_consumer(kafka, group)
    busy.subscribe([topics[0]])
    assert wait_until(lambda: bool(busy.poll(100) or busy.assignment()))
    one = worker(kafka, topics, group, "one", {}, join_timeout_s=TELL_AFTER_S + 2)
    with running(one):
        assert wait_until(lambda: one.failures > 0)
        assert f"waiting for group {group}" in caplog.text and "has not taken this member in" in caplog.text
        busy.close(autocommit=False)
        assert wait_until(lambda: one.owned == {0, 1})


def test_a_member_that_was_cast_out_while_it_worked_cannot_commit(
    kafka: str, topics: tuple[str, str]
) -> None:
    """As after a freeze: the client learns of it in the background, before the work in hand is done."""
    fill(kafka, topics[0])
    group = f"z-{topics[0]}"
    handler = Doubler(topics[1], {5: "freeze"})
    settings = WorkerSettings(topics[0], group, f"{group}-one", session_timeout_s=4.0, backoff_max_s=0.4)
    one = TransactionalWorker(kafka, settings, handler)
    with running(one):
        assert handler.frozen.wait(60)
        cast_out(kafka, group)
        with running(worker(kafka, topics, group, "two", {})):
            read_all(kafka, topics[1], RECORDS)
            assert one._consumer is not None
            assert wait_until(lambda: one._consumer.group_metadata().state != MemberState.STABLE)
            handler.thawed.set()
            assert wait_until(lambda: one.failures == 1), "its commit was not refused"
    assert Counter(read_all(kafka, topics[1], RECORDS)).most_common(1)[0][1] == 1


def cast_out(kafka: str, group: str) -> None:
    """End every member's session, as the broker does for one that is silent."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        members = admin.describe_groups([group])[group]["members"]
        gone = [MemberToRemove(member_id=member["member_id"]) for member in members]
        admin.remove_group_members(group, gone)
    finally:
        admin.close()


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
    with pytest.raises(TimeoutError, match="the answer: no answer within 0.05 s"):
        within(0.05, lambda: time.sleep(5), "the answer")


def test_a_long_wait_is_told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO, "services.adapters.worker")
    monkeypatch.setattr("services.adapters.worker.TELL_AFTER_S", 0.01)
    assert within(5.0, lambda: time.sleep(0.3) or "late", "the broker") == "late"
    assert caplog.messages == ["waiting for the broker, at most 5 s"]
