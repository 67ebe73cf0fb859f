"""Kafka: connections, topics, the idempotent publisher and consumers of committed records.

The transactional worker loop is in ``services.adapters.worker``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, TopicAlreadyExistsError

from contracts.topics import TOPICS, Topic
from pipelines.ports import PublisherFull

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 1_500_000


class KafkaUnavailable(RuntimeError):
    """The broker did not answer in time."""


@dataclass(frozen=True)
class KafkaConnection:
    """How to reach a Kafka cluster. ``security`` holds SASL and TLS options of kafka-python, passed on as they are
    (``security_protocol``, ``sasl_mechanism``, ``sasl_plain_username``, ``ssl_cafile`` ...)."""

    bootstrap: str
    security: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.bootstrap.split(","), **self.security}


def connection_of(where: str | KafkaConnection) -> KafkaConnection:
    """Accept a bare ``host:port[,host:port]`` for a connection without security."""
    return KafkaConnection(where) if isinstance(where, str) else where


def ensure_topics(
    where: str | KafkaConnection, topics: Iterable[Topic] = TOPICS, timeout_s: float = 30.0
) -> list[str]:
    """Create the topics that are missing and wait until each has leaders; returns the names created.

    Several processes may do so at once. Existing topics are left as they are. Raises KafkaUnavailable.
    """
    wanted = list(topics)
    try:
        admin = KafkaAdminClient(bootstrap_timeout_ms=int(timeout_s * 1000), **connection_of(where).options())
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka at {connection_of(where).bootstrap}: {error}") from error
    try:
        existing = set(admin.list_topics())
        created = [topic.name for topic in wanted if topic.name not in existing and _create(admin, topic)]
        admin.wait_for_topics([topic.name for topic in wanted], timeout_ms=int(timeout_s * 1000))
        return created
    finally:
        admin.close()


def _create(admin: KafkaAdminClient, topic: Topic) -> bool:
    spec = {"num_partitions": topic.partitions, "replication_factor": -1, "configs": topic.config()}
    try:
        admin.create_topics({topic.name: spec})
    except TopicAlreadyExistsError:
        return False
    return True


def as_headers(headers: Mapping[str, bytes] | None) -> list[tuple[str, bytes]]:
    return list((headers or {}).items())


class KafkaPublisher:
    """The Publisher port: idempotent, acknowledged by all replicas, with a bounded number of records in flight.

    Records of one key keep their order. ``publish`` waits up to ``patience_s`` for room and then raises
    PublisherFull. A record that could not be delivered within ``delivery_timeout_s`` fails its future.
    """

    def __init__(
        self,
        where: str | KafkaConnection,
        max_in_flight: int = 64,
        patience_s: float = 5.0,
        delivery_timeout_s: float = 60.0,
        linger_ms: int = 0,
    ) -> None:
        self._room = threading.BoundedSemaphore(max_in_flight)
        self._patience_s = patience_s
        self._producer = KafkaProducer(
            acks="all",
            enable_idempotence=True,
            linger_ms=linger_ms,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=min(10_000, int(delivery_timeout_s * 1000)),
            delivery_timeout_ms=int(delivery_timeout_s * 1000),
            max_block_ms=int(patience_s * 1000),
            allow_auto_create_topics=False,
            **connection_of(where).options(),
        )

    def publish(
        self, topic: str, key: str, value: bytes | None, headers: Mapping[str, bytes] | None = None
    ) -> Future:
        """Take one record. The future's result is (partition, offset)."""
        if not self._room.acquire(timeout=self._patience_s):
            raise PublisherFull(f"{topic}: no room for another record within {self._patience_s:g} s")
        delivered: Future = Future()
        try:
            sent = self._producer.send(topic, value, key=key.encode(), headers=as_headers(headers))
        except KafkaError as error:  # not taken: the broker is away or too slow for our patience
            self._room.release()
            raise PublisherFull(f"{topic}: {error}") from error
        except BaseException:
            self._room.release()
            raise
        sent.add_callback(self._succeeded, delivered)
        sent.add_errback(self._failed, delivered)
        return delivered

    def flush(self, timeout_s: float) -> None:
        """Wait for every record taken so far; raises TimeoutError."""
        try:
            self._producer.flush(timeout_s)
        except KafkaError as error:
            raise TimeoutError(f"Kafka took not every record within {timeout_s:g} s: {error}") from error

    def close(self, timeout_s: float = 5.0) -> None:
        try:
            self._producer.close(timeout=timeout_s)
        except KafkaError as error:
            log.warning("publisher closed with records undelivered: %s", error)

    def _succeeded(self, delivered: Future, metadata: Any) -> None:
        self._room.release()
        delivered.set_result((metadata.partition, metadata.offset))

    def _failed(self, delivered: Future, error: BaseException) -> None:
        self._room.release()
        delivered.set_exception(error)


class GroupConsumer(KafkaConsumer):
    """A consumer that awaits every join it has begun.

    kafka-python 3.0.12 sends a JoinGroup in the background and takes up its answer in a later poll, but only while
    it still sees a reason to join. A leader that joins because it learned of the topic's partitions (each new group
    does, a moment after its first join) loses that reason when it hands out partitions: if a poll ends in between, the
    answer is never taken up. Such a member has no partition, sends no heartbeat, and nothing wakes it for minutes.
    """

    def poll(self, *arguments: Any, **options: Any) -> Any:
        # Not public: the lock pins the version, and a test shows that it helps.
        if self._coordinator.rejoining:
            self._coordinator.request_rejoin()
        return super().poll(*arguments, **options)


def committed_consumer(
    where: str | KafkaConnection,
    group_id: str | None = None,
    *,
    from_start: bool = True,
    session_timeout_s: float = 10.0,
    max_poll_records: int = 16,
    **options: Any,
) -> GroupConsumer:
    """A consumer that sees committed records only, and commits nothing by itself.

    With ``group_id`` it is a member of that group (cooperative rebalancing); without, assign partitions by hand.
    ``options`` are kafka-python's and win over the defaults here.
    """
    settings: dict[str, Any] = {
        "group_id": group_id,
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest" if from_start else "latest",
        "session_timeout_ms": int(session_timeout_s * 1000),
        "heartbeat_interval_ms": int(session_timeout_s * 1000 / 4),
        "max_poll_records": max_poll_records,
        "max_partition_fetch_bytes": 2_000_000,
        "fetch_max_bytes": 8_000_000,
        "fetch_max_wait_ms": 100,
        "allow_auto_create_topics": False,
        "partition_assignment_strategy": (CooperativeStickyAssignor,),
    }
    return GroupConsumer(**{**settings, **connection_of(where).options(), **options})


def transactional_producer(
    where: str | KafkaConnection, transactional_id: str, transaction_timeout_s: float = 15.0
) -> KafkaProducer:
    """A producer whose records count only when their transaction commits; a former holder of the id is fenced."""
    return KafkaProducer(
        transactional_id=transactional_id,
        transaction_timeout_ms=int(transaction_timeout_s * 1000),
        delivery_timeout_ms=int(transaction_timeout_s * 1000),
        request_timeout_ms=10_000,
        max_block_ms=int(transaction_timeout_s * 1000),
        retry_backoff_ms=20,  # the next transaction is refused for a moment while the last one's markers are written
        max_request_size=MAX_REQUEST_BYTES,
        acks="all",
        allow_auto_create_topics=False,
        **connection_of(where).options(),
    )
