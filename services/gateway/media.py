"""Routes that serve pictures: the live video of a camera, and objects of the bucket (crops, masks, clips)."""

from __future__ import annotations

import asyncio
import mimetypes
import re

import av
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from pipelines.ports import ObjectMissing, StoreUnavailable
from services.gateway.cameras import known
from services.gateway.live import Fragments, Unplayable
from services.gateway.problems import Problem
from services.gateway.viewer import first_segment, fragments

router = APIRouter(tags=["media"])
SERVED = re.compile(r"^(crops|masks|clips)/[A-Za-z0-9_./@-]{1,300}\.(jpg|png|mkv)$")


@router.get("/v1/cameras/{camera_id}/live.mp4")
async def live_video(camera_id: str, request: Request) -> Response:
    """Fragmented MP4 without end. ``X-Base-Time`` is the camera time of media time 0, ``X-Codecs`` the codec."""
    known(request.app.state.feed, camera_id)
    live = request.app.state.live
    try:
        first = await first_segment(live, camera_id)
        muxer = await asyncio.to_thread(Fragments, first)
    except Unplayable as error:
        raise Problem(404, "no_picture", str(error), "the narration feed works without a picture") from error
    except av.error.FFmpegError as error:
        raise Problem(404, "no_picture", f"the newest segment is damaged: {error}", "try again") from error
    headers = {"X-Base-Time": f"{muxer.base_s:.3f}", "X-Codecs": muxer.codec, "Cache-Control": "no-store"}
    return StreamingResponse(
        fragments(live, camera_id, first, muxer), media_type="video/mp4", headers=headers
    )


@router.get("/v1/media/{name:path}")
async def media_object(name: str, request: Request) -> Response:
    """One crop, mask or clip by the reference that messages carry."""
    if not SERVED.match(name) or ".." in name:
        raise Problem(
            404, "media_unknown", "there is no such picture or clip", "use references found in messages"
        )
    try:
        data = await asyncio.to_thread(request.app.state.store.get, name)
    except ObjectMissing as error:
        raise Problem(404, "media_unknown", f"{name} is not stored (any more)") from error
    except StoreUnavailable as error:
        raise Problem(503, "store_away", str(error), "try again") from error
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=3600, immutable"})
