"""A camera's wanted state: what a person subscribed. Written by the gateway and CLI, read by ingest."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, StringConstraints

from contracts.base import CameraId, Message

Style = Literal["short", "detailed"]
"""How much a narration says: one plain clause, or all that is known."""
MemoryPolicy = Literal["official", "skip-absent", "quality", "motion", "distractor"]
"""What the tracker remembers of an object from one picture to the next; docs/tracking.md tells them apart."""
MOST_WORDS, LONGEST_WORD = 20, 60
Word = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=LONGEST_WORD, pattern=r"^[^,\x00-\x1f\x7f]+$"
    ),
]
"""What somebody looks for, as a detector may call it: person, fire hydrant."""
Words = Annotated[tuple[Word, ...], Field(max_length=MOST_WORDS)]
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)]
"""A language tag as in BCP 47: de, pt-BR."""
LONGEST_INSTRUCTION = 500
"""Characters of a camera's own instruction."""


class CameraSettings(Message):
    """One camera on ``streamrefer.cameras.v1`` (compacted; a null value removes the camera)."""

    camera_id: CameraId
    source: str = Field(min_length=1, max_length=2048, description="RTSP, HTTP(S), HLS address or file path")
    wanted: Literal["running", "paused"] = "running"
    loop: bool = Field(False, description="files only: start again at the end, for ever")
    realtime: bool = Field(True, description="files only: pace packets by their timestamps")
    sample_fps: float = Field(4.0, gt=0, le=30, description="frames a second given to the models")
    memory_policy: MemoryPolicy | None = Field(
        None, description="what the tracker remembers of objects; the tracker's own setting if none"
    )
    find: Words | None = Field(
        None, description="names of what is followed, and of nothing else; needs a detector"
    )
    style: Style = Field("detailed", description="how much each narration says")
    instruction: str | None = Field(
        None,
        max_length=LONGEST_INSTRUCTION,
        description="what to look for, in words; for captioners that follow instructions",
    )
    language: Language | None = Field(
        None, description="of the instruction and of its answers; English if none"
    )
    created_at: float = Field(description="UTC seconds")

    def same_stream(self, other: CameraSettings) -> bool:
        """Whether both ask for the same video: changes of wording, memory and finding do not touch a connection."""
        return self.model_copy(update=_beside_the_stream(other)) == other

    @property
    def masked_source(self) -> str:
        """The source without its password, fit for logs, pages and errors."""
        return mask_credentials(self.source)


def _beside_the_stream(camera: CameraSettings) -> dict[str, object]:
    """What may change while the camera's video goes on."""
    names = ("style", "instruction", "language", "memory_policy", "find")
    return {name: getattr(camera, name) for name in names}


def mask_credentials(source: str) -> str:
    """Hide the user's password and query values of an address; file paths are returned as they are.

    Of an address that cannot be taken apart (a password with "/" in it, say) only the scheme is shown.
    """
    if "://" not in source:
        return source
    try:
        parts = urlsplit(source)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return f"{source.partition('://')[0]}://***"
    if ":" in host:
        host = f"[{host}]"
    user = f"{parts.username}:***@" if parts.username else ""
    query = "***" if parts.query else ""
    return urlunsplit((parts.scheme, f"{user}{host}{port}", parts.path, query, ""))
