"""The captioner on a real Triton: words in order, clear refusals, cancellation, deadlines, a server that dies."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from modeling.pixelrefer.profile import EMBEDDED, PUBLISHED, write_profile
from pipelines.ports import CaptionerUnavailable, CaptionRefused, CaptionRequest, ClipScene
from services.adapters.triton import MODEL, CaptionerChanged, TritonCaptioner, TritonSettings
from services.adapters.triton_tensors import tensors_of
from services.engines.errors import EngineError
from services.engines.stack import Stack, running_stack
from tests.fakes.tiny_captioner import make_tiny_captioner
from tests.services.conftest import CAPTIONER_QUEUE


def request(name: str = "r", frames: int = 3, **changes) -> CaptionRequest:
    """Noise with a rectangle of an object on each frame."""
    masks = np.zeros((frames, 30, 40), bool)
    masks[:, 5:15, 10:25] = True
    base = CaptionRequest(
        request_id=name,
        pictures=np.random.default_rng(3).integers(0, 255, (frames, 60, 80, 3), np.uint8),
        times_s=np.arange(frames, dtype=np.float32) / 4,
        masks=masks,
        mask_frames=tuple(range(frames)),
        objects=(0,) * frames,
        question="<region> until 4.0: Describe it in detail.",
        max_new_tokens=12,
        deadline_s=60.0,
    )
    return replace(base, **changes)


@pytest.fixture
def captioner(captioner_server: Stack) -> Iterator[TritonCaptioner]:
    captioner = TritonCaptioner(captioner_server.settings.triton_url)
    yield captioner
    captioner.close()


@pytest.mark.connected
def test_words_come_one_by_one_and_make_the_answer(captioner: TritonCaptioner) -> None:
    heard: list[tuple[str, float]] = []
    answer = captioner.describe(
        request(), lambda piece, probability: heard.append((piece, probability)) is None
    )
    assert answer.finish in ("stop", "length") and answer.text
    assert "".join(piece for piece, _ in heard).strip() == answer.text
    assert answer.pieces == tuple(piece for piece, _ in heard)
    assert all(0 < probability <= 1 for _, probability in heard)
    assert answer.object_tokens == 3 * 4 and answer.prompt_tokens > answer.object_tokens
    assert answer.model.startswith("captioner") and "@" in answer.model
    assert set(answer.stage_s) >= {"prepare", "encode", "decode"}
    assert replace(captioner.describe(request("again")), stage_s={}) == replace(answer, stage_s={})


REFUSED = {
    "no frames": ({"pictures": np.zeros((0, 4, 4, 3), np.uint8)}, "frames are empty"),
    "four channels": ({"pictures": np.zeros((3, 4, 4, 4), np.uint8)}, "shape for input 'FRAMES'"),
    "time is not a number": ({"times_s": np.array([0, np.nan, 1])}, "NaN"),
    "too few times": ({"times_s": np.zeros(2)}, "one time for each of 3 frames"),
    "no masks": ({"masks": np.zeros((0, 3, 3), bool), "mask_frames": (), "objects": ()}, "masks are empty"),
    "too many masks": (
        {"masks": np.ones((65, 8, 8), bool), "mask_frames": (0,) * 65, "objects": (0,) * 65},
        "65 masks are too many",
    ),
    "mask of no frame": ({"mask_frames": (0, 1, 7)}, "mask_frames must lie in 0..2"),
    "gap in objects": ({"objects": (0, 0, 2)}, "object 1 has no mask"),
    "no instruction": ({"question": ""}, "instruction is empty"),
    "more regions than objects": ({"question": "<region> and <region>"}, "names 2 regions"),
    "no tokens wanted": ({"max_new_tokens": 0}, "max_new_tokens"),
    "a clip of no camera": ({"scene": ClipScene("", "c0")}, "camera and clip must both be named"),
    "an unknown compression": ({"scene": ClipScene("gate", "c0", compression="9x9")}, "none of published"),
}


@pytest.mark.connected
@pytest.mark.parametrize(("changes", "cause"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_requests_get_one_clear_line_and_do_no_harm(
    captioner: TritonCaptioner, changes: dict, cause: str
) -> None:
    with pytest.raises(CaptionRefused) as refusal:
        captioner.describe(request("bad", **changes))
    assert cause in str(refusal.value) and "\n" not in str(refusal.value)
    assert captioner.describe(request("good")).text


@pytest.mark.connected
def test_naming_the_clip_changes_no_word_and_the_cost_is_told(captioner: TritonCaptioner) -> None:
    plain = captioner.describe(request())
    named = [captioner.describe(request(scene=ClipScene("gate", "c0"))) for _ in range(2)]
    assert [answer.pieces for answer in named] == [plain.pieces] * 2
    assert plain.budget == named[0].budget == {"object": 12, "text": plain.prompt_tokens - 12}


@pytest.mark.connected
def test_the_captioner_says_how_it_wants_to_be_asked(captioner_server: Stack) -> None:
    captioner = TritonCaptioner(captioner_server.settings.triton_url, assumed=PUBLISHED["pixelrefer"])
    try:
        assert captioner.profile() == EMBEDDED, "its own word counts, not what was assumed"
        with pytest.raises(CaptionerChanged):
            captioner.describe(request(questions="any"))
        assert captioner.describe(request(questions="own")).text
    finally:
        captioner.close()


@pytest.mark.connected
def test_the_scene_may_be_left_out(captioner_server: Stack) -> None:
    answers: queue.Queue[object] = queue.Queue()
    inputs = [tensor for tensor in tensors_of(request()) if tensor.name() != "SCENE"]
    with InferenceServerClient(captioner_server.settings.triton_url) as client:
        client.start_stream(callback=lambda result, error: answers.put(error or result))
        client.async_stream_infer(MODEL, inputs, request_id="1")
        first = answers.get(timeout=60)
        assert not isinstance(first, Exception), first
        client.stop_stream(cancel_requests=True)


@pytest.mark.connected
def test_a_cancelled_answer_frees_the_captioner(captioner: TritonCaptioner) -> None:
    heard: list[str] = []
    endless = request("endless", max_new_tokens=2000)
    answer = captioner.describe(endless, lambda piece, _: heard.append(piece) or len(heard) < 3)
    assert answer.finish == "cancelled" and len(answer.pieces) == 3
    assert captioner.describe(request("next", deadline_s=20.0)).finish != "cancelled"


@pytest.mark.connected
def test_an_answer_past_its_deadline_is_given_up(captioner: TritonCaptioner) -> None:
    with pytest.raises(CaptionerUnavailable, match="Triton at"):
        captioner.describe(request("late", max_new_tokens=2000, deadline_s=0.3))
    assert captioner.describe(request("next")).text


@pytest.mark.connected
def test_two_clients_at_once_get_their_own_words(captioner_server: Stack) -> None:
    answers: dict[str, object] = {}

    def ask(name: str, frames: int) -> None:
        captioner = TritonCaptioner(captioner_server.settings.triton_url)
        try:
            answers[name] = captioner.describe(request(name, frames)).prompt_tokens
        finally:
            captioner.close()

    threads = [threading.Thread(target=ask, args=(f"of {frames}", frames)) for frames in (1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers["of 4"] > answers["of 1"] > 0  # type: ignore[operator]


@pytest.mark.connected
def test_more_requests_than_the_queue_holds_are_told_so(captioner_server: Stack) -> None:
    """Straight at the server, without our client's patience."""
    errors: queue.Queue[str] = queue.Queue()
    with InferenceServerClient(captioner_server.settings.triton_url) as client:
        client.start_stream(callback=lambda result, error: errors.put(str(error)) if error else None)
        for number in range(CAPTIONER_QUEUE + 4):
            client.async_stream_infer(
                MODEL, tensors_of(request(f"{number}", max_new_tokens=2000)), request_id=f"{number}"
            )
        assert f"busy: {CAPTIONER_QUEUE} requests wait already" in errors.get(timeout=30)
        client.stop_stream(cancel_requests=True)


