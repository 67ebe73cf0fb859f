"""Triton as a child: the server and its Python backend from a wheel, on a model repository of ours."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tritonclient.grpc import InferenceServerClient

from services.engines import leftovers
from services.engines.child import ChildSpec, Launch, Say, python_path
from services.engines.errors import EngineError
from services.engines.ports import HOST, Ports
from services.engines.state import State

CHECK_TIMEOUT_S = 3.0
EXIT_TIMEOUT_S = 3
STUB = "triton_python_backend_stub"
_ALLOCATOR = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 20),
}
"""glibc's: small features kept from clip to clip would pin the large temporary blocks that lie between them."""
"""The program that runs a Python model, one process each."""
PYTHON_BACKEND = 'backend: "python"'
NEEDS = re.compile(r'key: "needs" value: \{ string_value: "(\w+)" \}')
"""Parameter of a config.pbtxt: a variable without which the model is not loaded."""


def triton_spec(
    state: State, ports: Ports, models: Path, environment: dict[str, str], server: Path | None = None
) -> tuple[ChildSpec, str]:
    """The child and its gRPC address (host:port).

    Args:
        models: the model repository, one folder a model.
        environment: added to the Python models' environment (for example where the weights are).
        server: another ``tritonserver`` than the wheel's.
    Raises:
        EngineError: there is no model repository, or the wheel is not installed.
    """
    names = model_names(models, environment)
    url = f"{HOST}:{ports.of('triton_grpc')}"
    listen = _addresses(ports)
    spec = ChildSpec(
        name="triton",
        prepare=lambda say: _prepare(state, models, names, listen, environment, server, say),
        ready=lambda: check_triton(url, names),
        unwell=lambda mark: missing_backends(mark, models, names),
        layer=1,
        # It may ignore SIGTERM for good while a client holds a stream open; then its group is killed.
        stop_grace_s=6.0,
    )
    return spec, url


def check_triton(url: str, models: tuple[str, ...] = ()) -> None:
    """Return when the server and the named models are ready; raise otherwise."""
    client = InferenceServerClient(url)
    try:
        if not client.is_server_ready(client_timeout=CHECK_TIMEOUT_S):
            raise ConnectionError("the server is up but not ready")
        for name in models:
            if not client.is_model_ready(name, client_timeout=CHECK_TIMEOUT_S):
                raise ConnectionError(f"model {name} is not ready")
    finally:
        client.close()


def missing_backends(mark: str, models: Path, names: tuple[str, ...]) -> str | None:
    """Why Triton must be started again: a model's own process is gone. None when all is well.

    Triton 2.51 goes on saying that such a model is ready, and answers nothing.
    """
    wanted = sum(PYTHON_BACKEND in (models / name / "config.pbtxt").read_text() for name in names)
    living = sum(STUB in leftovers.command(pid) for pid in leftovers.marked(mark))
    return f"only {living} of {wanted} Python models still run" if living < wanted else None


def model_names(models: Path, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of a repository's models: folders with a ``config.pbtxt`` that need no variable, or one that is set."""
    found = sorted(models.glob("*/config.pbtxt"))
    if not found:
        raise EngineError(f"triton: no model (a folder with config.pbtxt) in {models}")
    return tuple(
        path.parent.name for path in found if all(map(environment.get, NEEDS.findall(path.read_text())))
    )


def _addresses(ports: Ports) -> tuple[str, ...]:
    """Listening options of the three endpoints, all on loopback."""
    arguments: list[str] = []
    for kind in ("http", "grpc", "metrics"):
        port = str(ports.of(f"triton_{kind}"))
        arguments += [f"--{kind}-address", HOST, f"--{kind}-port", port]
    return tuple(arguments)


def _prepare(
    state: State,
    models: Path,
    names: tuple[str, ...],
    listen: tuple[str, ...],
    environment: dict[str, str],
    server: Path | None,
    say: Say,
) -> Launch:
    wheel = _wheel()
    say("laying out its Python backend")
    backends = _lay_out_backends(wheel, state.subfolder("triton") / "backends")
    program = server or wheel / "bin" / "tritonserver"
    argv = (
        str(program),
        *("--model-repository", str(models.absolute()), "--backend-directory", str(backends)),
        *("--model-control-mode", "explicit", *(f"--load-model={name}" for name in names)),
        *listen,
        *("--exit-timeout-secs", str(EXIT_TIMEOUT_S), "--allow-metrics", "true"),
    )
    return Launch(argv, env={**_libraries(wheel), **_ALLOCATOR, "PYTHONPATH": python_path(), **environment})


def _wheel() -> Path:
    spec = find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise EngineError(
            "triton: its wheel is not installed: run `make setup`, or set STREAMREFER_TRITON_URL"
        )
    return Path(spec.origin).with_name("tritonserver")


def _lay_out_backends(wheel: Path, folder: Path) -> Path:
    """Triton wants library, helper and this Python's stub in one folder; the wheel has them apart."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel / "python_backend_stubs" / python / STUB
    if not stub.is_file():
        raise EngineError(f"triton: its wheel has no Python backend for Python {python}; use Python 3.11")
    target = folder / "python"
    target.mkdir(parents=True, exist_ok=True)
    sources = [path for path in (wheel / "backends" / "python").iterdir() if path.is_file()]
    for source in (*sources, stub):
        fresh = target / (source.name + ".new")
        shutil.copy2(source, fresh)
        fresh.replace(target / source.name)
    (target / stub.name).chmod(0o755)
    return folder


def _libraries(wheel: Path) -> dict[str, str]:
    """The stub must load this interpreter's own libpython, not the distribution's of the same name."""
    bundled = wheel.parents[1] / "nvidia_pytriton.libs"
    own = sysconfig.get_config_var("LIBDIR")
    path = [str(bundled), str(own), *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(part for part in path if part),
        "PATH": os.pathsep.join(programs),
    }
