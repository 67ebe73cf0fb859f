"""Ports of the pipelines to the world: ``services.adapters`` makes them real, ``tests.fakes`` imitates them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class ObjectMissing(KeyError):
    """The object store has no object of that name."""


class StoreUnavailable(RuntimeError):
    """The object store did not answer within its retries; the same call may succeed later."""


class PublisherFull(RuntimeError):
    """Too many records wait for the broker; the newest one was not taken."""


class Clock(Protocol):
    """UTC seconds since 1970, and sleeping that a test can skip."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class Publisher(Protocol):
    """Publishes records one by one, in order for each key, each exactly once while the publisher lives."""

    def publish(
        self, topic: str, key: str, value: bytes | None, headers: Mapping[str, bytes] | None = None
    ) -> Future:
        """Take one record; the future ends when the broker has it. Raises PublisherFull."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Wait until every record taken so far is delivered; raises TimeoutError."""
        ...


class ObjectStore(Protocol):
    """Whole objects by name. Names are relative to one bucket; putting a name again replaces the object."""

    def put(self, name: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        """Raises StoreUnavailable."""
        ...

    def get(self, name: str) -> bytes:
        """Raises ObjectMissing, StoreUnavailable."""
        ...

    def exists(self, name: str) -> bool: ...

    def delete(self, name: str) -> None:
        """Deleting a name that is not there is no error."""
        ...

    def list(self, prefix: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Record:
    """A consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Output:
    """A record to be written."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction: outputs, and for each partition the next offset to consume with its metadata."""

    outputs: tuple[Output, ...]
    offsets: Mapping[int, tuple[int, str]]


class Handler(Protocol):
    """The work of a transactional consumer. All methods are called from one thread, never two at once.

    Iterables may be generators: each Commit is committed before the next one is asked for, and the generator goes
    on only when its commit is done. An exception anywhere means: everything since the last commit is done again.
    """

    def assigned(self, partition: int, offset: int | None, metadata: str) -> None:
        """The partition is ours from the committed offset on (None: nothing committed yet)."""
        ...

    def revoked(self, partition: int) -> None:
        """The partition is no longer ours: forget its state, commit nothing."""
        ...

    def handle(self, record: Record) -> Iterable[Commit]:
        """Take one record; whatever is complete now leaves as commits."""
        ...

    def tick(self) -> Iterable[Commit]:
        """Called between polls: work finished elsewhere, or overdue."""
        ...

    def full(self) -> bool:
        """True while no more records can be taken: the partitions are paused."""
        ...


@dataclass(frozen=True, slots=True)
class ClipScene:
    """Which clip the pictures are of, so that its objects can share work, and how much of it the model is shown.

    ``previous`` names the clip of the same scene that was asked about before (empty: none); ``begin_s`` is the
    camera time at which the request's clock starts; ``compression`` is one of the captioner's own names.
    """

    camera_id: str
    clip_id: str
    previous: str = ""
    begin_s: float = 0.0
    compression: str = "published"


@dataclass(frozen=True, slots=True)
class CaptionRequest:
    """A question about the regions it marks with ``<region>``, one for each object, in order.

    ``pictures`` are RGB uint8 [T, H, W, 3] at ``times_s`` (float32 [T], seconds from the clip's first frame).
    ``masks`` are bool [M, h, w], each over the same view as picture ``mask_frames[m]`` and of the object
    ``objects[m]``; grouped by object and rising in time. ``questions`` tells for which kind of captioner it was worded:
    ``own``, one that knows certain questions, or ``any``, one that follows instructions (empty: whichever).
    """

    request_id: str
    pictures: np.ndarray
    times_s: np.ndarray
    masks: np.ndarray
    mask_frames: tuple[int, ...]
    objects: tuple[int, ...]
    question: str
    max_new_tokens: int = 48
    deadline_s: float = 20.0
    scene: ClipScene | None = None
    questions: str = ""


@dataclass(frozen=True, slots=True)
class CaptionAnswer:
    """The whole answer with its price. ``pieces`` and ``probabilities`` run in step with the tokens."""

    text: str
    pieces: tuple[str, ...]
    probabilities: tuple[float, ...]
    finish: str  # "stop", "length" or "cancelled"
    prompt_tokens: int = 0
    object_tokens: int = 0
    model: str = ""
    stage_s: Mapping[str, float] = field(default_factory=dict)
    budget: Mapping[str, int] = field(default_factory=dict)  # prompt tokens by part; see contracts.narrations


class CaptionerUnavailable(RuntimeError):
    """The captioner did not answer in time; the same request may succeed later."""


class CaptionRefused(ValueError):
    """The captioner will never answer this request; the text says why."""


class Captioner(Protocol):
    """Answers questions about regions, streaming text as it is decoded."""

    def describe(
        self, request: CaptionRequest, on_token: Callable[[str, float], bool] | None = None
    ) -> CaptionAnswer:
        """``on_token`` gets each piece of text with its probability and returns False to cancel the rest.

        Raises CaptionerUnavailable and CaptionRefused.
        """
        ...