@pytest.mark.connected
@pytest.mark.slow
def test_a_killed_server_is_found_again(captioner_server: Stack, captioner: TritonCaptioner) -> None:
    first = captioner.describe(request("before")).text
    os.killpg(captioner_server.pids()["triton"], signal.SIGKILL)
    assert captioner.describe(request("after", deadline_s=120.0)).text == first


@pytest.mark.connected
@pytest.mark.slow
def test_another_captioner_is_asked_anew(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = make_tiny_captioner(folder("changing"))
    write_profile(weights, replace(EMBEDDED, frames=3, long_side_px=64))
    monkeypatch.setenv("STREAMREFER_CAPTIONER", str(weights))
    with running_stack(folder("triton-changing"), {"triton"}) as stack:
        captioner = TritonCaptioner(stack.settings.triton_url)
        assert (captioner.profile().frames, captioner.profile().long_side_px) == (3, 64)
        write_profile(weights, replace(EMBEDDED, frames=5, questions="any"))
        os.killpg(stack.pids()["triton"], signal.SIGKILL)
        with pytest.raises(CaptionerChanged):
            captioner.describe(request("before", questions="own", deadline_s=120.0))
        assert captioner.profile() == replace(EMBEDDED, frames=5, questions="any")
        captioner.close()


@pytest.mark.connected
def test_missing_weights_are_named(folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREFER_CAPTIONER", "/nowhere/captioner")
    data = folder("triton-without-weights")
    with pytest.raises(EngineError), running_stack(data, {"triton"}):
        pass
    logs = "".join(path.read_text() for path in data.rglob("triton.log"))
    assert "captioner weights in /nowhere/captioner: there is no such folder" in logs


def test_nobody_listening_is_said_within_the_deadline() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        captioner = TritonCaptioner(f"127.0.0.1:{taken.getsockname()[1]}", TritonSettings(connect_s=0.5))
        assert not captioner.is_ready() and captioner.profile() == EMBEDDED
        began = time.monotonic()
        with pytest.raises(CaptionerUnavailable, match="Triton at 127.0.0.1"):
            captioner.describe(request(deadline_s=1.0))
        assert time.monotonic() - began < 10


def test_tensors_have_the_types_of_the_model() -> None:
    tensors = {tensor.name(): tensor for tensor in tensors_of(request())}
    assert tensors["FRAMES"].shape() == [3, 60, 80, 3] and tensors["FRAMES"].datatype() == "UINT8"
    assert tensors["MASKS"].datatype() == "UINT8" and tensors["INSTRUCTION"].datatype() == "BYTES"
