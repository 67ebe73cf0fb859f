"""People's prompts, read from their topic by a thread into a tracker's inbox.

Every replica reads the whole topic, which is small: which cameras are its own may change at any moment, and a prompt
must be there when the camera comes.
"""

from __future__ import annotations

import logging
import threading
import time

from kafka import KafkaConsumer, TopicPartition

from contracts import topics
from contracts.prompts import LONGEST_WAIT_S
from pipelines.inbox import FORGET_AFTER_S, PromptInbox
from services.adapters.kafka import KafkaConnection, committed_consumer

log = logging.getLogger(__name__)

LOOK_BACK_S = LONGEST_WAIT_S + FORGET_AFTER_S
"""Older prompts take no effect any more."""
RETRY_S = 2.0


class PromptReader:
    """Feeds an inbox until stopped. While the broker is away nothing new comes; afterwards nothing is missing."""

    def __init__(self, where: str | KafkaConnection, inbox: PromptInbox) -> None:
        self._where, self._inbox = where, inbox
        self._read_once = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prompt-reader", daemon=True)

    def start(self, timeout_s: float = 10.0) -> None:
        """Begin to read; returns when what is there has been read, or after the time given."""
        self._thread.start()
        if not self._read_once.wait(timeout_s):
            log.warning("the prompts topic is not read yet: clips are tracked without prompts until then")

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Exception:  # the broker may be away for long
                log.exception("the prompts topic is read anew in %.0f s", RETRY_S)
                self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        consumer = committed_consumer(self._where, max_poll_records=200)
        try:
            ends = _seek(consumer)
            while not self._stopping.is_set():
                for records in consumer.poll(timeout_ms=200).values():
                    for record in records:
                        self._inbox.take(record.value, record.offset, time.time())
                if all(consumer.position(part) >= end for part, end in ends.items()):
                    self._read_once.set()
        finally:
            consumer.close()


def _seek(consumer: KafkaConsumer) -> dict[TopicPartition, int]:
    """Take all partitions from LOOK_BACK_S ago on; returns where each ends now."""
    parts = [TopicPartition(topics.PROMPTS, p) for p in consumer.partitions_for_topic(topics.PROMPTS) or ()]
    if not parts:
        raise RuntimeError(f"no topic {topics.PROMPTS}")
    consumer.assign(parts)
    found = consumer.offsets_for_times({part: int((time.time() - LOOK_BACK_S) * 1000) for part in parts})
    ends = consumer.end_offsets(parts)
    for part in parts:
        consumer.seek(part, found[part].offset if found.get(part) else ends[part])
    return ends
