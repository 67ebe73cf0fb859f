"""What a camera is to follow, set over the API: on a gateway's routes, with a broker that takes everything."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from contracts.cameras import CameraSettings
from modeling.pixelrefer.profile import EMBEDDED
from services.gateway import cameras, problems


class Broker:
    def __init__(self) -> None:
        self.sent: list[bytes | None] = []

    def publish(self, topic: str, key: str, value: bytes | None) -> Future:
        self.sent.append(value)
        done: Future = Future()
        done.set_result(None)
        return done


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def client(broker: Broker) -> TestClient:
    app = FastAPI()
    problems.install(app)
    app.include_router(cameras.router)
    app.state.feed = SimpleNamespace(cameras={}, states={})
    app.state.publisher, app.state.cameras_lock = broker, asyncio.Lock()
    app.state.desk = SimpleNamespace(profile=lambda: EMBEDDED)
    app.state.triton_url = ""  # nobody can be asked; tests of the adapter ask a real one
    return TestClient(app)


def test_words_are_kept_and_taken_back(client: TestClient, broker: Broker) -> None:
    body = {"camera_id": "yard", "source": "rtsp://host/a", "find": ["person", "person", " car "]}
    added = client.post("/v1/cameras", json=body)
    assert added.status_code == 201 and added.json()["find"] == ["person", "car"]
    assert CameraSettings.from_bytes(broker.sent[-1]).find == ("person", "car")
    styled = client.patch("/v1/cameras/yard", json={"style": "short"}).json()
    assert (styled["find"], styled["style"]) == (["person", "car"], "short"), "what is not named stays"
    assert client.patch("/v1/cameras/yard", json={"find": ["dog"]}).json()["find"] == ["dog"]
    for nothing in ([], None):
        client.patch("/v1/cameras/yard", json={"find": ["dog"]})
        assert client.patch("/v1/cameras/yard", json={"find": nothing}).json()["find"] == []
        assert CameraSettings.from_bytes(broker.sent[-1]).find is None


@pytest.mark.parametrize("words", ["person", [""], ["a,b"], ["x" * 61], ["x"] * 21, [3]])
def test_words_of_the_wrong_form_are_refused(client: TestClient, broker: Broker, words: object) -> None:
    answer = client.post("/v1/cameras", json={"camera_id": "a", "source": "x", "find": words})
    assert answer.status_code == 422 and "find" in answer.json()["detail"] and not broker.sent
