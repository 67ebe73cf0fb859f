"""The consume-transform-produce loop: each record's effects happen exactly once, whatever fails.

One transaction carries the outputs and the consumed offsets, with a line of text (the offset's metadata) from
which the handler restores its state wherever the partition goes next. On any exception the loop aborts, closes
consumer and producer, builds both anew under the same transactional id, and the handler restores its states from
what was last committed. Members that lost their partition are fenced by the group's generation.

Every wait has a bound, and one that lasts is told in the log, with what is waited for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.structs import ConsumerGroupMetadata, MemberState, OffsetAndMetadata

from pipelines.ports import Commit, Handler, Record
from services.adapters.kafka import (
    GroupConsumer,
    KafkaConnection,
    as_headers,
    committed_consumer,
    transactional_producer,
)

log = logging.getLogger(__name__)

CONNECT_LIMIT_S = 35.0  # the client's own bound is 30 s
COMMITTED_LIMIT_S = 30.0  # longer than a dead member's open transaction holds the offsets back
TELL_AFTER_S = 3.0


@dataclass(frozen=True)
class WorkerSettings:
    """``transactional_id`` is one per replica name; times are bounds, not pauses.

    ``join_timeout_s`` is how long the group may leave this member without an answer before it comes anew. A healthy
    rebalance ends when the slowest other member has worked off what it polled.
    """

    topic: str
    group_id: str
    transactional_id: str
    poll_s: float = 0.2
    session_timeout_s: float = 10.0
    transaction_timeout_s: float = 15.0
    max_poll_records: int = 8
    backoff_max_s: float = 10.0
    max_poll_interval_s: float = 300.0
    join_timeout_s: float = 120.0


class NotAMember(RuntimeError):
    """The group has not taken this member in within its time."""


class _Changes(ConsumerRebalanceListener):
    """Remembers rebalances for the loop's thread; the callbacks run on the client's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[tuple[str, int]] = []

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._add("revoked", revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._add("assigned", assigned)

    def drain(self) -> list[tuple[str, int]]:
        with self._lock:
            pending, self._pending = self._pending, []
        return pending

    def begin_anew(self, owned: Iterable[int], assigned: Iterable[TopicPartition]) -> None:
        """Everything owned counts as revoked, and everything assigned as assigned just now."""
        with self._lock:
            self._pending = [("revoked", partition) for partition in owned]
        self._add("assigned", assigned)

    def _add(self, what: str, partitions: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._pending += [(what, partition.partition) for partition in partitions]


class TransactionalWorker:
    """Runs a handler over a topic as a member of a group until stopped. ``run`` blocks; ``stop`` ends it."""

    def __init__(self, where: str | KafkaConnection, settings: WorkerSettings, handler: Handler) -> None:
        self._where = where
        self._settings = settings
        self._handler = handler
        self._stopping = threading.Event()
        self._consumer: GroupConsumer | None = None
        self._producer: KafkaProducer | None = None
        self._changes = _Changes()
        self._owned: set[int] = set()
        self._paused = False
        self._membership: ConsumerGroupMetadata | None = None  # in which what is owned was assigned
        self._outside_since: float | None = None  # the first poll after which it was no member
        self._told_at = 0.0
        self.failures = 0
        self.last_poll_at = time.monotonic()

    def run(self) -> None:
        """Work until ``stop``; failures are logged, waited out with growing pauses, and recovered from."""
        wait_s = 0.2
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._open()
                while not self._stopping.is_set():
                    self._round()
            except Exception:
                self.failures += 1
                log.exception(
                    "%s: round failed; rebuilding from the last commit", self._settings.transactional_id
                )
                wait_s = (
                    0.2 if time.monotonic() - began > 30 else min(wait_s * 2, self._settings.backoff_max_s)
                )
                self._close()
                self._stopping.wait(wait_s)
        self._close()

    def stop(self) -> None:
        """Ask the loop to end after the record in hand; returns at once."""
        self._stopping.set()

    @property
    def owned(self) -> frozenset[int]:
        """The partitions this member holds, as of the last poll."""
        return frozenset(self._owned)

    def _open(self) -> None:
        settings = self._settings
        self._changes = _Changes()
        self._producer = self._wait(
            CONNECT_LIMIT_S,
            "the broker, to produce",
            lambda: transactional_producer(
                self._where, settings.transactional_id, settings.transaction_timeout_s
            ),
        )
        # A former holder of the id is fenced here, and its open transaction ended.
        self._wait(
            settings.transaction_timeout_s + 1.0,
            "the transaction coordinator",
            self._producer.init_transactions,
        )
        self._consumer = self._wait(
            CONNECT_LIMIT_S,
            "the broker, to consume",
            lambda: committed_consumer(
                self._where,
                settings.group_id,
                session_timeout_s=settings.session_timeout_s,
                max_poll_records=settings.max_poll_records,
                max_poll_interval_ms=int(settings.max_poll_interval_s * 1000),
            ),
        )
        self._consumer.subscribe([settings.topic], listener=self._changes)
        self._membership = self._outside_since = None

    def _round(self) -> None:
        assert self._consumer is not None
        self._pause_or_resume()
        polled = self._consumer.poll(timeout_ms=int(self._settings.poll_s * 1000))
        self.last_poll_at = time.monotonic()
        self._look_at_membership(self._consumer)
        fresh = self._follow_changes()
        for where, records in polled.items():
            # A partition just restored was moved back to its committed offset: these come again.
            if where.partition not in fresh and where.partition in self._owned:
                for record in records:
                    self._transact_all(self._handler.handle(_record(record)))
                    if self._stopping.is_set():
                        return
        self._transact_all(self._handler.tick())

    def _look_at_membership(self, consumer: GroupConsumer) -> None:
        """Raises NotAMember: without a bound here a member that joins in vain would poll on for ever."""
        now, settings = self.last_poll_at, self._settings
        if (found := consumer.group_metadata()).state == MemberState.STABLE:
            if self._membership is not None and found.member_id != self._membership.member_id:
                # Cast out and taken in again: whoever held the partitions in between may have gone on with them,
                # and the client does not always say that they were lost.
                self._changes.begin_anew(self._owned, consumer.assignment())
            self._membership, self._outside_since = found, None
            return
        if self._outside_since is None:
            self._outside_since = self._told_at = now
        waited_s = now - self._outside_since
        if waited_s > settings.join_timeout_s:
            raise NotAMember(
                f"group {settings.group_id} has not taken this member in within {waited_s:.0f} s"
            )
        if now - self._told_at > TELL_AFTER_S:
            self._told_at = now
            name, limit_s = settings.transactional_id, settings.join_timeout_s
            log.info(
                "%s: waiting for group %s (%s), at most %g s", name, settings.group_id, found.state, limit_s
            )

    def _pause_or_resume(self) -> None:
        assert self._consumer is not None
        wanted = self._handler.full()
        if wanted:
            self._consumer.pause(*self._consumer.assignment())
        elif self._paused:
            self._consumer.resume(*self._consumer.paused())
        self._paused = wanted

    def _follow_changes(self) -> set[int]:
        """Tell the handler what came and went; returns the partitions restored now."""
        fresh: set[int] = set()
        for what, partition in self._changes.drain():
            if partition in self._owned:
                self._owned.discard(partition)
                self._handler.revoked(partition)
                fresh.discard(partition)
            if what == "assigned":
                self._restore(partition)
                fresh.add(partition)
        return fresh

    def _restore(self, partition: int) -> None:
        consumer = self._consumer
        assert consumer is not None
        where = TopicPartition(self._settings.topic, partition)
        committed = self._wait(
            COMMITTED_LIMIT_S + 1.0,
            f"the committed offset of partition {partition}",
            lambda: consumer.committed(where, metadata=True, timeout_ms=int(COMMITTED_LIMIT_S * 1000)),
        )
        if committed is None or committed.offset < 0:
            offset, metadata = None, ""
            consumer.seek_to_beginning(where)
        else:
            offset, metadata = committed.offset, committed.metadata or ""
            consumer.seek(where, offset)
        name = self._settings.transactional_id
        log.info("%s: partition %d assigned, committed offset %s", name, partition, offset)
        self._handler.assigned(partition, offset, metadata)
        self._owned.add(partition)

    def _transact_all(self, commits: Iterable[Commit]) -> None:
        for commit in commits:
            self._transact(commit)

    def _transact(self, commit: Commit) -> None:
        """1 begin; 2 outputs; 3 offsets with the group's generation; 4 commit. Abort on any failure.

        The generation is that of the last poll. The client's own forgets it in the background once the group has cast
        this member out (it was frozen, say), and offsets of no generation are taken by the broker without question.
        """
        assert self._producer is not None and self._membership is not None
        producer, limit_s, membership = self._producer, self._settings.transaction_timeout_s, self._membership
        offsets = {
            TopicPartition(self._settings.topic, partition): OffsetAndMetadata(offset, metadata, -1)
            for partition, (offset, metadata) in commit.offsets.items()
        }
        producer.begin_transaction()
        try:
            sent = [
                producer.send(out.topic, out.value, key=out.key.encode(), headers=as_headers(out.headers))
                for out in commit.outputs
            ]
            if offsets:
                self._wait(
                    limit_s,
                    "the offsets in the transaction",
                    lambda: producer.send_offsets_to_transaction(offsets, membership),
                )
            self._wait(limit_s, "the transaction's commit", producer.commit_transaction)
            for delivered in sent:
                delivered.get(timeout=limit_s)
        except Exception:
            self._abort(producer)
            raise

    def _abort(self, producer: KafkaProducer) -> None:
        try:
            self._wait(5.0, "the transaction's abort", producer.abort_transaction)
        except Exception as error:  # whatever it is, the abort must not hide the first cause
            # The next holder of the transactional id, or the broker's own timeout, ends the transaction.
            log.warning("%s: abort did not succeed: %s", self._settings.transactional_id, error)

    def _close(self) -> None:
        for partition in sorted(self._owned):
            self._handler.revoked(partition)
        self._owned.clear()
        self._paused = False
        producer, consumer = self._producer, self._consumer
        self._producer = self._consumer = None
        for name, close in (
            ("producer", lambda: producer and producer.close(timeout=2)),
            ("consumer", lambda: consumer and consumer.close(autocommit=False, timeout_ms=3000)),
        ):
            try:
                self._wait(8.0, f"the {name} to close", close)
            except Exception as error:  # a broken client must not stop the rebuild
                log.warning("%s: closing the %s: %s", self._settings.transactional_id, name, error)

    def _wait(self, limit_s: float, what: str, call: Callable[[], Any]) -> Any:
        return within(limit_s, call, f"{self._settings.transactional_id}: {what}")


def within(limit_s: float, call: Callable[[], Any], what: str = "Kafka") -> Any:
    """Call with a bound on the wait: the client's own transaction calls wait for ever when the broker is gone.

    A wait of over TELL_AFTER_S is told in the log, with ``what`` is waited for. Raises TimeoutError; the abandoned
    call goes on in a daemon thread until its client is closed.
    """
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["result"] = call()
        except BaseException as error:  # carried to the waiting thread
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True, name="bounded-call")
    thread.start()
    thread.join(min(limit_s, TELL_AFTER_S))
    if thread.is_alive() and limit_s > TELL_AFTER_S:
        log.info("waiting for %s, at most %g s", what, limit_s)
        thread.join(limit_s - TELL_AFTER_S)
    if "error" in outcome:
        raise outcome["error"]
    if "result" not in outcome:
        raise TimeoutError(f"{what}: no answer within {limit_s:g} s")
    return outcome["result"]


def _record(record: Any) -> Record:
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=None if record.key is None else bytes(record.key).decode(errors="replace"),
        value=None if record.value is None else bytes(record.value),
        headers={name: bytes(value or b"") for name, value in record.headers or ()},
    )
