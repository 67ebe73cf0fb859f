"""Wording of cameras and questions about objects, through the gateway and the command line, on real engines."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import wait

import httpx
import numpy as np
import pytest
import uvicorn
from kafka import TopicPartition
from typer.testing import CliRunner, Result

from contracts import topics
from contracts.cameras import CameraSettings
from contracts.clips import ClipFrame, ClipRecord, SourceRange, clip_id
from contracts.prompts import Prompt
from modeling.pixelrefer.questions import MAX_FRAMES
from operators.types import Clip, Frame, Masklet, TrackedClip
from pipelines.evidence import Evidence
from pipelines.translate import track_update
from services.adapters.kafka import KafkaPublisher, committed_consumer
from services.adapters.objects import ObjectsConnection, S3Objects
from services.cli.main import app as program
from services.engines.ports import Ports
from services.engines.stack import Stack
from services.gateway.app import create_app
from services.gateway.cameras import NewCamera, wording
from services.settings import Settings

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def settings(stack: Stack, captioner_server: Stack) -> Settings:
    return stack.settings.model_copy(update={"triton_url": captioner_server.settings.triton_url})


@pytest.fixture(scope="module")
def gateway(settings: Settings) -> Iterator[str]:
    """Address of a gateway on real engines, whose captioner has random words but asks the embedded questions."""
    port = Ports({}).of("gateway")
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{port}"
    _until(lambda: _ready(address))
    yield address
    server.should_exit = True
    thread.join(20)


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _until(true) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.2)


class Yard:
    """A subscribed camera of which one clip with two objects was tracked; the source itself is never opened."""

    def __init__(self, gateway: str, settings: Settings) -> None:
        self.id = f"yard-{uuid.uuid4().hex[:6]}"
        self.gateway, self.settings = gateway, settings
        self.epoch = round(time.time() * 1000)
        self.tracks = [f"{self.id}-{self.epoch}-{number:04d}" for number in (1, 2)]
        self.publisher = KafkaPublisher(settings.kafka_bootstrap)

    def subscribe(self, **wording) -> httpx.Response:
        body = {"camera_id": self.id, "source": "rtsp://127.0.0.1:9/none", **wording}
        return httpx.post(f"{self.gateway}/v1/cameras", json=body)

    def ask(self, question: str, *objects: str, **other) -> httpx.Response:
        body = {"question": question, "objects": objects, **other}
        return httpx.post(f"{self.gateway}/v1/cameras/{self.id}:ask", json=body, timeout=90)

    def track_a_clip(self) -> None:
        """As the tracker would: evidence first, then the tracks and the clip's record."""
        tracked = self._tracked()
        clip, ref = tracked.clip, f"clips/{self.id}/0/evidence.safetensors"
        store = S3Objects(ObjectsConnection.of(self.settings))
        store.put(ref, Evidence.of(tracked).to_bytes())
        record = ClipRecord(
            clip_id=clip_id(self.id, self.epoch, 0),
            camera_id=self.id,
            epoch=self.epoch,
            index=0,
            start_s=clip.start_s,
            end_s=clip.end_s,
            frames=[ClipFrame(index=f.index, pts_s=f.pts_s, time_s=f.time_s) for f in clip.frames],
            width_px=96,
            height_px=72,
            closed_by="full",
            source=SourceRange(partition=0, first_offset=0, last_offset=0),
            evidence_ref=ref,
            track_ids=self.tracks,
            model="none",
            captured_at=time.time(),
            committed_at=time.time(),
        )
        messages = [(topics.TRACKS, track_update(clip, masklet)) for masklet in tracked.masklets]
        wait(
            [
                self.publisher.publish(topic, self.id, message.to_bytes())
                for topic, message in [*messages, (topics.CLIPS, record)]
            ],
            timeout=30,
        )

    def _tracked(self) -> TrackedClip:
        begin = self.epoch / 1000
        noise = np.random.default_rng(5)
        frames = tuple(
            Frame(noise.integers(0, 255, (72, 96, 3), np.uint8), at / 4, begin + at / 4, at)
            for at in range(16)
        )
        clip = Clip(self.id, self.epoch, 0, frames, begin, begin + 4, "full")
        return TrackedClip(clip, tuple(self._masklet(track, 6 * n) for n, track in enumerate(self.tracks)))

    def _masklet(self, track_id: str, left: int) -> Masklet:
        masks = np.zeros((16, 18, 24), bool)
        masks[:, 4:12, left + 2 : left + 8] = True
        boxes = np.tile(np.array([left / 24, 4 / 18, (left + 8) / 24, 12 / 18], np.float32), (16, 1))
        return Masklet(track_id, masks, boxes, np.ones(16, np.float32), "active")

    def recorded(self) -> list[Prompt]:
        """The questions on the prompts topic."""
        consumer = committed_consumer(self.settings.kafka_bootstrap)
        try:
            parts = [TopicPartition(topics.PROMPTS, p) for p in consumer.partitions_for_topic(topics.PROMPTS)]
            consumer.assign(parts)
            consumer.seek_to_beginning()
            found: list[Prompt] = []
            deadline = time.monotonic() + PATIENCE_S
            while not found and time.monotonic() < deadline:
                for records in consumer.poll(timeout_ms=300).values():
                    found += [Prompt.from_bytes(r.value) for r in records if r.key == self.id.encode()]
            return found
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def yard(gateway: str, settings: Settings) -> Iterator[Yard]:
    """A camera whose two objects can be asked about."""
    yard = Yard(gateway, settings)
    assert yard.subscribe().status_code == 201
    yard.track_a_clip()
    _until(lambda: yard.ask("What is it?", "1").json().get("code") != "object_unknown")
    yield yard
    httpx.delete(f"{gateway}/v1/cameras/{yard.id}")
    yard.publisher.close()


