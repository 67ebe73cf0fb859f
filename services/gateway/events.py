"""Server-sent events: live happenings of one or all cameras, resumable by ``Last-Event-ID``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from services.gateway.feed import Feed, FeedEvent

PING_S = 15.0


def resume_number(feed: Feed, last_event_id: str | None, replay: bool) -> int | None:
    """The number after which to begin. An id of another gateway run, or ``replay``, begins at the ring's start."""
    if last_event_id:
        name, _, number = last_event_id.partition("-")
        return int(number) if name == feed.name and number.isdecimal() else 0
    return 0 if replay else None


async def stream(
    feed: Feed, camera_id: str | None, names: set[str] | None, after: int | None
) -> AsyncIterator[str]:
    """Frames of an event stream; a comment every PING_S seconds shows that the line is alive."""
    past, queue = feed.listen(after)
    try:
        yield f": streamrefer {feed.name}\n\n"
        for event in past:
            if _wanted(event, camera_id, names):
                yield _frame(feed, event)
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), PING_S)
            except TimeoutError:
                yield ": ping\n\n"
                continue
            if event is None:  # too slow; the client reconnects with its last id
                return
            if _wanted(event, camera_id, names):
                yield _frame(feed, event)
    finally:
        feed.leave(queue)


def _wanted(event: FeedEvent, camera_id: str | None, names: set[str] | None) -> bool:
    return (camera_id is None or event.camera_id == camera_id) and (names is None or event.name in names)


def _frame(feed: Feed, event: FeedEvent) -> str:
    return f"id: {feed.name}-{event.number}\nevent: {event.name}\ndata: {event.data}\n\n"
