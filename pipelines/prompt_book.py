"""What is remembered of a camera's prompts, inside its tracker's checkpoint: who was answered what, and which clips
of late hold the pictures that people may still point at."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from contracts.base import CameraId, Message
from contracts.prompts import PromptAnswer
from operators.types import Clip

log = logging.getLogger(__name__)

ANSWERS_KEPT = 64
HELD_S = 20.0
"""Pictures no older than this, at the newest clip's end, may be pointed at."""
CLIPS_HELD = 32


class Entry(Message):
    """A prompt that was answered: the offset of its newest record, and the first answer, without its masks."""

    offset: int
    answer: PromptAnswer


class HeldClip(Message):
    """A clip whose pictures can still be had: camera time [start_s, end_s) and the name of its evidence."""

    start_s: float
    end_s: float
    evidence_ref: str


class _Book(Message):
    camera_id: CameraId
    epoch: int = -1
    entries: list[Entry] = []
    held: list[HeldClip] = []


@dataclass
class PromptBook:
    """Read from a tracker's notes and put back there: it counts exactly when the clip counts."""

    _book: _Book

    @classmethod
    def of(cls, camera_id: str, notes: dict[str, Any]) -> PromptBook:
        """From a tracker's notes; empty where there are none, or only such as another version wrote."""
        try:
            return cls(_Book.model_validate({"camera_id": camera_id, **notes}))
        except ValidationError as error:
            log.warning("camera %s: what its checkpoint says of prompts is unusable: %s", camera_id, error)
            return cls(_Book(camera_id=camera_id))

    def notes(self) -> dict[str, Any]:
        """Plain JSON values."""
        return self._book.model_dump(mode="json", exclude={"camera_id"}, exclude_none=True)

    def entry(self, prompt_id: str) -> Entry | None:
        return next((e for e in self._book.entries if e.answer.prompt_id == prompt_id), None)

    def note(self, offset: int, answer: PromptAnswer) -> None:
        """A prompt was answered; of a repeated one the first answer stays."""
        known = self.entry(answer.prompt_id)
        first = known.answer if known else answer.model_copy(update={"mask": None, "trail": None})
        others = [e for e in self._book.entries if e.answer.prompt_id != answer.prompt_id]
        entries = [*others, Entry(offset=offset, answer=first)][-ANSWERS_KEPT:]
        self._book = self._book.model_copy(update={"entries": entries})

    def hold(self, clip: Clip, evidence_ref: str) -> None:
        """The clip's pictures may be pointed at from now on; nothing before a cut or another epoch may any more."""
        same = clip.epoch == self._book.epoch
        now = HeldClip(start_s=clip.start_s, end_s=clip.end_s, evidence_ref=evidence_ref)
        held = [*(self._book.held if same else ()), now]
        held = [one for one in held if clip.end_s - one.end_s < HELD_S][-CLIPS_HELD:]
        if clip.closed_by == "scene_cut":
            held = []
        self._book = self._book.model_copy(update={"held": held, "epoch": clip.epoch})

    def since(self, at_s: float, epoch: int) -> list[HeldClip]:
        """The held clips from the one that shows ``at_s`` on; none when that is too long ago."""
        held = self._book.held if epoch == self._book.epoch else []
        if not held or at_s < held[0].start_s:
            return []
        return [clip for clip in held if clip.end_s > at_s]
