"""Prompts that wait for the clip in which they take effect: fed by whoever reads their topic, asked by the tracker."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

from contracts.base import InvalidMessage
from contracts.prompts import PromptAnswer, PromptRecord, TrackPrompt

log = logging.getLogger(__name__)

PROMPTS_KEPT = 64
"""Of one camera."""
CAMERAS_KEPT = 1024
FORGET_AFTER_S = 60.0
"""After it is too late for a prompt."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, and the offset of its record: a prompt sent twice has two."""

    prompt: TrackPrompt
    offset: int


class PromptInbox:
    """Bounded; safe for one thread that feeds it and another that asks. Of each camera the oldest prompts stay.

    Every tracker replica reads the prompts of all cameras and asks for those of the cameras that it has.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cameras: OrderedDict[str, list[Asked]] = OrderedDict()

    def take(self, value: bytes | None, offset: int, now_s: float) -> None:
        """One record of the prompts topic. Answers take out what they answer; questions are no prompts."""
        try:
            record = PromptRecord.from_bytes(value)
        except InvalidMessage as error:
            log.warning("prompts topic: ignoring the record at offset %d: %s", offset, error)
            return
        if isinstance(record, TrackPrompt):
            self._add(Asked(record, offset), now_s)
        elif isinstance(record, PromptAnswer):
            self.forget(record.camera_id, record.prompt_id)

    def of(self, camera_id: str) -> list[Asked]:
        """The camera's prompts that are not known to be answered, in the order of asking."""
        with self._lock:
            return list(self._cameras.get(camera_id, ()))

    def _add(self, asked: Asked, now_s: float) -> None:
        camera_id = asked.prompt.camera_id
        if now_s > asked.prompt.valid_until + FORGET_AFTER_S:
            return
        with self._lock:
            waiting = self._cameras.pop(camera_id, [])
            waiting = [a for a in waiting if now_s <= a.prompt.valid_until + FORGET_AFTER_S]
            if len(waiting) < PROMPTS_KEPT and all(a.offset != asked.offset for a in waiting):
                waiting.append(asked)
            self._cameras[camera_id] = waiting
            while len(self._cameras) > CAMERAS_KEPT:
                self._cameras.popitem(last=False)

    def forget(self, camera_id: str, prompt_id: str) -> None:
        with self._lock:
            waiting = [a for a in self._cameras.get(camera_id, ()) if a.prompt.prompt_id != prompt_id]
            if waiting:
                self._cameras[camera_id] = waiting
            else:
                self._cameras.pop(camera_id, None)
