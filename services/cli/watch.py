"""``streamrefer watch``: live narration in the terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console

from services.cli.client import events, fail, gateway_address
from services.cli.narration_view import NarrationView

RECONNECTS = 20
NAMES = "narration,partial,camera.state,gap,prompt.answer"


def watch(
    camera: str | None = typer.Option(None, "--camera", help="only this camera"),
    obj: str | None = typer.Option(None, "--object", help="only this track id"),
    replay: bool = typer.Option(False, "--replay", help="begin with the last minutes"),
    as_json: bool = typer.Option(False, "--json", help="one JSON event a line"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """Print live narration as it streams, per object. Ctrl-C ends."""
    address = gateway_address(data)
    try:
        if as_json:
            _print_json(address, camera, obj, replay)
        else:
            with NarrationView(Console()) as view:
                for name, event in follow(address, camera, replay):
                    if concerns(event, obj):
                        view.show(name, event)
    except KeyboardInterrupt:
        return


def concerns(event: dict[str, Any], track_id: str | None) -> bool:
    """Whether an event is about the wanted track (all are when none is named)."""
    return track_id is None or track_id in (event.get("track_id"), *event.get("track_ids", ()))


def follow(address: str, camera: str | None, replay: bool, names: str = NAMES):
    """Events for ever, as (name, data); a broken connection goes on behind the last event seen."""
    params = (
        {"names": names} | ({"camera": camera} if camera else {}) | ({"replay": "true"} if replay else {})
    )
    last_id, failures = None, 0
    while failures < RECONNECTS:
        try:
            for seen_id, name, event in events(address, "/v1/events", params, last_id):
                last_id = seen_id
                failures = 0
                yield name, event
        except httpx.TransportError:
            failures += 1
            time.sleep(min(5.0, 0.25 * 2**failures))
    fail(f"the gateway at {address} has gone; is `streamrefer up` still running?")


def _print_json(address: str, camera: str | None, obj: str | None, replay: bool) -> None:
    for name, event in follow(address, camera, replay):
        if concerns(event, obj):
            typer.echo(json.dumps({"event": name, "data": event}))
