"""What people ask of the live system, on one topic: questions with their answers, prompts about tracks, their answers.

A question is recorded by the gateway once it is answered. A prompt is written by the gateway when it is asked; the
tracker that has the camera answers it, in the transaction of the clip in which it took effect.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, RootModel, StringConstraints, model_validator

from contracts.base import CameraId, Message, read
from contracts.marks import Mark
from contracts.narrations import Tokens
from contracts.tracks import Rle

MOST_OBJECTS = 8
"""Most objects of one question."""
LONGEST_QUESTION = 1000
"""Characters of one question."""
LONGEST_NAME = 60
"""Characters of a user's name for a track."""
LONGEST_WAIT_S = 60.0
"""Seconds in which a prompt takes effect, or never."""

Deed = Literal["follow", "correct", "rename", "pin", "unpin", "drop"]
_JOINERS = "\u200c\u200d"
"""Invisible, but part of the spelling in several scripts."""


def _plain(name: str) -> str:
    """The name without spaces around it. Raises ValueError for what is not shown as text on one line."""
    for character in name:
        kind = unicodedata.category(character)
        if kind in ("Cc", "Cs", "Co", "Zl", "Zp") or (kind == "Cf" and character not in _JOINERS):
            raise ValueError(f"a name is plain text on one line: U+{ord(character):04X} cannot be in it")
    return name.strip()


PromptId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
TrackId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,160}$")]
TrackName = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_plain)]
"""What a person calls a track; empty for none."""


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


class TrackPrompt(Message):
    """A person's wish about what is followed on one camera.

    ``follow`` what is marked, or ``correct`` the named track by a mark; ``rename``, ``pin``, ``unpin`` or ``drop`` it.
    """

    prompt_id: PromptId
    kind: Deed
    camera_id: CameraId
    track_id: TrackId | None = None
    mark: Mark | None = None
    name: TrackName | None = Field(None, description="rename, or follow under this name; empty: none")
    at_s: float | None = Field(
        None, gt=0, description="camera time of the picture that was marked; none: the newest one"
    )
    asked_at: float
    valid_until: float = Field(description="UTC seconds; later it takes no effect any more")

    @model_validator(mode="after")
    def _complete(self) -> TrackPrompt:
        if (self.kind in ("follow", "correct")) != (self.mark is not None):
            raise ValueError("mark: needed to follow or correct, and for nothing else")
        if (self.kind == "follow") != (self.track_id is None):
            raise ValueError("track_id: needed for all but follow, which has none yet")
        if self.kind == "rename" and self.name is None:
            raise ValueError("name: needed to rename; empty for none")
        if self.name is not None and self.kind not in ("rename", "follow"):
            raise ValueError("name: only to rename or follow")
        if self.kind == "follow" and self.mark is not None and self.mark.points_out_only:
            raise ValueError("mark: to follow something, mark some of it")
        if not 0 < self.valid_until - self.asked_at <= LONGEST_WAIT_S:
            raise ValueError(f"valid_until: within {LONGEST_WAIT_S:.0f} s of asked_at")
        return self


Code = Literal[
    "followed",
    "already_followed",
    "corrected",
    "renamed",
    "pinned",
    "unpinned",
    "dropped",
    "track_unknown",
    "nothing_there",
    "no_room",
    "too_many_pinned",
    "too_old",
    "too_late",
    "too_many_prompts",
    "failed",
]
DONE: frozenset[str] = frozenset(
    {"followed", "already_followed", "corrected", "renamed", "pinned", "unpinned", "dropped"}
)
"""Codes of prompts that took effect; the others say why one did not."""


class Passing(Message):
    """Where an object was on a picture of a moment ago: ``time_s`` is camera time, ``box`` in 0..1 of the picture."""

    time_s: float
    box: tuple[float, float, float, float]
    mask: Rle


class PromptAnswer(Message):
    """What became of a prompt. The first answer to a ``prompt_id`` counts; a repeated prompt is answered by it again.

    ``time_s``, ``box`` and ``mask`` are of the sampled frame on which it took effect. A mark on an earlier picture was
    followed from there: ``trail`` tells where, in the first answer only. No clip holds it: those were told already.
    """

    prompt_id: PromptId
    kind: Literal["answer"] = "answer"
    camera_id: CameraId
    deed: Deed
    code: Code
    words: str = Field("", max_length=500, description="why not, in words")
    track_id: str | None = None
    name: str | None = None
    clip_id: str | None = None
    time_s: float | None = None
    box: tuple[float, float, float, float] | None = None
    mask: Rle | None = None
    trail: list[Passing] | None = Field(None, description="from the marked picture on, before time_s")
    answered_at: float

    @property
    def done(self) -> bool:
        return self.code in DONE


AnyPrompt = Prompt | TrackPrompt | PromptAnswer


class PromptRecord(RootModel[Annotated[AnyPrompt, Field(discriminator="kind")]]):
    """Whatever stands on the prompts topic, told apart by its ``kind``."""

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Any:
        """One of AnyPrompt. Raises InvalidMessage."""
        return read(cls, value).root
