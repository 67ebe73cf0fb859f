"""The gateway and ingest together on a real broker and object store: a camera is added, seen, refused, removed."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import pytest
import uvicorn
from typer.testing import CliRunner

from services.adapters.topic_reader import read_results
from services.cli.main import app as program
from services.engines.ports import Ports
from services.engines.stack import Stack
from services.gateway import live
from services.gateway.app import create_app
from services.ingest.app import follow
from tests.services.ingest.test_camera import write_video


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[str]:
    """Address of a gateway with an ingest beside it, both on the session's engines."""
    port = Ports({}).of("gateway")
    server = uvicorn.Server(uvicorn.Config(create_app(stack.settings), port=port, log_level="warning"))
    stopping = threading.Event()
    threads = [
        threading.Thread(target=server.run, daemon=True),
        threading.Thread(target=follow, args=(stack.settings, stopping), daemon=True),
    ]
    for thread in threads:
        thread.start()
    address = f"http://127.0.0.1:{port}"
    _until(lambda: _ready(address), 60)
    yield address
    stopping.set()
    server.should_exit = True
    for thread in threads:
        thread.join(20)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _until(true, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def _events(address: str, path: str, count: int, headers: dict[str, str] | None = None) -> list[dict]:
    """The first ``count`` events of a stream, each with its id, event and data."""
    found: list[dict] = []
    with httpx.stream("GET", f"{address}{path}", headers=headers, timeout=30) as response:
        assert response.status_code == 200
        event: dict = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if name in ("id", "event", "data"):
                event[name] = json.loads(value) if name == "data" else value
            elif not line and event:
                found.append(event)
                event = {}
                if len(found) == count:
                    return found
    return found


def test_a_camera_lives_from_its_subscription_to_its_removal(
    gateway: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HOLD_S", 0.2)  # no tracker here to account for the video
    source = str(write_video(tmp_path / "a.mp4", seconds=12))
    added = httpx.post(f"{gateway}/v1/cameras", json={"camera_id": "yard", "source": source})
    assert added.status_code == 201 and added.json()["state"] == "connecting"

    states = _events(gateway, "/v1/cameras/yard/events?names=camera.state&replay=true", 2)
    assert [e["data"]["state"] for e in states] == ["connecting", "live"]
    resumed = _events(gateway, "/v1/cameras/yard/events", 1, {"Last-Event-ID": states[0]["id"]})
    assert resumed[0]["id"] == states[1]["id"]

    with httpx.stream("GET", f"{gateway}/v1/cameras/yard/live.mp4", timeout=40) as response:
        assert response.status_code == 200 and response.headers["x-codecs"].startswith("avc1.")
        base_s = float(response.headers["x-base-time"])
        video = b"".join(response.iter_bytes())
    assert abs(base_s - time.time()) < 60
    with av.open(io.BytesIO(video)) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    assert len(times) >= 20 and 0 <= times[0] <= 0.25
    assert times == sorted(times)

    assert httpx.delete(f"{gateway}/v1/cameras/yard").status_code == 204
    assert httpx.get(f"{gateway}/v1/cameras/yard").status_code == 404


def test_a_memory_policy_is_changed_while_the_video_goes_on(
    gateway: str, stack: Stack, tmp_path: Path
) -> None:
    source, path = str(write_video(tmp_path / "c.mp4", seconds=30)), f"{gateway}/v1/cameras/shed"
    httpx.post(f"{gateway}/v1/cameras", json={"camera_id": "shed", "source": source}).raise_for_status()

    def policies() -> list[tuple[int, str | None]]:
        found = read_results(stack.settings.kafka_bootstrap).segments
        return [(s.epoch, s.memory_policy) for s in found if s.camera_id == "shed"]

    _until(policies, 20)
    told = CliRunner().invoke(
        program,
        ["camera", "set", "shed", "--memory-policy", "quality"],
        env={"STREAMREFER_GATEWAY_URL": gateway},
    )
    assert told.exit_code == 0 and "memory policy quality" in told.stdout, told.output
    _until(lambda: policies()[-1][1] == "quality", 20)
    assert len({epoch for epoch, _ in policies()}) == 1, "the video was not interrupted"
    wrong = httpx.patch(path, json={"memory_policy": "best"})
    assert wrong.status_code == 422 and "skip-absent" in wrong.json()["detail"]
    kept = httpx.patch(path, json={"style": "short"}).json()
    assert (kept["memory_policy"], kept["style"]) == ("quality", "short")
    assert httpx.patch(path, json={"memory_policy": None}).json()["memory_policy"] is None
    httpx.delete(path)


def test_two_cameras_with_one_id_are_refused(gateway: str, tmp_path: Path) -> None:
    body = {"camera_id": "gate", "source": str(write_video(tmp_path / "b.mp4"))}
    assert httpx.post(f"{gateway}/v1/cameras", json=body).status_code == 201
    again = httpx.post(f"{gateway}/v1/cameras", json=body)
    assert again.status_code == 409
    assert again.json()["code"] == "camera_exists" and "'gate'" in again.json()["detail"]
    httpx.delete(f"{gateway}/v1/cameras/gate")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"camera_id": "../etc", "source": "a.mp4"}, "camera_id"),
        ({"camera_id": "a", "source": ""}, "source"),
        ({"camera_id": "a", "source": "x", "sample_fps": 0}, "sample_fps"),
        ({"camera_id": "a", "source": "x", "colour": "red"}, "colour"),
    ],
)
def test_wrong_fields_are_named(gateway: str, body: dict, field: str) -> None:
    answer = httpx.post(f"{gateway}/v1/cameras", json=body)
    assert answer.status_code == 422 and field in answer.json()["detail"]


def test_media_outside_the_served_folders_is_refused(gateway: str) -> None:
    for name in ("checkpoints/a.safetensors", "crops/../../x.jpg", "crops/none.jpg"):
        assert httpx.get(f"{gateway}/v1/media/{name}").status_code == 404