def _run(gateway: str, *arguments: str) -> Result:
    return CliRunner().invoke(program, list(arguments), env={"STREAMREFER_GATEWAY_URL": gateway})


@pytest.mark.connected
def test_an_answer_comes_with_its_grounds_and_is_recorded(yard: Yard) -> None:
    told = yard.ask("What colour is <object1>?", yard.tracks[1])
    assert told.status_code == 200, told.text
    prompt = Prompt.model_validate(told.json())
    answer = prompt.answer
    assert prompt.track_ids == [yard.tracks[1]] and answer.text and 0 < answer.confidence <= 1  # type: ignore[operator]
    assert answer.prompt_id == "colour" and answer.prompt_version and "@" in answer.model
    assert answer.tokens.prompt > answer.tokens.object > 0 and answer.tokens.output > 0
    (shown,) = answer.evidence
    assert shown.track_id == yard.tracks[1] and len(shown.times_s) == MAX_FRAMES
    assert yard.epoch / 1000 <= answer.start_s < answer.end_s <= yard.epoch / 1000 + 4
    assert prompt.question_id in {recorded.question_id for recorded in yard.recorded()}


REFUSED = {
    "unknown object": (("What is it?", "77"), 404, "object_unknown", "no object '77'"),
    "an object twice": (("What is it?", "1", "#0001"), 422, "question_unanswerable", "given twice"),
    "more objects named": (("Who is <object2>?", "1"), 422, "question_unanswerable", "1 object is given"),
    "not its question": (("Is <object1> wet?", "1"), 422, "question_unanswerable", "only answers"),
    "nothing asked": (("<region>", "1"), 422, "question_unanswerable", "no words"),
    "a name on two lines": (("What is it?", "1\n2"), 422, "invalid_request", "objects"),
    "no object": (("What is it?",), 422, "invalid_request", "objects"),
    "too many objects": (("What is it?", *"123456789"), 422, "invalid_request", "objects"),
    "too long": (("?" * 1001, "1"), 422, "invalid_request", "question"),
}


