"""Hostile requests to the real model: a clear word for each, others unharmed, the server alive, memory bounded."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from services.adapters.triton import MODEL
from services.engines.stack import Stack
from tests.services.adapters.hostile_requests import (
    BAD,
    EMPTY_OR_HUGE,
    Sent,
    ends_the_model,
    ends_triton_on_a_stream,
    good,
    odd,
)

DEADLINE_S = 60.0
ROUNDS, ROUND = 2, 100
GROWTH_MB = 64.0
OURS = ("refused: ", "deadline: ")
"""How errors of the model itself begin; all others here are Triton's own."""

Stub = service_pb2_grpc.GRPCInferenceServiceStub


@pytest.fixture
def stub(captioner_server: Stack) -> Iterator[Stub]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(captioner_server.settings.triton_url, options=options) as channel:
        yield Stub(channel)


def tell(stub: Stub, sent: Sent, request_id: str) -> tuple[str, str]:
    """The answer's whole text and the error, one of them empty; each within the deadline."""
    try:
        replies = list(stub.ModelStreamInfer(iter([sent.message(request_id)]), timeout=DEADLINE_S))
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), (
            sent.name,
            error,
        )
        return "", str(error.details())
    errors = [reply.error_message for reply in replies if reply.error_message]
    assert len(errors) <= 1, (sent.name, errors)
    if errors:
        return "", errors[0]
    return "".join(_text(reply.infer_response) for reply in replies), ""


def _text(response: pb.ModelInferResponse) -> str:
    """The piece of text in one response, all of them but the last, which repeats the whole."""
    values = {out.name: raw for out, raw in zip(response.outputs, response.raw_output_contents, strict=True)}
    whole = values.get("FINAL", b"")[4:]  # a length comes before each text
    return "" if whole else values.get("TEXT", b"")[4:].decode()


def memory_mb(group: int) -> float:
    """Resident memory of all processes of the server's group."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
            total += int(fields[21]) if int(fields[2]) == group else 0
        except (OSError, IndexError):
            continue  # it has just ended
    return total * 4096 / 1e6


@pytest.mark.connected
def test_hostile_requests_are_refused_and_do_no_harm(stub: Stub, captioner_server: Stack) -> None:
    chance = random.Random(20)
    expected = tell(stub, good(), "first")[0]
    assert expected
    group, after = captioner_server.pids()["triton"], []
    for number in range(ROUNDS * ROUND):
        strange = number % 10 == 9
        sent = odd(good(), chance) if strange else chance.choice(BAD)(good(), chance)
        text, error = tell(stub, sent, f"bad-{number}")
        assert text or error, sent.name
        assert strange or not text, f"{sent.name} was answered"
        assert "\n" not in error and len(error) < 1000, (sent.name, error)
        if not strange and error.startswith(OURS):
            assert error.startswith("refused: ") and len(error) > len("refused: "), (sent.name, error)
        if number % 10 == 5:
            assert tell(stub, good(), f"good-{number}") == (expected, ""), f"after {sent.name}"
        if number % ROUND == ROUND - 1:
            after.append(memory_mb(group))
    assert stub.ModelReady(pb.ModelReadyRequest(name=MODEL), timeout=10).ready
    assert captioner_server.pids()["triton"] == group, "the server was never restarted"
    assert after[-1] - after[0] < GROWTH_MB, after


@pytest.mark.connected
@pytest.mark.parametrize("what", EMPTY_OR_HUGE)
def test_each_wrong_value_is_refused(stub: Stub, what: str) -> None:
    text, error = tell(stub, good().with_(*EMPTY_OR_HUGE[what]), "bad")
    assert not text and error and "\n" not in error


@pytest.mark.connected
def test_a_hostile_request_among_others_on_one_stream_harms_none(stub: Stub) -> None:
    """Bad ones between two good ones that are still being answered."""
    chance = random.Random(4)
    expected = tell(stub, good(tokens=40), "alone")[0]
    messages = [good(tokens=40).message("one")]
    bad = (chance.choice(BAD)(good(), chance) for _ in range(100))
    survived = [sent for sent in bad if not ends_triton_on_a_stream(sent)][:6]
    messages += [sent.message(f"bad-{number}") for number, sent in enumerate(survived)]
    messages.append(good(tokens=40).message("two"))
    told = {"one": "", "two": ""}
    errors = 0
    for reply in stub.ModelStreamInfer(iter(messages), timeout=DEADLINE_S):
        errors += bool(reply.error_message)
        if not reply.error_message and reply.infer_response.id in told:
            told[reply.infer_response.id] += _text(reply.infer_response)
    assert told == {"one": expected, "two": expected} and errors == 6


@pytest.mark.connected
def test_a_model_whose_process_a_request_ended_is_soon_back(stub: Stub, captioner_server: Stack) -> None:
    """Nothing of ours can refuse such a request: Triton is started again, and answers as before."""
    expected = tell(stub, good(), "before")
    group = captioner_server.pids()["triton"]
    with suppress(
        grpc.RpcError
    ):  # an error in a reply, or none: Triton may be stopped before it has answered
        list(stub.ModelStreamInfer(iter([ends_the_model(good()).message("bad")]), timeout=DEADLINE_S))
    deadline = time.monotonic() + DEADLINE_S
    while captioner_server.pids()["triton"] == group:
        assert time.monotonic() < deadline, "nobody saw that the model had ended"
        time.sleep(0.1)
    assert answer_within(stub, DEADLINE_S) == expected


def answer_within(stub: Stub, seconds: float) -> tuple[str, str]:
    """What a good request is told by a server that may still be starting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if stub.ModelReady(pb.ModelReadyRequest(name=MODEL), timeout=10).ready:
                return tell(stub, good(), "after")
        except grpc.RpcError:
            pass
        assert time.monotonic() < deadline, "the server did not come back"
        time.sleep(0.2)
