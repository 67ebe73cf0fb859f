"""What people ask of the live system: a question about objects, with the answer it got. Written by the gateway."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.base import CameraId, Message
from contracts.narrations import Tokens

MOST_OBJECTS = 8
"""Most objects of one question."""
LONGEST_QUESTION = 1000
"""Characters of one question."""


class Shown(Message):
    """What of one object was shown to the captioner, out of one clip."""

    track_id: str
    clip_id: str
    evidence_ref: str
    frames: list[int] = Field(description="positions in the clip")
    times_s: list[float] = Field(description="camera time of each")


class Answer(Message):
    """What the captioner said, and on what grounds."""

    text: str
    finish: Literal["stop", "length", "cancelled"]
    confidence: float | None = Field(None, ge=0, le=1, description="mean probability of the answer's tokens")
    start_s: float
    end_s: float
    evidence: list[Shown]
    tokens: Tokens = Tokens()
    model: str = ""
    asked: str = Field("", description="the question as the captioner got it, one <region> an object")
    prompt_id: str = Field("", description="which wording was asked, as in narrations")
    prompt_version: str = ""
    stage_s: dict[str, float] = Field(default_factory=dict)
    answered_at: float


class Prompt(Message):
    """A question about live objects, recorded once it is answered. ``<object1>`` in its text is the first track."""

    question_id: str
    kind: Literal["question"] = "question"
    camera_id: CameraId
    track_ids: list[str] = Field(min_length=1, max_length=MOST_OBJECTS)
    text: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    asked_at: float
    answer: Answer
