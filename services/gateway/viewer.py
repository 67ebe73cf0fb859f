"""One viewer of the live picture: waits for released segments and streams them as fragments."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import av

from services.gateway.live import Fragments, Held, LiveSegments, Unplayable

FIRST_WAIT_S = 20.0
IDLE_WAIT_S = 30.0
POLL_S = 0.1


async def first_segment(live: LiveSegments, camera_id: str) -> Held:
    """The newest released segment, waiting for one at most FIRST_WAIT_S. Raises Unplayable."""
    deadline = time.monotonic() + FIRST_WAIT_S
    while time.monotonic() < deadline:
        released = [held for held in live.released(camera_id, -1) if held.header.end is None]
        if released:
            return released[-1]
        await asyncio.sleep(POLL_S)
    raise Unplayable(f"no video of camera '{camera_id}' in the last {FIRST_WAIT_S:.0f} s")


async def fragments(
    live: LiveSegments, camera_id: str, first: Held, muxer: Fragments
) -> AsyncIterator[bytes]:
    """Bytes for this viewer until the epoch ends, the picture stops for IDLE_WAIT_S, or the viewer leaves."""
    after, heard = first.offset - 1, time.monotonic()
    while time.monotonic() - heard < IDLE_WAIT_S:
        fresh = live.released(camera_id, after)
        for held in fresh:
            after, heard = held.offset, time.monotonic()
            if held.header.end is not None or held.header.epoch != first.header.epoch:
                yield await asyncio.to_thread(muxer.close)
                return
            try:
                yield await asyncio.to_thread(muxer.add, held)
            except av.error.FFmpegError:
                return  # a damaged segment: the viewer opens a new stream behind it
        if not fresh:
            await asyncio.sleep(POLL_S)
