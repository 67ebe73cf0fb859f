"""``streamrefer models list|pull|verify``."""

from __future__ import annotations

import json
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from services.adapters.hub import Hub, HubError, RemoteFile, hide_progress
from services.cli.client import fail
from services.settings import SettingsError, load_settings
from services.tiers import (
    TIERS,
    Choice,
    TierUnusable,
    find_tier,
    missing_files,
    need_tier,
    stored_gb,
    tier_folder,
)

app = typer.Typer(help="The captioner's weights: what there is, fetch it, check it.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="print JSON")
REVISION = typer.Option(None, "--revision", help="branch, tag or commit (default: main)")
STATE_STYLES = {"complete": "green", "incomplete": "yellow"}
SMALL_FILES = ("*.json", "*.txt", "LICENSE*", "README.md")


@app.command("list")
def list_tiers(as_json: bool = JSON) -> None:
    """All tiers: where each lies, its size, whether it is complete, what it needs."""
    rows = [_row(Choice(tier)) for tier in TIERS]
    if as_json:
        typer.echo(json.dumps({"tiers": rows}))
        return
    _print_tiers(rows)


def _print_tiers(rows: list[dict[str, Any]]) -> None:
    """A line for each tier. Folders come last and are never broken, however narrow the screen."""
    cells = [("tier", "here", "size", "memory", "folder")]
    for row in rows:
        size, memory = f"{row['size_gb']:.2f} GB", f"{row['memory_gb']:.0f} GB"
        cells.append((row["tier"], row["state"], size, memory, row["folder"] or ""))
    widths = [max(len(line[at]) for line in cells) for at in range(4)]
    console = Console(highlight=False)
    for number, line in enumerate(cells):
        texts = [Text(cell.ljust(width)) for cell, width in zip(line, [*widths, 0], strict=True)]
        texts[1].stylize(STATE_STYLES.get(line[1], "dim"))
        told = Text("  ").join(texts)
        if number == 0:
            told = Text(told.plain, style="bold")
        told.rstrip()
        console.print(told, soft_wrap=True)


def _row(choice: Choice) -> dict[str, Any]:
    """One tier as a plain value; without a folder the size is that of its weights when published."""
    tier = choice.tier
    folder = tier_folder(choice, _weights(), Hub.from_environment())
    lacking = missing_files(folder) if folder else []
    return {
        "tier": tier.name,
        "framework": tier.framework,
        "about": tier.about,
        "repository": tier.repository or None,
        "state": "absent" if folder is None else "incomplete" if lacking else "complete",
        "missing": lacking,
        "folder": str(folder) if folder else None,
        "size_gb": round(stored_gb(folder) if folder else tier.weights_gb, 3),
        "memory_gb": tier.memory_gb,
    }


@app.command()
def pull(
    tier: str = typer.Argument(help="a tier of `streamrefer models list`"),
    revision: str | None = REVISION,
    to: Path | None = typer.Option(None, "--to", help="a folder of its own instead of the hub's cache"),
    as_json: bool = JSON,
) -> None:
    """Fetch a tier from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN, HF_HOME hold); goes on where it broke off."""
    choice = _choice(tier, revision)
    if as_json:
        hide_progress()
    if choice.tier.repository:
        folder = _fetch(choice, to)
    else:
        folder = _weights() / "captioner-embedded"
    lacking = missing_files(folder)
    if lacking:
        fail(f"{choice} was fetched but lacks {', '.join(lacking)}: {folder}")
    if as_json:
        size = round(stored_gb(folder), 3)
        typer.echo(json.dumps({"tier": str(choice), "folder": str(folder), "size_gb": size}))
    else:
        named = choice if to is None else folder
        typer.echo(f"{choice} is complete in {folder}")
        typer.echo(f"check it: streamrefer models verify {named}")
        typer.echo(f"use it:   STREAMREFER_CAPTIONER={named} streamrefer up")


def _fetch(choice: Choice, to: Path | None) -> Path:
    hub, repository = Hub.from_environment(), choice.tier.repository
    try:
        files = wanted_files(hub.offer(repository, choice.revision, to))
        hub.check_room(files, to)
        return hub.fetch(repository, [file.name for file in files], choice.revision, to)
    except HubError as error:
        fail(str(error))


def wanted_files(offered: list[RemoteFile]) -> list[RemoteFile]:
    """What a captioner needs of a repository: top-level settings and tokenizer, and weights in one form."""
    top = [file for file in offered if "/" not in file.name]
    small = [file for file in top if any(fnmatch(file.name, pattern) for pattern in SMALL_FILES)]
    for pattern in ("model*.safetensors", "pytorch_model*.bin"):
        weights = [file for file in top if fnmatch(file.name, pattern)]
        if weights:
            return small + weights
    raise HubError("the repository holds no weights (model*.safetensors or pytorch_model*.bin)")


@app.command()
def verify(
    model: str = typer.Argument(help="a tier, or a model folder"),
    revision: str | None = REVISION,
    values: bool = typer.Option(False, "--values", help="read every number too: NaN and infinity are faults"),
    as_json: bool = JSON,
) -> None:
    """Check every file and every tensor's name, shape and number format. Exit code 1 when anything is wrong."""
    folder = _model_folder(model, revision)
    from modeling.pixelrefer.verify import verify_folder  # torch takes its seconds only here

    report = verify_folder(folder, values)
    if as_json:
        typer.echo(json.dumps({"ok": report.right, **asdict(report)}, default=str))
    else:
        _print(report)
    raise typer.Exit(0 if report.right else 1)


def _model_folder(model: str, revision: str | None) -> Path:
    choice = find_tier(model)
    if choice is None:
        folder = Path(model).expanduser()
        if not folder.is_dir():
            tiers = ", ".join(tier.name for tier in TIERS)
            fail(f"'{model}' is neither a tier ({tiers}) nor a folder", 2)
        return folder
    choice = _choice(model, revision)
    folder = tier_folder(choice, _weights(), Hub.from_environment())
    if folder is None:
        fail(f"{choice} is not here: run `streamrefer models pull {choice}`")
    return folder


def _print(report: Any) -> None:
    console = Console(highlight=False)
    for words in report.faults:
        console.print("[red]wrong[/]", escape(words), soft_wrap=True)
    for words in report.notes:
        console.print("[yellow]note[/] ", escape(words), soft_wrap=True)
    size = f"{report.parameters / 1e6:,.1f} M parameters, {report.tensors} tensors, {report.stored_bytes / 1e9:.2f} GB"
    state = "[green]right[/]" if report.right else "[red]not right[/]"
    console.print(
        f"{escape(str(report.folder))}: {state}; {report.framework or 'framework unknown'}, {size}",
        soft_wrap=True,
    )


def _choice(name: str, revision: str | None) -> Choice:
    """The tier of that name, pinned by the option or by ``@``; ends the program for an unknown one."""
    try:
        choice = need_tier(name)
    except TierUnusable as error:
        fail(str(error), 2)
    return Choice(choice.tier, revision or choice.revision)


def _weights() -> Path:
    try:
        return load_settings().weights
    except SettingsError as error:
        fail(str(error), 2)
