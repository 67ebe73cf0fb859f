"""Routes that subscribe, list and remove cameras."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from contracts import topics
from contracts.base import CAMERA_ID_PATTERN
from contracts.cameras import LONGEST_INSTRUCTION, CameraSettings, Language, MemoryPolicy, Style, Words
from modeling.pixelrefer.prompt import clean_words
from services.gateway.feed import Feed
from services.gateway.finding import checked_words
from services.gateway.problems import Problem

router = APIRouter(prefix="/v1/cameras", tags=["cameras"])
DELIVERY_TIMEOUT_S = 10.0


class Wording(BaseModel):
    """What of a camera is narrated, and how; takes effect with its next clip. Fields left out stay as they are."""

    model_config = ConfigDict(extra="forbid")

    style: Style = Field("detailed", description="how much each narration says")
    instruction: str | None = Field(
        None, max_length=LONGEST_INSTRUCTION, description="what to look for; null or empty for none"
    )
    language: Language | None = Field(None, description="of the instruction and its answers, as in BCP 47")
    find: Words | None = Field(
        None, description="what is followed, by the names of the detector's classes; null or none for all"
    )


class CameraChange(Wording):
    """What of a camera may change while it runs: its wording, and what its tracker remembers from the next clip on."""

    memory_policy: MemoryPolicy | None = Field(
        None, description="what the tracker remembers of objects; null for the tracker's own setting"
    )


class NewCamera(CameraChange):
    """A camera to subscribe. ``source`` is an RTSP, HTTP(S) or HLS address, or a file on the ingest host."""

    camera_id: str = Field(pattern=CAMERA_ID_PATTERN)
    source: str = Field(min_length=1, max_length=2048)
    loop: bool = False
    realtime: bool = True
    sample_fps: float = Field(4.0, gt=0, le=30)


def view(feed: Feed, camera: CameraSettings) -> dict[str, Any]:
    """A camera as the API shows it: its source without credentials, and its newest state."""
    state = feed.states.get(camera.camera_id)
    fresh = state if state and state.at_s >= camera.created_at - 1 else None
    return {
        "camera_id": camera.camera_id,
        "source": camera.masked_source,
        "wanted": camera.wanted,
        "loop": camera.loop,
        "sample_fps": camera.sample_fps,
        "memory_policy": camera.memory_policy,
        "find": list(camera.find or ()),
        "style": camera.style,
        "instruction": camera.instruction,
        "language": camera.language,
        "created_at": camera.created_at,
        "state": fresh.state if fresh else "connecting",
        "cause": fresh.cause if fresh else None,
    }


@router.get("")
async def list_cameras(request: Request) -> dict[str, Any]:
    feed: Feed = request.app.state.feed
    return {"cameras": [view(feed, feed.cameras[name]) for name in sorted(feed.cameras)]}


@router.get("/{camera_id}")
async def get_camera(camera_id: str, request: Request) -> dict[str, Any]:
    return view(request.app.state.feed, known(request.app.state.feed, camera_id))


@router.post("", status_code=201)
async def add_camera(new: NewCamera, request: Request) -> dict[str, Any]:
    feed: Feed = request.app.state.feed
    worded = wording(new, await _any_question(request)) | await _found(request, new)
    async with request.app.state.cameras_lock:
        if new.camera_id in feed.cameras:
            raise Problem(
                409,
                "camera_exists",
                f"there is a camera '{new.camera_id}' already ({feed.cameras[new.camera_id].masked_source})",
                "choose another id, or remove that camera first",
            )
        camera = CameraSettings(**(new.model_dump() | worded), created_at=time.time())
        await _publish(request, camera.camera_id, camera.to_bytes())
        feed.cameras[camera.camera_id] = camera
    return view(feed, camera)


@router.patch("/{camera_id}")
async def change_camera(camera_id: str, change: CameraChange, request: Request) -> dict[str, Any]:
    """Change how a camera is narrated, remembered, and what of it, from its next clip on; its video goes on."""
    feed: Feed = request.app.state.feed
    changes = wording(change, await _any_question(request)) | await _found(request, change)
    if "memory_policy" in change.model_fields_set:
        changes["memory_policy"] = change.memory_policy
    async with request.app.state.cameras_lock:
        camera = known(feed, camera_id).model_copy(update=changes)
        await _publish(request, camera_id, camera.to_bytes())
        feed.cameras[camera_id] = camera
    return view(feed, camera)


@router.delete("/{camera_id}", status_code=204)
async def remove_camera(camera_id: str, request: Request) -> None:
    feed: Feed = request.app.state.feed
    async with request.app.state.cameras_lock:
        known(feed, camera_id)
        await _publish(request, camera_id, None)
        feed.cameras.pop(camera_id, None)


def wording(given: Wording, any_question: bool) -> dict[str, Any]:
    """The fields of a wording that were given, cleaned. Raises Problem for what the captioner cannot follow."""
    fields = given.model_dump(include=Wording.model_fields.keys() & given.model_fields_set)
    if "instruction" in fields:
        fields["instruction"] = clean_words(fields["instruction"] or "") or None
    foreign = (fields.get("language") or "en").split("-")[0] != "en"
    if any_question or not (fields.get("instruction") or foreign):
        return fields
    what = "cannot follow instructions" if fields.get("instruction") else "speaks English only"
    raise Problem(
        422,
        "instruction_unsupported",
        f"the captioner that is served {what}: it was trained on a handful of questions of its own",
        "choose the style short or detailed, or serve one of the larger captioners",
    )


def known(feed: Feed, camera_id: str) -> CameraSettings:
    """The camera of that id. Raises Problem 404."""
    camera = feed.cameras.get(camera_id)
    if camera is None:
        raise Problem(
            404, "camera_unknown", f"there is no camera '{camera_id}'", "GET /v1/cameras lists them"
        )
    return camera


async def _any_question(request: Request) -> bool:
    """Whether the captioner that is served follows instructions."""
    return (await asyncio.to_thread(request.app.state.desk.profile)).any_question


async def _found(request: Request, given: Wording) -> dict[str, Any]:
    """The words that were given, if any, put to the detector that is served. Raises Problem."""
    if "find" not in given.model_fields_set:
        return {}
    return {"find": await asyncio.to_thread(checked_words, given.find, request.app.state.triton_url)}


async def _publish(request: Request, camera_id: str, value: bytes | None) -> None:
    future = request.app.state.publisher.publish(topics.CAMERAS, camera_id, value)
    try:
        await asyncio.wait_for(asyncio.wrap_future(future), DELIVERY_TIMEOUT_S)
    except Exception as error:
        raise Problem(
            503, "broker_away", f"the broker did not take the change: {error}", "try again"
        ) from error
