"""``streamrefer state``: what a tracker would go on from, read from its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from operators.track_state import TrackerState
from pipelines.ports import ObjectMissing, StoreUnavailable
from services.adapters.objects import ObjectsConnection, S3Objects
from services.cli.client import fail, settings_of

app = typer.Typer(help="Trackers' checkpoints: list them, look into one.", no_args_is_help=True)

FOLDER = "checkpoints/"


@app.command("list")
def list_(
    camera: str = typer.Option("", "--camera", help="only this camera's"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """Names of the checkpoints that are kept: the newest two of each camera."""
    store = _store(data)
    try:
        names = sorted(store.list(f"{FOLDER}{camera}/" if camera else FOLDER))
    except StoreUnavailable as error:
        fail(str(error))
    if not names:
        fail(f"no checkpoint of camera {camera}" if camera else "no checkpoint yet: no clip was tracked")
    for name in names:
        typer.echo(name)


@app.command()
def inspect(
    name: str = typer.Argument(help="a file, or a name that `streamrefer state list` shows"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """What one checkpoint holds: camera, model, tracks, and what their memory costs."""
    file = Path(name)
    try:
        state = file.read_bytes() if file.is_file() else _stored(name, data)
        facts = facts_of(state)
    except (OSError, ValueError) as error:
        fail(f"{name}: {error}", 2)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        _print(facts)


def facts_of(state: bytes) -> dict[str, Any]:
    """What a tracker's checkpoint says of itself. Raises ValueError when it is none of this version."""
    from modeling.sam2.state import read_header, tensor_bytes  # imports torch: seconds

    tracker = TrackerState.from_bytes(state)
    header = read_header(tracker.segmenter)
    memory = tensor_bytes(tracker.segmenter)
    return {
        "camera_id": tracker.camera_id,
        "epoch": tracker.epoch,
        "next_track": tracker.next_number,
        "bytes": len(state),
        "model": header.model,
        "input_px": header.image_size,
        "next_step": header.next_step,
        "tracks": [
            {
                "track_id": track.track_id or None,
                "state": track.state,
                "seen_s": track.seen_s,
                "box": [round(side, 4) for side in track.box],
                "born_step": header.born.get(track.object_id),
                "memory_bytes": sum(memory.get(track.object_id, {}).values()),
                "memory": memory.get(track.object_id, {}),
            }
            for track in tracker.tracks
        ],
    }


def _store(data: Path | None) -> S3Objects:
    settings = settings_of(data)
    if not settings.s3_endpoint:
        fail("nothing is running here: start it with `streamrefer up`, or set STREAMREFER_S3_ENDPOINT")
    return S3Objects(ObjectsConnection.of(settings))


def _stored(name: str, data: Path | None) -> bytes:
    try:
        return _store(data).get(name)
    except ObjectMissing:
        fail(f"{name}: neither a file nor a stored object; `streamrefer state list` shows what there is", 2)
    except StoreUnavailable as error:
        fail(str(error))


def _print(facts: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"camera {facts['camera_id']}, epoch {facts['epoch']}: {len(facts['tracks'])} tracks, "
        f"{facts['bytes'] / 1e6:.2f} MB, goes on at step {facts['next_step']}, "
        f"the next new track is number {facts['next_track']}"
    )
    console.print(f"model {facts['model'][:16]} at {facts['input_px']} px")
    table = Table("track", "state", "box (x0 y0 x1 y1)", "since step", "memory, kB", box=None)
    for track in facts["tracks"]:
        table.add_row(
            track["track_id"] or "(tentative)",
            track["state"],
            " ".join(f"{side:.2f}" for side in track["box"]),
            str(track["born_step"]),
            f"{track['memory_bytes'] / 1e3:.0f}",
        )
    console.print(table)
