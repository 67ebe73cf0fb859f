"""``streamrefer state``: what a tracker would go on from, read from its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from pipelines.ports import ObjectMissing, StoreUnavailable
from pipelines.snapshot import Fetch, part_names, read_header
from services.adapters.objects import ObjectsConnection, S3Objects
from services.cli.client import fail, settings_of

app = typer.Typer(help="Trackers' checkpoints: list them, look into one.", no_args_is_help=True)

FOLDER, PARTS = "checkpoints/", "parts"


@app.command("list")
def list_(
    camera: str = typer.Option("", "--camera", help="only this camera's"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """Names of the checkpoints that are kept: those of the newest commits. `inspect` tells their parts."""
    store = _store(data)
    try:
        names = sorted(store.list(f"{FOLDER}{camera}/" if camera else FOLDER))
    except StoreUnavailable as error:
        fail(str(error))
    names = [name for name in names if f"/{PARTS}/" not in name]
    if not names:
        fail(f"no checkpoint of camera {camera}" if camera else "no checkpoint yet: no clip was tracked")
    for name in names:
        typer.echo(name)


@app.command()
def inspect(
    name: str = typer.Argument(
        help=f"a name that `state list` shows, or a file (parts: folder '{PARTS}' beside)"
    ),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """What one checkpoint holds: camera, model, tracks, what their memory costs, the objects it lies in."""
    file = Path(name)
    try:
        if file.is_file():
            facts = facts_of(file.read_bytes(), lambda part: _file(file.parent / PARTS / part))
        else:
            store = _store(data)
            facts = facts_of(
                _stored(store, name), lambda part: _part(store, f"{name.rpartition('/')[0]}/{PARTS}/{part}")
            )
    except (OSError, ValueError) as error:
        fail(f"{name}: {error}", 2)
    except StoreUnavailable as error:
        fail(str(error))
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _print(facts)


def facts_of(main: bytes, fetch: Fetch) -> dict[str, Any]:
    """What a tracker's checkpoint says of itself. Raises ValueError when it is none of this version."""
    header = read_header(main)
    parts = {name: fetch(name) for name in sorted(part_names(header))}
    sizes = {name: None if data is None else len(data) for name, data in parts.items()}
    session, born, memory = _session(header, parts)
    pictures = {key: name for key, _, _, name in header["glimpses"]}
    return {
        "camera_id": header["camera_id"],
        "epoch": header["epoch"],
        "next_track": header["next_number"],
        "bytes": len(main) + sum(size or 0 for size in sizes.values()),
        "main_bytes": len(main),
        "parts": sizes,
        **session,
        "tracks": [
            {
                "track_id": track["track_id"] or None,
                "state": track["state"],
                "seen_s": track["seen_s"],
                "box": [round(side, 4) for side in track["box"]],
                "born_step": born.get(track["object_id"]),
                "memory_bytes": sum(memory.get(track["object_id"], {}).values()),
                "memory": memory.get(track["object_id"], {}),
                "picture": pictures.get(track["key"]),
            }
            for track in header["tracks"]
        ],
    }


def _session(
    header: Mapping[str, Any], parts: Mapping[str, bytes | None]
) -> tuple[dict[str, Any], Mapping[int, int], Mapping[int, Mapping[str, int]]]:
    """Of the segmenter's parts: model, size and step; by object id the step of birth, and bytes of memory by kind."""
    from modeling.sam2.state import SESSION, read_header, tensor_bytes  # imports torch: seconds

    found = {key: data for key, name in header["segmenter"].items() if (data := parts[name]) is not None}
    if SESSION not in found:
        return {"model": None, "input_px": None, "next_step": None}, {}, {}
    known = read_header(found)
    facts = {"model": known.model, "input_px": known.image_size, "next_step": known.next_step}
    return facts, known.born, tensor_bytes(found)


def _store(data: Path | None) -> S3Objects:
    settings = settings_of(data)
    if not settings.s3_endpoint:
        fail("nothing is running here: start it with `streamrefer up`, or set STREAMREFER_S3_ENDPOINT")
    return S3Objects(ObjectsConnection.of(settings))


def _stored(store: S3Objects, name: str) -> bytes:
    try:
        return store.get(name)
    except ObjectMissing:
        fail(f"{name}: neither a file nor a stored object; `streamrefer state list` shows what there is", 2)


def _part(store: S3Objects, name: str) -> bytes | None:
    try:
        return store.get(name)
    except ObjectMissing:
        return None


def _file(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _print(facts: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"camera {facts['camera_id']}, epoch {facts['epoch']}: {len(facts['tracks'])} tracks, "
        f"{facts['bytes'] / 1e6:.2f} MB, goes on at step {facts['next_step']}, "
        f"the next new track is number {facts['next_track']}"
    )
    console.print(f"model {(facts['model'] or 'unknown')[:16]} at {facts['input_px']} px")
    table = Table("track", "state", "box (x0 y0 x1 y1)", "since step", "anchors, kB", "recent, kB", box=None)
    for track in facts["tracks"]:
        anchors = track["memory"].get("anchors", 0)
        table.add_row(
            track["track_id"] or "(tentative)",
            track["state"],
            " ".join(f"{side:.2f}" for side in track["box"]),
            str(track["born_step"]),
            f"{anchors / 1e3:.0f}",
            f"{(track['memory_bytes'] - anchors) / 1e3:.0f}",
        )
    console.print(table)
    for name, size in facts["parts"].items():
        console.print(
            f"{PARTS}/{name}  {'missing' if size is None else f'{size / 1e3:.1f} kB'}", highlight=False
        )
