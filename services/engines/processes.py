"""Our own services as children: ingest and gateway, plain Python processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import httpx

from services.engines.child import ChildSpec, Launch, Say, python_command, python_path
from services.engines.ports import HOST, Ports, check_host

CHECK_TIMEOUT_S = 3.0
SETTLED_S = 1.5


def gateway_spec(
    ports: Ports, environment: Mapping[str, str], after: tuple[str, ...], host: str = HOST
) -> tuple[ChildSpec, str]:
    """The gateway and its address for a browser on this machine."""
    check_host(host)
    port = ports.of("gateway", host)
    reachable = HOST if host in ("0.0.0.0", "::") else host
    url = f"http://{reachable}:{port}"
    listen = {"STREAMREFER_GATEWAY_HOST": host, "STREAMREFER_GATEWAY_PORT": str(port)}
    spec = _service("gateway", {**environment, **listen}, after, lambda: check_gateway(url))
    return spec, url


def ingest_spec(environment: Mapping[str, str], after: tuple[str, ...]) -> ChildSpec:
    """The ingest process; it serves no port, so living for a while is taken for readiness."""
    settled = Settled(SETTLED_S)
    return _service("ingest", environment, after, settled.check, settled.begin)


def check_gateway(url: str) -> None:
    """Return when the gateway says that it is ready; raise otherwise."""
    httpx.get(f"{url}/readyz", timeout=CHECK_TIMEOUT_S).raise_for_status()


class Settled:
    """A check that passes some seconds after ``begin``: for a process that can only be seen to live."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began_s = time.monotonic()

    def begin(self) -> None:
        """The process is being started."""
        self._began_s = time.monotonic()

    def check(self) -> None:
        """Raise until the time has passed."""
        if time.monotonic() - self._began_s < self._seconds:
            raise ConnectionError("it has only just started")


def _service(
    name: str,
    environment: Mapping[str, str],
    after: tuple[str, ...],
    ready: Callable[[], None],
    begin: Callable[[], None] = lambda: None,
) -> ChildSpec:
    def prepare(_say: Say) -> Launch:
        begin()
        argv = python_command("-m", f"services.{name}.app")
        return Launch(argv, env={"PYTHONPATH": python_path(), **environment})

    return ChildSpec(
        name=name,
        prepare=prepare,
        ready=ready,
        after=after,
        layer=3,
        ready_timeout_s=120.0,
        stop_grace_s=15.0,
    )
