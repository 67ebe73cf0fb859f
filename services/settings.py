"""Addresses and credentials of every engine, from the environment, a settings file or a running ``up``.

Precedence, strongest first: ``STREAMREFER_*`` variables, the JSON file named by ``STREAMREFER_SETTINGS``, the
addresses that a running ``streamrefer up`` wrote into its data folder, and the defaults below.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "STREAMREFER_"
DEFAULT_DATA = Path(".streamrefer")
DEFAULT_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
STATE_FILE = "engines.json"


class SettingsError(ValueError):
    """A settings file or variable that cannot be used; the text is one line for the user."""


class Settings(BaseModel):
    """Where the engines are. An empty address means: not configured, nothing running that we know of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(DEFAULT_DATA, description="folder that holds all state of an embedded stack")
    weights: Path = Field(DEFAULT_WEIGHTS, description="folder with one folder of weights for each model")
    kafka_bootstrap: str = Field("", description="host:port of Apache Kafka, several separated by commas")
    s3_endpoint: str = Field("", description="host:port of the S3 server, without scheme")
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")
    s3_bucket: str = "streamrefer"
    s3_secure: bool = Field(False, description="speak TLS to the S3 server")
    triton_url: str = Field("", description="host:port of Triton's gRPC endpoint")
    ray_address: str = Field("", description="host:port of Ray's head")
    ray_token: SecretStr = Field(SecretStr(""), description="token of a Ray cluster that wants one")
    gateway_url: str = Field("", description="http://host:port of our own gateway")

    def environment(self) -> dict[str, str]:
        """The same settings as ``STREAMREFER_*`` variables, to hand to a child process."""
        return {PREFIX + name.upper(): _as_text(value) for name, value in self.plain().items()}

    def plain(self) -> dict[str, Any]:
        """JSON values with the secrets in clear: for children and for the owner's own file, never for a log."""
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self.model_dump().items()
        } | {"data": str(self.data), "weights": str(self.weights)}


def load_settings(
    data: Path | None = None, environ: Mapping[str, str] = os.environ, running: bool = True
) -> Settings:
    """Merge all places where settings live.

    Args:
        data: the stack's data folder; by default ``STREAMREFER_DATA`` or ``.streamrefer``.
        environ: the variables to read, ``os.environ`` unless told otherwise.
        running: whether to fill gaps with the addresses of the stack that runs on the folder.
    Raises:
        SettingsError: a file is not readable JSON, or a value has the wrong form.
    """
    from_environment = {
        name: environ[PREFIX + name.upper()]
        for name in Settings.model_fields
        if environ.get(PREFIX + name.upper())
    }
    values: dict[str, Any] = {}
    if path := environ.get(PREFIX + "SETTINGS"):
        values |= _read_file(Path(path))
    values |= from_environment
    if data is not None:
        values["data"] = data
    folder = Path(values.get("data", DEFAULT_DATA))
    announced = _running_addresses(folder) if running else {}
    return _validated(announced | values | {"data": folder})


def _validated(values: dict[str, Any]) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {name or '(file)'}: {first['msg']}") from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SettingsError(f"settings file {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"settings file {path} must hold one JSON object")
    return values


def _running_addresses(data: Path) -> dict[str, Any]:
    """What the stack in this folder announced, or nothing when none runs."""
    try:
        state = json.loads((data / STATE_FILE).read_text())
    except (OSError, ValueError):
        return {}
    settings = state.get("settings") if isinstance(state, dict) and is_alive(state.get("pid")) else None
    known = Settings.model_fields.keys() - {"data"}
    return {name: value for name, value in (settings or {}).items() if name in known}


def is_alive(pid: object) -> bool:
    """Whether a process of that id exists (it may be another user's)."""
    return isinstance(pid, int) and Path(f"/proc/{pid}").exists()


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
