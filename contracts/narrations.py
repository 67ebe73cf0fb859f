"""What the narrator says about tracks, and the tokens on the way there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.base import CameraId, Message
from contracts.cameras import Style

Kind = Literal["new", "update", "correction", "lost", "found", "heartbeat", "silent"]


class Tokens(Message):
    """How many tokens went in and out. A prompt is ``anchor`` and ``body`` (what is shown of whole frames, densely
    and coarsely), ``object`` and ``text``; models that look at objects only have no scene tokens."""

    prompt: int = 0
    object: int = 0
    output: int = 0
    text: int = 0
    anchor: int = 0
    body: int = 0
    dropped: int = Field(0, description="scene tokens left out because nothing had changed there")


class Narration(Message):
    """A final narration, or the decision not to speak (kinds ``heartbeat`` and ``silent``, no text).

    ``narration_id`` is derived from track, clip and revision: a replay writes the same id. ``revision`` is 0 but for
    a correction, which has one more than the narration that it ``supersedes``.
    """

    narration_id: str
    revision: int = Field(0, ge=0)
    supersedes: str | None = None
    kind: Kind
    camera_id: CameraId
    epoch: int
    track_ids: list[str] = Field(min_length=1)
    clip_id: str
    text: str | None = None
    label: str | None = Field(None, description="what it is, in a few words: 'red car'")
    name: str | None = Field(None, description="what a person calls it, as plain text")
    heard_label: str | None = Field(
        None, description="what the captioner called it, where that is not (yet) believed"
    )
    start_s: float
    end_s: float
    evidence_ref: str | None = None
    evidence_frames: list[int] = Field(default_factory=list, description="positions in the clip")
    crop_ref: str | None = None
    confidence: float | None = Field(None, ge=0, le=1)
    reason: str | None = Field(None, description="why it was said, or not")
    tokens: Tokens = Tokens()
    model: str = ""
    prompt_id: str = Field("", description="which wording was asked: a known question, or instruction-HASH")
    prompt_version: str = Field("", description="rises with any change of that wording")
    style: Style | None = Field(None, description="as the camera's settings wanted it")
    stage_s: dict[str, float] = Field(default_factory=dict)
    delay_s: float | None = Field(None, description="camera time of the last evidence frame to publication")
    published_at: float


class Partial(Message):
    """Text so far of a narration being decoded; may be lost or repeated. ``seq`` rises with each token."""

    narration_id: str
    camera_id: CameraId
    track_id: str
    seq: int
    text: str
    kind: Kind
    name: str | None = Field(None, description="what a person calls it, as plain text")
    start_s: float
    end_s: float


def narration_id(track_id: str, clip_id: str, revision: int = 0) -> str:
    return f"{track_id}@{clip_id}.r{revision}"
