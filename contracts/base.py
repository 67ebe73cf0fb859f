"""What every message has in common: strict validation, camera ids, and how bytes become messages."""

from __future__ import annotations

import re
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

CAMERA_ID_PATTERN = r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$"
CameraId = Annotated[str, StringConstraints(pattern=CAMERA_ID_PATTERN)]


class InvalidMessage(ValueError):
    """Bytes that are not a valid message of the expected schema; the text says which field and why."""


class Message(BaseModel):
    """A message on a topic: JSON, unknown fields refused, times in UTC seconds since 1970 unless named otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants", allow_inf_nan=False)

    def to_bytes(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Self:
        """Parse one message. Raises InvalidMessage with a one-line cause."""
        return read(cls, value)


Kind = TypeVar("Kind", bound=BaseModel)


def read(kind: type[Kind], value: bytes | None) -> Kind:
    """JSON bytes as a model of that kind. Raises InvalidMessage with a one-line cause."""
    if value is None:
        raise InvalidMessage(f"{kind.__name__}: empty message")
    try:
        return kind.model_validate_json(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise InvalidMessage(f"{kind.__name__}: {where}: {first['msg']}") from None


def is_camera_id(text: str) -> bool:
    """Whether the text can name a camera: lower-case letters, digits, '-' and '_', at most 64 characters."""
    return re.fullmatch(CAMERA_ID_PATTERN, text) is not None
