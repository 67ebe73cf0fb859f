"""A bound on request bodies: the largest one the interface knows is a camera of a few kilobytes."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problems import Problem, answer

BODY_BYTES = 64_000


class BodyLimit:
    """ASGI middleware: a body announced as larger is refused unread, one that turns out larger is cut off."""

    def __init__(self, app: ASGIApp, limit_bytes: int = BODY_BYTES) -> None:
        self._app, self._limit = app, limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._limit:
            problem = Problem(413, "too_large", f"a request may have {self._limit} bytes, not more")
            return await answer(problem)(scope, receive, send)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                return {"type": "http.disconnect"}
            return message

        await self._app(scope, counted, send)
