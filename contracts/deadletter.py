"""Input that could not be used: its cause, where it came from, and the bytes themselves (cut to a limit)."""

from __future__ import annotations

from pydantic import Base64Bytes, Field

from contracts.base import Message

VALUE_LIMIT_BYTES = 64_000


class DeadLetter(Message):
    """``value`` holds at most VALUE_LIMIT_BYTES of the original record."""

    letter_id: str = Field(description="topic-partition-offset of the original")
    topic: str
    partition: int
    offset: int
    key: str | None = None
    cause: str = Field(max_length=1000)
    met_by: str
    at_s: float
    value: Base64Bytes = b""
    value_bytes: int = 0
