"""Ports: remembered, checked, never handed out twice."""

from __future__ import annotations

import socket
import threading

import pytest

from services.engines.errors import EngineError
from services.engines.ports import HOST, Ports, is_free


@pytest.fixture
def held() -> socket.socket:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server


def _number(server: socket.socket) -> int:
    return server.getsockname()[1]


def test_a_name_keeps_its_port() -> None:
    ports = Ports({})
    first = ports.of("kafka")
    assert ports.of("kafka") == first
    assert Ports(ports.taken).of("kafka") == first


def test_two_names_never_share_a_port() -> None:
    ports = Ports({"kafka": 20_500, "s3": 20_500})
    assert ports.of("kafka") != ports.of("s3")


def test_a_remembered_port_that_is_taken_is_replaced(held: socket.socket) -> None:
    assert not is_free(_number(held))
    assert Ports({"kafka": _number(held)}).of("kafka") != _number(held)


def test_a_taken_port_set_by_the_user_is_refused_by_number_and_option(held: socket.socket) -> None:
    with pytest.raises(EngineError, match=rf"port {_number(held)} for gateway is already taken.*--port"):
        Ports({}, {"gateway": _number(held)}).of("gateway")
    with pytest.raises(EngineError, match="--engine-port kafka=PORT"):
        Ports({}, {"kafka": _number(held)}).of("kafka")


def test_a_remembered_port_that_is_about_to_be_free_is_waited_for(held: socket.socket) -> None:
    port = held.getsockname()[1]
    closing = threading.Timer(0.3, held.close)
    closing.start()
    assert Ports({"kafka": port}).of("kafka") == port
    closing.join()
