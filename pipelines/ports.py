"""Ports through which pipelines reach the world; ``services.adapters`` makes them real, ``tests.fakes`` imitates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
class CaptionRequest:
    """One question about one region: pictures RGB uint8 [T, H, W, 3], masks bool [T, h, w] of the same view."""

    request_id: str
    pictures: np.ndarray
    masks: np.ndarray
    question: str
    max_new_tokens: int = 48
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaptionChunk:
    """A piece of an answer. ``text`` is the answer so far; the last chunk has ``final`` set and the counts."""

    text: str
    final: bool = False
    confidence: float | None = None
    prompt_tokens: int = 0
    object_tokens: int = 0
    output_tokens: int = 0
    model: str = ""


class CaptionerUnavailable(RuntimeError):
    """The captioner did not answer in time; the same request may succeed later."""


class Captioner(Protocol):
    """Answers questions about regions, streaming text as it is decoded."""

    def describe(self, request: CaptionRequest) -> Iterator[CaptionChunk]:
        """Raises CaptionerUnavailable; ValueError when the request itself is refused."""
        ...
