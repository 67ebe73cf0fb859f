"""The gateway process: REST and SSE under ``/v1``, the live picture, and the web page.

Run as ``python -m services.gateway.app``; host and port come from STREAMREFER_GATEWAY_HOST and _PORT.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles

from contracts.base import is_camera_id
from services.adapters.kafka import KafkaPublisher, ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.gateway import cameras, events, media, problems, prompts, questions
from services.gateway.feed import Feed
from services.gateway.limits import BodyLimit
from services.gateway.live import LiveSegments
from services.settings import Settings, load_settings

WEB = Path(__file__).parent / "web"


def create_app(settings: Settings) -> FastAPI:
    """The application over the engines of ``settings``; connections are made when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(_connect, app, settings, asyncio.get_running_loop())
        yield
        app.state.desk.close()
        app.state.live.stop()
        app.state.feed.stop()
        app.state.publisher.close()

    app = FastAPI(title="streamrefer", version="1", lifespan=lifespan)
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.include_router(cameras.router)
    app.include_router(questions.router)
    app.include_router(prompts.router)
    app.include_router(media.router)
    app.add_api_route("/v1/events", all_events, methods=["GET"], tags=["events"])
    app.add_api_route("/v1/cameras/{camera_id}/events", camera_events, methods=["GET"], tags=["events"])
    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["probes"])
    app.add_api_route("/readyz", readyz, methods=["GET"], tags=["probes"])
    app.add_api_route("/", page, methods=["GET"], include_in_schema=False)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
    return app


def _connect(app: FastAPI, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
    ensure_topics(settings.kafka_bootstrap)
    app.state.cameras_lock = asyncio.Lock()
    app.state.triton_url = settings.triton_url
    app.state.publisher = KafkaPublisher(settings.kafka_bootstrap)
    app.state.store = S3Objects(ObjectsConnection.of(settings))
    app.state.feed = Feed(settings.kafka_bootstrap, loop)
    app.state.feed.start()
    app.state.desk = questions.Desk.of(settings, app.state.feed.recent, app.state.store, app.state.publisher)
    app.state.prompt_desk = prompts.PromptDesk(app.state.feed, app.state.publisher)
    app.state.live = LiveSegments(settings.kafka_bootstrap, app.state.store, app.state.feed)
    app.state.live.start()
    app.state.feed.ready.wait(15)


async def all_events(
    request: Request,
    camera: str | None = Query(None),
    names: str | None = Query(None, description="event names, separated by commas"),
    replay: bool = Query(False, description="begin with what happened in the last minutes"),
    last_event_id: str | None = Header(None),
) -> Response:
    """Everything that happens, as server-sent events."""
    feed: Feed = request.app.state.feed
    if camera is not None and not is_camera_id(camera):
        raise problems.Problem(422, "invalid_request", f"'{camera}' is not a camera id")
    after = events.resume_number(feed, last_event_id, replay)
    wanted = set(names.split(",")) if names else None
    frames = events.stream(feed, camera, wanted, after)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


async def camera_events(
    camera_id: str,
    request: Request,
    names: str | None = Query(None),
    replay: bool = Query(False),
    last_event_id: str | None = Header(None),
) -> Response:
    """What happens on one camera, as server-sent events."""
    cameras.known(request.app.state.feed, camera_id)
    return await all_events(request, camera_id, names, replay, last_event_id)


async def healthz(request: Request) -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


async def readyz(request: Request) -> dict[str, str]:
    """The process reads its topics; 503 with the cause otherwise."""
    feed: Feed = request.app.state.feed
    if not feed.alive() or not feed.ready.is_set():
        raise problems.Problem(503, "not_ready", feed.failure or "still reading the topics", "try again")
    return {"status": "ready"}


async def page() -> FileResponse:
    return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    host = os.environ.get("STREAMREFER_GATEWAY_HOST", "127.0.0.1")
    port = int(os.environ.get("STREAMREFER_GATEWAY_PORT", "8080"))
    app = create_app(load_settings())
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


if __name__ == "__main__":
    main()
