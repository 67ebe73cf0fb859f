"""``streamrefer doctor``: is this machine fit to run, and does what runs here answer?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.engines.child import REPOSITORY
from services.engines.errors import EngineError
from services.engines.kafka import check_kafka, java, resolve_jars
from services.engines.plan import weight_folders
from services.engines.processes import check_gateway
from services.engines.ray import check_ray
from services.engines.s3 import check_s3, find_juicefs, find_minio
from services.engines.triton import check_triton
from services.settings import DEFAULT_DATA, Settings, SettingsError, load_settings
from services.tiers import TierUnusable

MEMORY_GB, DISK_GB = 4.0, 8.0
SIGNS = {"ok": "[green]ok[/]", "warn": "[yellow]look[/]", "fail": "[red]wrong[/]", "off": "[dim]off[/]"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``state`` is ok, warn (may be a trouble), fail, or off (not running)."""

    what: str
    state: str
    words: str


def doctor(
    data: Path = typer.Option(DEFAULT_DATA, "--data", envvar="STREAMREFER_DATA", help="folder of all state"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
) -> None:
    """Check Python, packages, Java, memory, disk, weights, and every engine that is running. Exit code 1 on faults."""
    findings = list(examine(data))
    if as_json:
        typer.echo(
            json.dumps({"ok": is_fit(findings), "findings": [asdict(finding) for finding in findings]})
        )
    else:
        _print(findings)
    raise typer.Exit(0 if is_fit(findings) else 1)


def is_fit(findings: list[Finding]) -> bool:
    """Whether nothing is wrong."""
    return all(finding.state != "fail" for finding in findings)


def examine(data: Path) -> Iterator[Finding]:
    """All findings, the machine first, then the engines."""
    yield _python()
    yield packages()
    yield _tried("java", _java)
    yield _tried("kafka jars", lambda: f"{len(resolve_jars(lambda _: None))} jars, checksums right")
    yield _tried("s3 server", _s3_program)
    yield memory(Path("/proc/meminfo").read_text())
    yield _disk(data)
    try:
        settings = load_settings(data)
    except SettingsError as error:
        yield Finding("settings", "fail", str(error))
        return
    yield _weights(settings)
    yield from _engines(settings)


def packages() -> Finding:
    """Whether everything pyproject.toml asks for is installed, in the version of the lock."""
    locked = _locked_versions()
    wrong = [
        f"{name} {installed or 'missing'} (want {wanted})"
        for name, wanted in locked.items()
        if (installed := _installed(name)) != wanted
    ]
    if wrong:
        return Finding("packages", "fail", f"run `make setup`: {', '.join(wrong[:5])}")
    return Finding("packages", "ok", f"{len(locked)} as locked")


def memory(meminfo: str) -> Finding:
    """Judge the text of /proc/meminfo."""
    free_gb = int(re.search(r"MemAvailable:\s+(\d+)", meminfo).group(1)) / 1e6  # type: ignore[union-attr]
    state = "ok" if free_gb >= MEMORY_GB else "warn"
    return Finding("memory", state, f"{free_gb:.1f} GB available, {MEMORY_GB:.0f} GB wanted")


def weights(folders: Mapping[str, Path]) -> Finding:
    """Whether each model's weights are there; ``folders`` by the variable that can name another."""
    lacking = [
        f"{folder} ({name})" for name, folder in folders.items() if not list(folder.glob("*.safetensors"))
    ]
    if lacking:
        return Finding("weights", "fail", f"no safetensors in {' and '.join(lacking)}")
    return Finding("weights", "ok", ", ".join(folder.name for folder in folders.values()))


def _weights(settings: Settings) -> Finding:
    try:
        return weights(weight_folders(settings))
    except TierUnusable as error:
        return Finding("weights", "fail", str(error))


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    state = "ok" if sys.version_info[:2] == (3, 11) else "fail"
    return Finding("python", state, version if state == "ok" else f"{version}; Triton's wheel wants 3.11")


def _java() -> str:
    done = subprocess.run((str(java()), "-version"), capture_output=True, text=True, timeout=30, check=True)
    return done.stderr.splitlines()[0]


def _s3_program() -> str:
    minio, juicefs = find_minio(), find_juicefs()
    if not (minio or juicefs):
        raise EngineError("neither MinIO nor JuiceFS found: run `make setup`")
    return f"MinIO: {minio}" if minio else "JuiceFS gateway (MinIO is not at hand: `make minio`)"


def _disk(data: Path) -> Finding:
    folder = data.absolute()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    state = "ok" if free_gb >= DISK_GB else "warn"
    return Finding("disk", state, f"{free_gb:.0f} GB free at {folder}, {DISK_GB:.0f} GB wanted")


def _engines(settings: Settings) -> Iterator[Finding]:
    secret = settings.s3_secret_key.get_secret_value()
    s3 = (settings.s3_endpoint, settings.s3_access_key, secret, settings.s3_secure)
    token = settings.ray_token.get_secret_value()
    checks: dict[str, tuple[str, Callable[[], None]]] = {
        "kafka": (settings.kafka_bootstrap, lambda: check_kafka(settings.kafka_bootstrap)),
        "s3": (settings.s3_endpoint, lambda: check_s3(*s3)),
        "triton": (settings.triton_url, lambda: check_triton(settings.triton_url)),
        "ray": (settings.ray_address, lambda: check_ray(settings.ray_address, token)),
        "gateway": (settings.gateway_url, lambda: check_gateway(settings.gateway_url)),
    }
    for name, (address, check) in checks.items():
        yield _reached(name, address, check) if address else Finding(name, "off", "not running here")


def _reached(name: str, address: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except Exception as error:
        return Finding(name, "fail", f"{address} does not answer: {type(error).__name__}: {error}"[:200])
    return Finding(name, "ok", f"answers at {address}")


def _tried(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", look())
    except Exception as error:
        return Finding(what, "fail", str(error)[:200])


def _locked_versions() -> dict[str, str]:
    """Versions of the lock for the packages the project asks for itself; empty when run from a wheel."""
    lock, asked = REPOSITORY / "requirements.lock", REPOSITORY / "requirements.in"
    if not lock.is_file() or not asked.is_file():
        return {}
    names = {re.split(r"[\[=<>]", line)[0].strip() for line in asked.read_text().splitlines() if line.strip()}
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^\s\\;]+)", lock.read_text(), re.MULTILINE))
    return {name: pins[name] for name in sorted(names) if name in pins}


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _print(findings: list[Finding]) -> None:
    table = Table(box=None, show_header=False)
    for finding in findings:
        table.add_row(finding.what, SIGNS[finding.state], Text(finding.words))
    Console().print(table)
