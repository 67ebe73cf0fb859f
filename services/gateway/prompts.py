"""Routes by which people say what is to be followed: ``POST /v1/cameras/{id}/prompts``, answered by the tracker.

A prompt goes to the tracker by its topic and takes effect with a clip; whoever asked waits for the answer, at most
for the time given. The same ``prompt_id`` (or ``Idempotency-Key``) again is answered by the first answer.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from kafka.errors import KafkaError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts import topics
from contracts.marks import Mark
from contracts.prompts import LONGEST_WAIT_S, Deed, PromptAnswer, PromptId, TrackName, TrackPrompt
from pipelines.ports import PublisherFull
from pipelines.recent import NoEvidence
from services.gateway.cameras import known
from services.gateway.feed import ANSWER_EVENT, Feed, FeedEvent
from services.gateway.problems import Problem

router = APIRouter(prefix="/v1/cameras", tags=["prompts"])

WAITING_AT_ONCE = 32
DELIVERY_TIMEOUT_S = 10.0
GRACE_S = 8.0
"""How long after its time a prompt may still be answered: its clip was begun in time, or it is refused as too late."""
AHEAD_S = 2.0
"""By how much a camera's time may be ahead of ours."""

TrackWords = Annotated[str, StringConstraints(pattern=r"^#?[A-Za-z0-9_.-]{1,160}$")]
REFUSED = {
    "track_unknown": (404, "streamrefer watch shows the tracks of now"),
    "nothing_there": (422, "mark more of it, or draw a box"),
    "no_room": (409, "drop a track, or follow fewer per camera"),
    "too_many_pinned": (409, "unpin one first"),
    "too_old": (409, "mark a newer picture"),
    "too_late": (504, "try again; streamrefer camera list shows how the camera is"),
    "too_many_prompts": (429, "wait for their answers"),
    "failed": (503, "try again on another picture"),
}
"""Status and hint of the codes of prompts that took no effect."""


class NewPrompt(BaseModel):
    """What is to be followed. ``track`` is a track id, or the short number shown for it; ``at_s`` the camera time of
    the picture that was marked (none: the next sampled one)."""

    model_config = ConfigDict(extra="forbid")

    kind: Deed
    track: TrackWords | None = None
    mark: Mark | None = None
    name: TrackName | None = None
    at_s: float | None = Field(None, gt=0, allow_inf_nan=False)
    timeout_s: float = Field(20.0, ge=1.0, le=LONGEST_WAIT_S)
    prompt_id: PromptId | None = None


class PromptDesk:
    """Who waits for an answer: bounded, and each prompt is sent once however many wait for it."""

    def __init__(self, feed: Feed, publisher: Any) -> None:
        self._feed, self._publisher = feed, publisher
        self._waiting: dict[tuple[str, str], int] = {}

    async def ask(self, prompt: TrackPrompt) -> PromptAnswer:
        """Send the prompt, unless somebody waits for it already, and wait for its answer. Raises Problem."""
        key = (prompt.camera_id, prompt.prompt_id)
        if sum(self._waiting.values()) >= WAITING_AT_ONCE:
            detail = f"{WAITING_AT_ONCE} prompts wait for their answers already"
            raise Problem(429, "too_many_prompts", detail, "ask again in a moment", retry_after_s=2)
        _, events = self._feed.listen(None)
        first = key not in self._waiting
        self._waiting[key] = self._waiting.get(key, 0) + 1
        try:
            if answer := self._feed.answers.get(key):
                return answer
            if first:
                await self._send(prompt)
            limit_s = prompt.valid_until + GRACE_S - time.time()
            return await asyncio.wait_for(_answer_to(key, events), limit_s)
        except TimeoutError:
            raise _unanswered(prompt) from None
        finally:
            self._feed.leave(events)
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def _send(self, prompt: TrackPrompt) -> None:
        try:
            taken = await asyncio.to_thread(
                self._publisher.publish, topics.PROMPTS, prompt.camera_id, prompt.to_bytes()
            )
            await asyncio.wait_for(asyncio.wrap_future(taken), DELIVERY_TIMEOUT_S)
        except (PublisherFull, TimeoutError, KafkaError) as error:
            detail = f"the broker did not take the prompt: {error or 'no answer in time'}"
            raise Problem(503, "broker_away", detail, "try again", retry_after_s=5) from error


