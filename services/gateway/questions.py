"""The route that answers questions about live objects: ``POST /v1/cameras/{id}:ask``.

A few questions are answered at once, each with its own stream to the captioner; more are told to come again. The
narrator's requests and these share the captioner's queue, so a question waits its turn like a sentence.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contracts import topics
from contracts.prompts import LONGEST_QUESTION, MOST_OBJECTS, Prompt
from modeling.pixelrefer.profile import Profile
from pipelines.answering import Answering, AnsweringSettings, Asked, QuestionRefused
from pipelines.ports import (
    CaptionerUnavailable,
    CaptionRefused,
    ObjectStore,
    Publisher,
    PublisherFull,
    StoreUnavailable,
)
from pipelines.recent import NoEvidence, RecentClips
from services.adapters.clock import SystemClock
from services.adapters.triton import TritonCaptioner
from services.captioner import assumed_profile
from services.gateway.cameras import known
from services.gateway.problems import Problem
from services.gateway.wording import worded_for
from services.settings import Settings

log = logging.getLogger("streamrefer.gateway")
router = APIRouter(prefix="/v1/cameras", tags=["questions"])

QUESTIONS_AT_ONCE = 2
MOST_CLIPS = 4
"""Clips that one question may draw on, for captioners that take any question."""
LONGEST_WAIT_S = 60.0

ObjectName = Annotated[str, StringConstraints(pattern=r"^#?[A-Za-z0-9_.-]{1,160}$")]


class NewQuestion(BaseModel):
    """A question about objects of one camera; ``<object1>`` in it is the first of ``objects``.

    ``objects`` are track ids, or the short numbers shown for them.
    """

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=LONGEST_QUESTION)
    objects: list[ObjectName] = Field(min_length=1, max_length=MOST_OBJECTS)
    timeout_s: float = Field(20.0, ge=1.0, le=LONGEST_WAIT_S)


class Desk:
    """Answers questions: evidence from the clips of late, words from the captioner, a record on the prompts topic."""

    def __init__(
        self,
        recent: RecentClips,
        store: ObjectStore,
        publisher: Publisher,
        captioners: list[TritonCaptioner],
        assumed: Profile,
    ) -> None:
        """``assumed`` is the captioner's profile where there is none to be asked."""
        self._recent, self._store, self._publisher = recent, store, publisher
        self._assumed = assumed
        self._free: queue.SimpleQueue[TritonCaptioner] = queue.SimpleQueue()
        for captioner in captioners:
            self._free.put(captioner)
        self._all = captioners

    @classmethod
    def of(
        cls,
        settings: Settings,
        recent: RecentClips,
        store: ObjectStore,
        publisher: Publisher,
    ) -> Desk:
        """A desk over the Triton of the settings; without one it answers that there is no captioner."""
        count = QUESTIONS_AT_ONCE if settings.triton_url else 0
        assumed = assumed_profile(settings)
        captioners = [TritonCaptioner(settings.triton_url, assumed=assumed) for _ in range(count)]
        return cls(recent, store, publisher, captioners, assumed)

    def profile(self) -> Profile:
        """How the captioner that is served wants to be asked."""
        return self._all[0].profile() if self._all else self._assumed

    def answer(self, camera_id: str, new: NewQuestion) -> Prompt:
        """Answer within the question's time. Raises Problem."""
        with self._captioner() as captioner, told_as_problems():
            began = time.time()
            profile = captioner.profile()
            tracks = tuple(self._recent.resolve(camera_id, name) for name in new.objects)
            if len(set(tracks)) < len(tracks):
                raise QuestionRefused("one object is given twice")
            records = self._recent.choose(camera_id, tracks, MOST_CLIPS if profile.any_question else 1)
            asked = Asked(f"q-{uuid.uuid4().hex[:16]}", camera_id, tracks, new.question, began, new.timeout_s)
            frames = max(profile.frames, profile.scene_frames)  # its scene is what shows the objects
            shown = AnsweringSettings(frames, profile.long_side_px, profile.max_new_tokens)
            word = worded_for(profile)
            prompt = Answering(self._store, captioner, SystemClock(), word, shown).answer(asked, records)
            self._record(prompt)
            return prompt

    def close(self) -> None:
        for captioner in self._all:
            captioner.close()

    @contextmanager
    def _captioner(self) -> Iterator[TritonCaptioner]:
        if not self._all:
            raise Problem(503, "captioner_away", "no captioner is configured", "set STREAMREFER_TRITON_URL")
        try:
            captioner = self._free.get_nowait()
        except queue.Empty:
            detail = f"{len(self._all)} questions are being answered already"
            raise Problem(
                429, "too_many_questions", detail, "ask again in a moment", retry_after_s=2
            ) from None
        try:
            yield captioner
        finally:
            self._free.put(captioner)

    def _record(self, prompt: Prompt) -> None:
        try:
            self._publisher.publish(topics.PROMPTS, prompt.camera_id, prompt.to_bytes())
        except (PublisherFull, RuntimeError) as error:
            log.warning("question %s was answered but not recorded: %s", prompt.question_id, error)


@contextmanager
def told_as_problems() -> Iterator[None]:
    """What can keep a question from its answer, each with its code and a hint."""
    try:
        yield
    except QuestionRefused as error:
        raise Problem(422, "question_unanswerable", str(error), "put it otherwise") from error
    except NoEvidence as error:
        hint = "streamrefer watch shows the objects of now"
        raise Problem(404 if error.code == "object_unknown" else 409, error.code, str(error), hint) from error
    except CaptionRefused as error:
        raise Problem(422, "question_refused", str(error), "put it otherwise") from error
    except CaptionerUnavailable as error:
        hint = "ask again, or allow more time"
        raise Problem(503, "captioner_away", str(error), hint, retry_after_s=5) from error
    except (StoreUnavailable, RuntimeError) as error:
        raise Problem(503, "store_away", str(error), "try again", retry_after_s=5) from error


@router.post("/{camera_id}:ask")
async def ask(camera_id: str, new: NewQuestion, request: Request) -> dict[str, Any]:
    """Answer a question about objects that the camera sees now, with the evidence it rests on."""
    known(request.app.state.feed, camera_id)
    prompt = await asyncio.to_thread(request.app.state.desk.answer, camera_id, new)
    return prompt.model_dump(exclude_none=True)
