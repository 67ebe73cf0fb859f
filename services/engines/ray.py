"""Ray's head node as a child, small enough for a laptop, and the program that runs our application on it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import grpc

from services.engines.child import ChildSpec, Launch, Say, python_command, python_path
from services.engines.errors import EngineError
from services.engines.ports import HOST, Ports
from services.engines.state import State

CPUS = 2
OBJECT_STORE_BYTES = 200_000_000
CHECK_TIMEOUT_S = 3.0
# Ray puts sockets below its folder, and a socket's path has at most 107 characters.
LONGEST_FOLDER = 40
NODES_METHOD = "/ray.rpc.NodeInfoGcsService/GetAllNodeInfo"
# The variable named after Windows keeps Ray on 127.0.0.1: without it, Ray puts the machine's public address
# even where it was told to use that one.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # By default Ray's workers yield to everything else (nice 15): the tracker would starve beside Triton.
    "RAY_worker_niceness": "0",
    # A busy small machine: Ray's own limits for a node (30 s) and a worker (60 s) to begin are too short for it.
    "RAY_raylet_start_wait_time_s": "60",
    "RAY_worker_register_timeout_seconds": "150",
    "RAY_agent_register_timeout_ms": "150000",
}


@dataclass(frozen=True)
class ServeApp:
    """The application to run on Ray Serve.

    Attributes:
        import_path: ``module:name`` of an application, or of a function that builds one from ``args``.
        args: passed to that function.
        name: the application's name on Ray.
        http_port: where Serve's own HTTP proxy listens; 0 starts none, which saves some 100 MB.
        ready_timeout_s: how long its replicas may take to load.
    """

    import_path: str
    args: Mapping[str, str] = field(default_factory=dict)
    name: str = "streamrefer"
    http_port: int = 0
    ready_timeout_s: float = 300.0


def ray_environment(token: str) -> dict[str, str]:
    """Ray's own variables for its token; without one, any user of the machine could run code on the cluster."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {}


def ray_spec(state: State, ports: Ports, environment: Mapping[str, str]) -> tuple[ChildSpec, str]:
    """The head node and its address (host:port); ``environment`` reaches every worker."""
    address = f"{HOST}:{ports.of('ray')}"
    token = environment.get("RAY_AUTH_TOKEN", "")
    argv = python_command("-m", "services.engines.ray_head", *_options(ports))
    spec = ChildSpec(
        name="ray",
        prepare=lambda say: _prepare(state, argv, environment, say),
        ready=lambda: check_ray(address, token),
        layer=1,
    )
    return spec, address


def check_ray(address: str, token: str = "") -> None:
    """Return when the cluster's control store lists at least one node; raise otherwise.

    Asks by gRPC without importing Ray, which would cost this process a second and 100 MB.
    """
    proof = (("authorization", f"Bearer {token}"),) if token else None
    with grpc.insecure_channel(address) as channel:
        answer = channel.unary_unary(NODES_METHOD)(b"", timeout=CHECK_TIMEOUT_S, metadata=proof)
    if len(answer) < 16:  # a status alone: no node has registered yet
        raise ConnectionError("no node has registered yet")


def serve_spec(
    state: State, app: ServeApp, ray_address: str, environment: Mapping[str, str], after: tuple[str, ...]
) -> ChildSpec:
    """The child that deploys the application, watches it and shuts it down; it imports while engines start."""
    status = state.subfolder("run") / "serve.json"
    argv = python_command("-m", "services.engines.serve_app", *_app_options(app, ray_address, status))

    def prepare(_say: Say) -> Launch:
        status.unlink(missing_ok=True)
        return Launch(argv, env={**QUIET, "PYTHONPATH": python_path(), **environment})

    return ChildSpec(
        name="serve",
        prepare=prepare,
        ready=lambda: _check_status(status),
        after=after,
        warm=True,
        layer=2,
        ready_timeout_s=app.ready_timeout_s,
        stop_grace_s=45.0,  # replicas finish their clip and leave the consumer group
    )


def _check_status(status: Path) -> None:
    if not status.exists():
        raise ConnectionError("its replicas are loading")
    if (state := json.loads(status.read_text())["status"]) != "RUNNING":
        raise ConnectionError(f"the application is {state}")


def _app_options(app: ServeApp, ray_address: str, status: Path) -> tuple[str, ...]:
    if ":" not in app.import_path:
        raise EngineError(f"serve: application {app.import_path!r} must have the form module:name")
    return (
        *("--address", ray_address, "--app", app.import_path, "--args", json.dumps(dict(app.args))),
        *("--name", app.name, "--http-port", str(app.http_port), "--status", str(status)),
    )


def _options(ports: Ports) -> tuple[str, ...]:
    agents = (str(ports.of(f"ray_{name}")) for name in ("agent", "metrics", "export", "runtime"))
    return (
        *("--port", str(ports.of("ray")), "--agent-ports", *agents),
        *("--cpus", str(CPUS), "--object-store-bytes", str(OBJECT_STORE_BYTES)),
    )


def _prepare(state: State, argv: tuple[str, ...], environment: Mapping[str, str], say: Say) -> Launch:
    folder = _folder(state)
    say("clearing old sessions")
    for old in folder.glob("session_*"):
        if old.is_symlink():
            old.unlink()
        else:
            shutil.rmtree(old, ignore_errors=True)
    _link(state.logs / "replicas", folder / "session_latest" / "logs" / "serve")
    return Launch((*argv, "--folder", str(folder)), env={**QUIET, "PYTHONPATH": python_path(), **environment})


def _link(name: Path, target: Path) -> None:
    """Lead from the logs of the stack to those of the replicas, which Ray keeps in a folder of its own."""
    name.unlink(missing_ok=True)
    name.symlink_to(target)


def _folder(state: State) -> Path:
    """Where Ray keeps sessions and their logs: in the data folder, or in /tmp when its path is too long.

    Ray makes its folder writable for everyone, so the one around it must be closed to others.
    """
    folder = state.folder / "ray"
    if len(str(folder)) > LONGEST_FOLDER:
        digest = sha256(str(state.folder).encode()).hexdigest()[:12]
        folder = _private(Path(tempfile.gettempdir()) / f"streamrefer-{digest}") / "ray"
    folder.mkdir(exist_ok=True)
    return folder


def _private(folder: Path) -> Path:
    """The folder, made when missing; raises EngineError when it belongs to someone else or is open to others."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EngineError(
            f"ray: {folder} is not this user's alone: remove it, or choose a shorter path with --data"
        )
    return folder
