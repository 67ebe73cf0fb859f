"""Prompts through the gateway and the command line to a real tracker process' thread, on a real broker and store."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from typer.testing import CliRunner, Result

from contracts import topics
from contracts.cameras import CameraSettings
from contracts.events import CameraStateChanged
from contracts.prompts import PromptAnswer
from contracts.segments import HEADER
from services.adapters.kafka import KafkaPublisher, ensure_topics
from services.cli.main import app as program
from services.engines.ports import Ports
from services.engines.stack import Stack
from services.gateway.app import create_app
from services.gateway.feed import Feed
from services.gateway.problems import Problem
from services.gateway.prompts import REFUSED, NewPrompt, as_prompt, check_live, told
from services.tracker.app import TrackerService
from services.tracker.settings import load_tracker_settings
from tests.fakes.video import Camera
from tests.pipelines.test_prompting import RoughSegmenter

PATIENCE_S = 60.0
SEGMENT_EVERY_S = 0.25
"""A second of video comes so often: its time runs ahead of ours, so that clips are soon complete."""
CLICK = {"points": [{"x": 20 / 128, "y": 24 / 96}]}


class Yard:
    """A camera that sends two moving squares until the end; its source is never opened."""

    def __init__(self, gateway: str, bootstrap: str) -> None:
        self.id, self.gateway = f"yard-{uuid.uuid4().hex[:6]}", gateway
        self.start_s = round(time.time(), 3)
        self._publisher, self._ended = KafkaPublisher(bootstrap), threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def begin(self) -> None:
        settings = CameraSettings(camera_id=self.id, source="rtsp://127.0.0.1:9/none", created_at=time.time())
        state = CameraStateChanged(camera_id=self.id, state="live", at_s=time.time())
        for topic, message in ((topics.CAMERAS, settings), (topics.CAMERA_STATES, state)):
            self._publisher.publish(topic, self.id, message.to_bytes()).result(20)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(20)
        self._publisher.close()

    def ask(self, **body) -> httpx.Response:
        return httpx.post(f"{self.gateway}/v1/cameras/{self.id}/prompts", json=body, timeout=90)

    def _send(self) -> None:
        camera = Camera(self.id, self.start_s, picture_limit=900)
        while not self._ended.wait(SEGMENT_EVERY_S):
            header, video = camera.segment()
            self._publisher.publish(topics.SEGMENTS, self.id, video, {HEADER: header.to_bytes()})


@pytest.fixture(scope="module")
def gateway(stack: Stack) -> Iterator[str]:
    """Address of a gateway, with a tracker that knows objects by their colour beside it."""
    ensure_topics(stack.settings.kafka_bootstrap)
    group = f"prompts-{uuid.uuid4().hex[:6]}"
    own = load_tracker_settings({}, name=group, group_id=group, session_timeout_s=4.0, thin_after_s=0)
    tracker = TrackerService(stack.settings, own, lambda size: RoughSegmenter())
    port = Ports({}).of("gateway")
    server = uvicorn.Server(uvicorn.Config(create_app(stack.settings), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    tracker.start()
    address = f"http://127.0.0.1:{port}"
    _until(lambda: _ready(address))
    yield address
    tracker.stop()
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def yard(gateway: str, stack: Stack) -> Iterator[Yard]:
    yard = Yard(gateway, stack.settings.kafka_bootstrap)
    yard.begin()
    _until(lambda: _is_tracked(gateway, yard.id))
    yield yard
    yard.end()


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _is_tracked(address: str, camera_id: str) -> bool:
    """Whether a clip of the camera has been tracked."""
    path = f"{address}/v1/events?camera={camera_id}&names=clip&replay=true"
    try:
        with httpx.stream("GET", path, timeout=2) as response:
            return any(line.startswith("data: ") for line in response.iter_lines())
    except httpx.TransportError:
        return False


def _until(true) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


def _run(gateway: str, *arguments: str) -> Result:
    return CliRunner().invoke(program, list(arguments), env={"STREAMREFER_GATEWAY_URL": gateway})


@pytest.mark.connected
def test_a_track_is_clicked_named_pinned_and_dropped(yard: Yard, gateway: str) -> None:
    found = _run(gateway, "track", "add", yard.id, "--box", "0.0,0.5,1.0,1.0", "--json")
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["code"] in ("followed", "already_followed") and answer["mask"]["height"] == 96
    track = answer["track_id"]
    named = _run(gateway, "track", "rename", yard.id, track, "Tom's [bold]van")
    assert named.exit_code == 0 and "'Tom's [bold]van' renamed" in named.stdout, named.output
    assert yard.ask(kind="pin", track=track).json()["name"] == "Tom's [bold]van"
    names = _names(gateway, yard.id)
    assert names[track] == "Tom's [bold]van"
    dropped = yard.ask(kind="drop", track=track, prompt_id=f"{yard.id}-drop")
    assert dropped.status_code == 200 and dropped.json()["code"] == "dropped"
    again = yard.ask(kind="drop", track=track, prompt_id=f"{yard.id}-drop")
    assert again.status_code == 200 and again.json() == dropped.json(), "the first answer"
    path = f"{gateway}/v1/cameras/{yard.id}/prompts/{yard.id}-drop"
    assert httpx.get(path).json() == dropped.json()
    gone = yard.ask(kind="unpin", track=track)
    assert (gone.status_code, gone.json()["code"]) == (404, "track_unknown")


def _names(gateway: str, camera_id: str) -> dict[str, str]:
    """Names on track messages of late."""
    found: dict[str, str] = {}
    path = f"{gateway}/v1/events?camera={camera_id}&names=track&replay=true"
    deadline = time.monotonic() + PATIENCE_S
    with httpx.stream("GET", path, timeout=30) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                if "name" in data:
                    found[data["track_id"]] = data["name"]
            if found or time.monotonic() > deadline:
                return found
    return found


@pytest.mark.connected
def test_one_prompt_asked_by_two_is_one(yard: Yard) -> None:
    body = {"kind": "pin", "track": f"{yard.id}-1-0001", "prompt_id": "twice"}
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(yard.ask(**body))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert [a.json()["code"] for a in answers] == ["track_unknown"] * 2


@pytest.mark.connected
@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        ({"kind": "follow"}, 422, "invalid_request", "mark: needed"),
        ({"kind": "follow", "mark": {"points": [{"x": 2, "y": 0}]}}, 422, "invalid_request", "points.0.x"),
        ({"kind": "follow", "mark": CLICK, "at_s": 4e9}, 422, "invalid_request", "in the future"),
        ({"kind": "follow", "mark": CLICK, "at_s": 1.0}, 409, "too_old", "no picture of that time"),
        ({"kind": "rename", "track": "1", "name": "a\nb"}, 422, "invalid_request", "U+000A"),
        ({"kind": "pin", "track": "99"}, 404, "track_unknown", "no object '99'"),
        ({"kind": "pin", "track": "1", "timeout_s": 600}, 422, "invalid_request", "timeout_s"),
    ],
)
def test_what_cannot_be_done_says_why(yard: Yard, body: dict, status: int, code: str, words: str) -> None:
    answer = yard.ask(**body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert words in answer.json()["detail"] and "\n" not in answer.json()["detail"]


@pytest.mark.connected
def test_cameras_that_are_not_there_or_not_live_are_told_apart(gateway: str, stack: Stack) -> None:
    body = {"kind": "follow", "mark": CLICK}
    unknown = httpx.post(f"{gateway}/v1/cameras/nowhere/prompts", json=body)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "camera_unknown")
    publisher = KafkaPublisher(stack.settings.kafka_bootstrap)
    away = CameraSettings(camera_id="away", source="rtsp://127.0.0.1:9/none", created_at=time.time())
    publisher.publish(topics.CAMERAS, "away", away.to_bytes()).result(20)
    _until(lambda: httpx.get(f"{gateway}/v1/cameras/away").status_code == 200)
    told = _run(gateway, "track", "add", "away", "--point", "0.5,0.5")
    assert told.exit_code == 1 and "camera 'away' is connecting" in told.stderr
    publisher.publish(topics.CAMERAS, "away", None).result(20)
    publisher.close()


def test_answers_that_are_no_success_are_problems() -> None:
    facts = {"prompt_id": "p", "camera_id": "yard", "deed": "pin", "answered_at": 1.0}
    assert told(PromptAnswer(**facts, code="pinned", track_id="t"))["track_id"] == "t"
    for code, (status, hint) in REFUSED.items():
        with pytest.raises(Problem) as caught:
            told(PromptAnswer(**facts, code=code, words="so it is"))
        assert (caught.value.status, caught.value.code, caught.value.hint) == (status, code, hint)


def test_short_numbers_need_a_track_of_late_and_ids_do_not() -> None:
    feed = Feed("none", asyncio.new_event_loop())
    with pytest.raises(Problem, match="is connecting"):
        check_live(feed, "yard")
    prompt = as_prompt(feed, "yard", NewPrompt(kind="pin", track="yard-1-0001"), "p")
    assert prompt.track_id == "yard-1-0001" and prompt.valid_until - prompt.asked_at == 20.0
    with pytest.raises(Problem, match="no object '1'"):
        as_prompt(feed, "yard", NewPrompt(kind="pin", track="1"), "p")
