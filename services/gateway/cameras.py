"""Routes that subscribe, list and remove cameras."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from contracts import topics
from contracts.base import CAMERA_ID_PATTERN
from contracts.cameras import CameraSettings
from services.gateway.feed import Feed
from services.gateway.problems import Problem

router = APIRouter(prefix="/v1/cameras", tags=["cameras"])
DELIVERY_TIMEOUT_S = 10.0


class NewCamera(BaseModel):
    """A camera to subscribe. ``source`` is an RTSP, HTTP(S) or HLS address, or a file on the ingest host."""

    model_config = ConfigDict(extra="forbid")

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
    async with request.app.state.cameras_lock:
        if new.camera_id in feed.cameras:
            raise Problem(
                409,
                "camera_exists",
                f"there is a camera '{new.camera_id}' already ({feed.cameras[new.camera_id].masked_source})",
                "choose another id, or remove that camera first",
            )
        camera = CameraSettings(**new.model_dump(), created_at=time.time())
        await _publish(request, camera.camera_id, camera.to_bytes())
        feed.cameras[camera.camera_id] = camera
    return view(feed, camera)


@router.delete("/{camera_id}", status_code=204)
async def remove_camera(camera_id: str, request: Request) -> None:
    feed: Feed = request.app.state.feed
    async with request.app.state.cameras_lock:
        known(feed, camera_id)
        await _publish(request, camera_id, None)
        feed.cameras.pop(camera_id, None)


def known(feed: Feed, camera_id: str) -> CameraSettings:
    """The camera of that id. Raises Problem 404."""
    camera = feed.cameras.get(camera_id)
    if camera is None:
        raise Problem(
            404, "camera_unknown", f"there is no camera '{camera_id}'", "GET /v1/cameras lists them"
        )
    return camera


async def _publish(request: Request, camera_id: str, value: bytes | None) -> None:
    future = request.app.state.publisher.publish(topics.CAMERAS, camera_id, value)
    try:
        await asyncio.wait_for(asyncio.wrap_future(future), DELIVERY_TIMEOUT_S)
    except Exception as error:
        raise Problem(
            503, "broker_away", f"the broker did not take the change: {error}", "try again"
        ) from error
