"""The embedded broker: real Apache Kafka, its settings, and what it keeps over a restart."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from services.engines.errors import EngineError
from services.engines.kafka import check_kafka, verify_jars
from services.engines.stack import running_stack


def _create(bootstrap: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()


def _send(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    for value in values:
        producer.send(topic, value).get(timeout=30)
    producer.close()


def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    values = [record.value for _, record in zip(range(count), consumer, strict=False)]
    consumer.close()
    return values


def test_what_is_sent_is_read(kafka: str) -> None:
    topic = f"test.{uuid.uuid4().hex}"
    _create(kafka, topic)
    _send(kafka, topic, b"one", b"two")
    assert _read(kafka, topic, 2) == [b"one", b"two"]


@pytest.mark.connected
@pytest.mark.slow
def test_a_second_start_goes_on_with_the_same_records_even_on_other_ports(tmp_path: Path) -> None:
    with running_stack(tmp_path, engines={"kafka"}) as first:
        address = first.settings.kafka_bootstrap
        _create(address, "kept")
        _send(address, "kept", b"before")
    with running_stack(tmp_path, engines={"kafka"}) as second:
        assert second.settings.kafka_bootstrap == address
    with running_stack(
        tmp_path, engines={"kafka"}, ports={"kafka": 31_987, "kafka_controller": 31_986}
    ) as moved:
        assert moved.settings.kafka_bootstrap == "127.0.0.1:31987"
        _send("127.0.0.1:31987", "kept", b"after")
        assert _read("127.0.0.1:31987", "kept", 2) == [b"before", b"after"]


def test_a_closed_address_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        check_kafka("127.0.0.1:9", timeout_ms=300)


def test_a_changed_jar_is_refused(tmp_path: Path) -> None:
    jar = tmp_path / "kafka.jar"
    jar.write_bytes(b"not what was published")
    with pytest.raises(EngineError, match="damaged"):
        verify_jars([jar], "0" * 64 + "  kafka.jar\n")


def test_a_missing_jar_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"log4j\.jar"):
        verify_jars([], "0" * 64 + "  log4j.jar\n")