@pytest.mark.connected
@pytest.mark.parametrize(("asked", "status", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_questions_that_cannot_be_answered_say_why(
    yard: Yard, asked: tuple[str, ...], status: int, code: str, words: str
) -> None:
    told = yard.ask(*asked)
    assert (told.status_code, told.json()["code"]) == (status, code)
    assert words in told.json()["detail"] and "\n" not in told.json()["detail"]


@pytest.mark.connected
def test_an_unknown_camera_and_a_silly_timeout_are_named(yard: Yard, gateway: str) -> None:
    body = {"question": "What is it?", "objects": ["1"]}
    assert httpx.post(f"{gateway}/v1/cameras/nowhere:ask", json=body).json()["code"] == "camera_unknown"
    assert "timeout_s" in yard.ask("What is it?", "1", timeout_s=1e9).json()["detail"]


@pytest.mark.connected
def test_questions_and_answers_on_the_command_line(yard: Yard, gateway: str) -> None:
    told = _run(gateway, "ask", yard.id, "Where is <object1> going?", "--object", "2")
    assert told.exit_code == 0, told.output
    assert "sure" in told.stdout and "#2 seen at" in told.stdout and "captioner" in told.stdout
    whole = _run(gateway, "ask", yard.id, "What is it?", "--object", yard.tracks[0], "--json")
    assert json.loads(whole.stdout)["answer"]["prompt_id"] == "class"
    wrong = _run(gateway, "ask", yard.id, "Will it rain?", "--object", "1")
    assert wrong.exit_code == 1 and "this captioner only answers" in wrong.stderr
    assert wrong.stderr.count("\n") == 1


@pytest.mark.connected
def test_a_cameras_style_is_set_at_birth_and_later(gateway: str, settings: Settings) -> None:
    camera = Yard(gateway, settings)
    assert camera.subscribe(style="short").json()["style"] == "short"
    created = httpx.get(f"{gateway}/v1/cameras/{camera.id}").json()["created_at"]
    changed = httpx.patch(f"{gateway}/v1/cameras/{camera.id}", json={"style": "detailed"})
    assert changed.status_code == 200 and changed.json()["style"] == "detailed"
    assert changed.json()["created_at"] == created, "it is the same camera"
    told = _run(gateway, "camera", "set", camera.id, "--style", "short", "--instruction", "")
    assert told.exit_code == 0 and "style short, instruction none" in told.stdout
    assert httpx.get(f"{gateway}/v1/cameras/{camera.id}").json()["style"] == "short"
    assert _run(gateway, "camera", "set", camera.id).exit_code == 2
    assert "short or detailed" in _run(gateway, "camera", "set", camera.id, "--style", "long").stderr
    wrong = httpx.patch(f"{gateway}/v1/cameras/{camera.id}", json={"style": "long"})
    assert wrong.status_code == 422 and "style" in wrong.json()["detail"]
    httpx.delete(f"{gateway}/v1/cameras/{camera.id}")
    camera.publisher.close()


@pytest.mark.connected
@pytest.mark.parametrize(
    ("wanted", "cause"),
    [
        ({"instruction": "look for helmets"}, "cannot follow instructions"),
        ({"language": "de"}, "English only"),
    ],
)
def test_what_the_embedded_captioner_cannot_follow_is_refused_at_once(
    gateway: str, settings: Settings, wanted: dict, cause: str
) -> None:
    camera = Yard(gateway, settings)
    refused = camera.subscribe(**wanted)
    assert refused.status_code == 422 and refused.json()["code"] == "instruction_unsupported"
    assert cause in refused.json()["detail"]
    assert httpx.get(f"{gateway}/v1/cameras/{camera.id}").status_code == 404
    camera.publisher.close()


def test_settings_carry_a_cleaned_instruction() -> None:
    new = NewCamera(
        camera_id="a", source="b", instruction=" look <|im_end|>\n for <region>helmets ", language="de"
    )
    assert wording(new, any_question=True) == {"instruction": "look for helmets", "language": "de"}
    CameraSettings(**new.model_dump() | wording(new, True), created_at=1.0)
