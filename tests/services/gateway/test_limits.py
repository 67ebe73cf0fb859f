"""Requests that are too large are refused before they are held in memory."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from services.gateway import problems
from services.gateway.limits import BodyLimit


def _client() -> TestClient:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(BodyLimit, limit_bytes=100)

    @app.post("/")
    async def _length(request: Request) -> int:
        return len(await request.body())

    return TestClient(app, raise_server_exceptions=False)


def test_a_body_within_the_limit_arrives() -> None:
    assert _client().post("/", content=b"x" * 100).json() == 100


def test_a_body_announced_as_larger_is_refused() -> None:
    answer = _client().post("/", content=b"x" * 101)
    assert answer.status_code == 413 and answer.json()["code"] == "too_large"


def test_a_body_of_unknown_length_is_cut_off() -> None:
    def parts() -> Iterator[bytes]:
        yield from (b"x" * 60 for _ in range(3))

    assert not _client().post("/", content=parts()).is_success
