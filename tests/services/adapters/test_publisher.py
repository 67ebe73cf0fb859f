"""The publisher refuses in its own words what the broker does not take."""

from __future__ import annotations

import uuid

import pytest

from pipelines.ports import PublisherFull
from services.adapters.kafka import KafkaPublisher


def test_a_record_that_the_broker_does_not_take_in_time_is_refused_and_leaves_its_room(kafka: str) -> None:
    topic = f"nowhere-{uuid.uuid4().hex[:8]}"
    publisher = KafkaPublisher(kafka, max_in_flight=1, patience_s=0.05)
    for _ in range(2):
        with pytest.raises(PublisherFull, match=f"^{topic}: (?!no room)"):
            publisher.publish(topic, "key", b"value")
    publisher.close()
