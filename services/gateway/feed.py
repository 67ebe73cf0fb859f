"""What happens on the result topics, kept for a short while and handed to everyone who listens.

One thread reads the topics (committed records only), from a little before now. Listeners get every event from
their place on; the ring of past events lets a listener who lost its connection go on where it was.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

from kafka import TopicPartition

from contracts import topics
from contracts.base import InvalidMessage, Message
from contracts.cameras import CameraSettings
from contracts.clips import ClipRecord
from contracts.events import CameraStateChanged
from contracts.prompts import PromptAnswer
from contracts.tracks import TrackUpdate
from pipelines.recent import RecentClips
from services.adapters.kafka import committed_consumer

log = logging.getLogger("streamrefer.gateway")

EVENT_NAMES = {
    topics.CAMERA_STATES: "camera.state",
    topics.CLIPS: "clip",
    topics.TRACKS: "track",
    topics.EVENTS: "track.event",
    topics.GAPS: "gap",
    topics.NARRATIONS: "narration",
    topics.PARTIALS: "partial",
    topics.PROMPTS: "prompt",
}
ANSWER_EVENT = "prompt.answer"
PROMPT_EVENTS = {"question": "question", "answer": ANSWER_EVENT}
"""By kind; all other records of the prompts topic are prompts."""
MESSAGES = {topic.name: topic.message for topic in topics.TOPICS}
RING_EVENTS = 4000
LISTENER_EVENTS = 2000
LOOK_BACK_S = 300.0
ANSWERS_KEPT = 2000


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event for listeners. ``number`` rises by one; with ``Feed.name`` it makes the SSE id."""

    number: int
    name: str
    camera_id: str
    data: str  # the message as JSON


class Feed:
    """Reads topics on a thread; ``listen`` from asyncio. Memory is bounded by the ring and the listeners' queues."""

    def __init__(self, bootstrap: str, loop: asyncio.AbstractEventLoop) -> None:
        self.bootstrap, self.loop = bootstrap, loop
        self.name = f"{int(time.time()):x}"
        self.ring: deque[FeedEvent] = deque(maxlen=RING_EVENTS)
        self.cameras: dict[str, CameraSettings] = {}
        self.states: dict[str, CameraStateChanged] = {}
        self.tracked_until_s: OrderedDict[str, float] = OrderedDict()
        self.recent = RecentClips()
        self.answers: OrderedDict[tuple[str, str], PromptAnswer] = OrderedDict()  # by camera and prompt id
        self.ready = threading.Event()
        self.failure: str | None = None
        self._listeners: set[asyncio.Queue[FeedEvent | None]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        self._thread.join(timeout_s)

    def alive(self) -> bool:
        return self._thread.is_alive() and self.failure is None

    def listen(self, after: int | None) -> tuple[list[FeedEvent], asyncio.Queue[FeedEvent | None]]:
        """Past events after number ``after`` (none when None), and a queue of those to come; None ends it."""
        queue: asyncio.Queue[FeedEvent | None] = asyncio.Queue(LISTENER_EVENTS)
        past = [] if after is None else [event for event in self.ring if event.number > after]
        self._listeners.add(queue)
        return past, queue

    def leave(self, queue: asyncio.Queue[FeedEvent | None]) -> None:
        self._listeners.discard(queue)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except Exception as error:  # the broker may be away for a while; listeners stay, health tells
                self.failure = f"{type(error).__name__}: {error}"
                log.exception("feed starts anew in 1 s")
                self._stopping.wait(1.0)

    def _read(self) -> None:
        consumer = committed_consumer(self.bootstrap, max_poll_records=500)
        try:
            wanted = [*EVENT_NAMES, topics.CAMERAS]
            parts = [TopicPartition(t, p) for t in wanted for p in consumer.partitions_for_topic(t) or ()]
            consumer.assign(parts)
            self._seek(consumer, parts)
            self.failure = None
            while not self._stopping.is_set():
                batch = [record for records in consumer.poll(timeout_ms=100).values() for record in records]
                for record in sorted(batch, key=lambda r: r.timestamp):
                    self._take(record.topic, record.key, record.value)
                if not batch:
                    self.ready.set()
        finally:
            consumer.close()

    def _seek(self, consumer, parts: list[TopicPartition]) -> None:
        since_ms = int((time.time() - LOOK_BACK_S) * 1000)
        found = consumer.offsets_for_times({p: since_ms for p in parts if p.topic in EVENT_NAMES})
        ends = consumer.end_offsets(parts)
        for part in parts:
            whole = part.topic in (topics.CAMERAS, topics.CAMERA_STATES)
            place = found.get(part)
            consumer.seek(part, 0 if whole else place.offset if place else ends[part])
        for part in [p for p in parts if p.topic in (topics.CAMERAS, topics.CAMERA_STATES)]:
            consumer.seek_to_beginning(part)

    def _take(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        camera_id = (key or b"").decode(errors="replace")
        if topic == topics.CAMERAS and not value:
            self.cameras.pop(camera_id, None)
            self.recent.forget(camera_id)
            return
        try:
            message = MESSAGES[topic].from_bytes(value)
        except InvalidMessage as error:
            log.warning("topic=%s camera=%s unreadable: %s", topic, camera_id, error)
            return
        self._note(topic, camera_id, message)
        if topic in EVENT_NAMES:
            event = (event_name(topic, message), camera_id, message.model_dump_json(exclude_none=True))
            self.loop.call_soon_threadsafe(self._tell, *event)

    def _note(self, topic: str, camera_id: str, message: Message) -> None:
        if isinstance(message, CameraSettings):
            self.cameras[camera_id] = message
        elif isinstance(message, CameraStateChanged):
            self.states[camera_id] = message
        elif isinstance(message, TrackUpdate):
            self.recent.track(message)
        elif topic in (topics.CLIPS, topics.GAPS):
            self.tracked_until_s[camera_id] = max(message.end_s, self.tracked_until_s.get(camera_id, 0.0))
        if isinstance(message, ClipRecord):
            self.recent.clip(message)
        if isinstance(message, PromptAnswer):
            kept = message.model_copy(update={"trail": None})  # large, and of use for a moment only
            self.answers.setdefault((camera_id, message.prompt_id), kept)
            while len(self.answers) > ANSWERS_KEPT:
                self.answers.popitem(last=False)

    def _tell(self, name: str, camera_id: str, data: str) -> None:
        number = self.ring[-1].number + 1 if self.ring else 1
        event = FeedEvent(number, name, camera_id, data)
        self.ring.append(event)
        for queue in list(self._listeners):
            if queue.full():
                self._let_go(queue)
            else:
                queue.put_nowait(event)

    def _let_go(self, queue: asyncio.Queue[FeedEvent | None]) -> None:
        self._listeners.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


def event_name(topic: str, message: Message) -> str:
    """What listeners know a message by."""
    if topic != topics.PROMPTS:
        return EVENT_NAMES[topic]
    return PROMPT_EVENTS.get(getattr(message, "kind", ""), EVENT_NAMES[topic])