@router.post("/{camera_id}/prompts")
async def ask(
    camera_id: str,
    new: NewPrompt,
    request: Request,
    idempotency_key: Annotated[PromptId | None, Header()] = None,
) -> dict[str, Any]:
    """Follow what is marked, or correct, rename, pin, unpin or drop a track; answered when it has taken effect."""
    feed: Feed = request.app.state.feed
    known(feed, camera_id)
    prompt_id = new.prompt_id or idempotency_key or f"p-{uuid.uuid4().hex[:16]}"
    if answer := feed.answers.get((camera_id, prompt_id)):
        return told(answer)
    check_live(feed, camera_id)
    prompt = as_prompt(feed, camera_id, new, prompt_id)
    return told(await request.app.state.prompt_desk.ask(prompt))


@router.get("/{camera_id}/prompts/{prompt_id}")
async def get_answer(camera_id: str, prompt_id: str, request: Request) -> dict[str, Any]:
    """The answer to a prompt of the last minutes."""
    feed: Feed = request.app.state.feed
    known(feed, camera_id)
    answer = feed.answers.get((camera_id, prompt_id))
    if answer is None:
        raise Problem(404, "prompt_unknown", f"no prompt '{prompt_id[:80]}' was answered of late")
    return answer.model_dump(exclude_none=True)


def check_live(feed: Feed, camera_id: str) -> None:
    """Raises Problem for a camera of which no pictures come now."""
    state = feed.states.get(camera_id)
    if state is None or state.state not in ("live", "degraded"):
        now = state.state if state else "connecting"
        cause = f": {state.cause}" if state and state.cause else ""
        raise Problem(
            409, "camera_not_live", f"camera '{camera_id}' is {now}{cause}", "it has to send pictures"
        )


def as_prompt(feed: Feed, camera_id: str, new: NewPrompt, prompt_id: str) -> TrackPrompt:
    """The prompt as it is sent. Raises Problem for what cannot be meant."""
    now_s = time.time()
    if new.at_s is not None and new.at_s > now_s + AHEAD_S:
        detail = f"at_s lies {new.at_s - now_s:.0f} s in the future"
        raise Problem(422, "invalid_request", detail, "UTC seconds of a picture that was seen")
    track_id = None if new.track is None else _resolved(feed, camera_id, new.track)
    try:
        return TrackPrompt(
            prompt_id=prompt_id,
            kind=new.kind,
            camera_id=camera_id,
            track_id=track_id,
            mark=new.mark,
            name=new.name,
            at_s=new.at_s,
            asked_at=now_s,
            valid_until=now_s + new.timeout_s,
        )
    except ValidationError as error:
        words = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise Problem(422, "invalid_request", words, "see /docs for the fields") from error


def told(answer: PromptAnswer) -> dict[str, Any]:
    """The answer to a prompt that took effect. Raises Problem for one that did not."""
    if answer.done:
        return answer.model_dump(exclude_none=True)
    status, hint = REFUSED[answer.code]
    raise Problem(status, answer.code, answer.words or answer.code.replace("_", " "), hint)


def _resolved(feed: Feed, camera_id: str, words: str) -> str:
    """A track id as it is, or the one that a short number means."""
    if words.startswith(f"{camera_id}-"):
        return words
    try:
        return feed.recent.resolve(camera_id, words)
    except NoEvidence as error:
        status, hint = REFUSED["track_unknown"]
        raise Problem(status, "track_unknown", str(error), hint) from error


async def _answer_to(key: tuple[str, str], events: asyncio.Queue[FeedEvent | None]) -> PromptAnswer:
    """The answer among the events. Raises TimeoutError when the line of events breaks."""
    while (event := await events.get()) is not None:
        if event.name == ANSWER_EVENT and event.camera_id == key[0]:
            data = json.loads(event.data)
            if data["prompt_id"] == key[1]:
                return PromptAnswer.model_validate(data)
    raise TimeoutError


def _unanswered(prompt: TrackPrompt) -> Problem:
    detail = (
        f"prompt {prompt.prompt_id} was not answered in time: no tracker has the camera, or it is far behind"
    )
    hint = "ask again with the same prompt_id to learn whether it took effect"
    return Problem(504, "no_answer", detail, hint, retry_after_s=5)
