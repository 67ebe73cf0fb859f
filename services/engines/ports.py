"""TCP ports on loopback: chosen free at the first start, remembered, and checked when the user sets one."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Mapping

from services.engines.errors import EngineError

HOST = "127.0.0.1"
# Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes a port between choice and use.
CHOICE = range(20_000, 32_000)
TRIES = 200
SETTLE_S = 2.0
"""How long an engine that has just ended may still hold its port."""


def is_free(port: int, host: str = HOST) -> bool:
    """True when a server could listen on the port now (connections still closing do not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def soon_free(port: int, host: str = HOST) -> bool:
    """Like `is_free`, but waits a moment for whoever is just ending."""
    deadline = time.monotonic() + SETTLE_S
    while not (free := is_free(port, host)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return free


def check_host(host: str) -> None:
    """Raise EngineError unless a server could listen on this address of the machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            raise EngineError(
                f"cannot listen on {host} (an IPv4 address of this machine is wanted): {error}"
            ) from error


class Ports:
    """Hands out one port per name, the same as last time where it is still free.

    Args:
        remembered: name to port from an earlier start.
        wanted: name to port set by the user; such a port is never replaced by another.
    """

    def __init__(self, remembered: Mapping[str, int], wanted: Mapping[str, int] | None = None) -> None:
        self._remembered = dict(remembered)
        self._wanted = dict(wanted or {})
        self.taken: dict[str, int] = {}

    def of(self, name: str, host: str = HOST) -> int:
        """The port of this name.

        Raises:
            EngineError: the user set a port that another program holds, or no port is free.
        """
        if name not in self.taken:
            self.taken[name] = self._choose(name, host)
        return self.taken[name]

    def _choose(self, name: str, host: str) -> int:
        if name in self._wanted:
            return self._checked(name, self._wanted[name], host)
        before = self._remembered.get(name)
        if before is not None and before not in self.taken.values() and soon_free(before, host):
            return before
        for port in random.sample(CHOICE, TRIES):
            if port not in self.taken.values() and is_free(port, host):
                return port
        raise EngineError(f"no free port found for {name} between {CHOICE.start} and {CHOICE.stop}")

    def _checked(self, name: str, port: int, host: str) -> int:
        if port in self.taken.values() or not is_free(port, host):
            option = "--port" if name == "gateway" else f"--engine-port {name}=PORT"
            raise EngineError(
                f"port {port} for {name} is already taken: stop what holds it, or choose another ({option})"
            )
        return port
