"""``streamrefer models list|pull|verify``."""

from __future__ import annotations

import json
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from services.adapters.hub import Hub, HubError, RemoteFile, hide_progress
from services.cli.client import fail
from services.cli.pull_tracker import make_tracker, pull_tracker
from services.settings import SettingsError, load_settings
from services.tiers import (
    TIERS,
    Choice,
    Tier,
    TierUnusable,
    find_tier,
    missing_files,
    need_tier,
    stored_gb,
    tier_folder,
)
from services.tracker_tiers import (
    TRACKERS,
    TrackerTier,
    find_tracker,
    locate_tracker,
    missing_tracker_files,
)

if TYPE_CHECKING:
    from modeling.report import Report

app = typer.Typer(
    help="Weights of captioner and tracker: what there is, fetch it, check it.", no_args_is_help=True
)

JSON = typer.Option(False, "--json", help="print JSON")
REVISION = typer.Option(None, "--revision", help="branch, tag or commit (default: main)")
STATE_STYLES = {"complete": "green", "incomplete": "yellow"}
VARIABLES = {"captioner": "STREAMREFER_CAPTIONER", "tracker": "STREAMREFER_TRACKER_WEIGHTS"}
SMALL_FILES = ("*.json", "*.txt", "LICENSE*", "README.md")


@app.command("list")
def list_tiers(as_json: bool = JSON) -> None:
    """All tiers: where each lies, its size, whether it is complete, what it needs."""
    rows = [_row(Choice(tier)) for tier in (*TIERS, *TRACKERS)]
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
    folder = _locate(choice)
    lacking = _missing(tier, folder) if folder else []
    there = folder is not None and folder.is_dir()
    return {
        "tier": tier.name,
        "role": _role(tier),
        "framework": tier.framework,
        "about": tier.about,
        "repository": tier.repository or None,
        "state": "absent" if folder is None else "incomplete" if lacking else "complete",
        "missing": lacking,
        "folder": str(folder) if folder else None,
        "size_gb": round(stored_gb(folder) if there else tier.weights_gb, 3),
        "memory_gb": tier.memory_gb,
    }


def _role(tier: Tier) -> str:
    return "tracker" if isinstance(tier, TrackerTier) else "captioner"


def _locate(choice: Choice) -> Path | None:
    find = locate_tracker if isinstance(choice.tier, TrackerTier) else tier_folder
    return find(choice, _weights(), Hub.from_environment())


def _missing(tier: Tier, folder: Path) -> list[str]:
    return missing_tracker_files(folder) if isinstance(tier, TrackerTier) else missing_files(folder)


@app.command()
def pull(
    tier: str = typer.Argument(help="a tier of `streamrefer models list`"),
    revision: str | None = REVISION,
    to: Path | None = typer.Option(None, "--to", help="a folder of its own instead of the hub's cache"),
    file: Path | None = typer.Option(
        None, "--file", help="an official tracker checkpoint (.pt) at hand; with --to"
    ),
    as_json: bool = JSON,
) -> None:
    """Fetch a tier from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN, HF_HOME hold); goes on where it broke off."""
    choice = _choice(tier, revision)
    if as_json:
        hide_progress()
    if file is not None:
        folder = _make(choice.tier, file, to)
    elif choice.tier.repository:
        folder = _fetch(choice, to)
    else:
        folder = _locate(choice)
    lacking = _missing(choice.tier, folder)
    if lacking:
        fail(f"{choice} was fetched but lacks {', '.join(lacking)}: {folder}")
    if as_json:
        size = round(stored_gb(folder), 3)
        typer.echo(json.dumps({"tier": str(choice), "folder": str(folder), "size_gb": size}))
    else:
        named = choice if to is None else folder
        typer.echo(f"{choice} is complete in {folder}")
        typer.echo(f"check it: streamrefer models verify {named}")
        typer.echo(f"use it:   {VARIABLES[_role(choice.tier)]}={named} streamrefer up")


def _fetch(choice: Choice, to: Path | None) -> Path:
    hub, repository = Hub.from_environment(), choice.tier.repository
    try:
        if isinstance(choice.tier, TrackerTier):
            return pull_tracker(choice, to, hub)
        files = wanted_files(hub.offer(repository, choice.revision, to))
        hub.check_room(files, to)
        return hub.fetch(repository, [file.name for file in files], choice.revision, to)
    except (HubError, ValueError) as error:
        fail(str(error))


def _make(tier: Tier, file: Path, to: Path | None) -> Path:
    """A tracker's folder from a checkpoint that was fetched by other means."""
    if to is None or not isinstance(tier, TrackerTier) or not tier.repository:
        fail(
            "--file makes an official tracker's folder from a .pt file: name such a tier, and the folder with --to",
            2,
        )
    try:
        return make_tracker(file.expanduser(), tier, to, {"tier": tier.name})
    except (HubError, ValueError) as error:
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
    report = _judge(_model_folder(model, revision), values)
    if as_json:
        typer.echo(json.dumps({"ok": report.right, **asdict(report)}, default=str))
    else:
        _print(report)
    raise typer.Exit(0 if report.right else 1)


def _judge(folder: Path, values: bool) -> Report:
    """The report on a captioner's or a tracker's folder."""
    if _holds_tracker(folder):
        from modeling.sam2.verify import verify_tracker  # torch takes its seconds only here

        return verify_tracker(folder, values)
    from modeling.pixelrefer.verify import verify_folder

    return verify_folder(folder, values)


def _holds_tracker(folder: Path) -> bool:
    """Whether a folder is meant as a tracker, whole or not: its weights have that name, or its configuration does."""
    if (folder / "weights.safetensors").exists():
        return True
    try:
        tree = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return "_target_" in tree.get("model", tree)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False


def _model_folder(model: str, revision: str | None) -> Path:
    if find_tier(model) is None and find_tracker(model) is None:
        folder = Path(model).expanduser()
        if not folder.is_dir():
            tiers = ", ".join(tier.name for tier in (*TIERS, *TRACKERS))
            fail(f"'{model}' is neither a tier ({tiers}) nor a folder", 2)
        return folder
    choice = _choice(model, revision)
    folder = _locate(choice)
    if folder is None or not folder.is_dir():
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
    choice = find_tracker(name)
    try:
        choice = choice or need_tier(name)
    except TierUnusable as error:
        fail(f"{error}, {', '.join(tier.name for tier in TRACKERS)}", 2)
    return Choice(choice.tier, revision or choice.revision)


def _weights() -> Path:
    try:
        return load_settings().weights
    except SettingsError as error:
        fail(str(error), 2)
