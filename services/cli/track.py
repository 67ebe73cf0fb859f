"""``streamrefer track add|correct|rename|pin|unpin|drop``: say what is followed on a camera, and how."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import typer

from contracts.prompts import DONE
from services.cli.client import TIMEOUT_S, call, fail, gateway_address
from services.cli.marking import mark_of, time_of
from services.cli.narration_view import short_track

app = typer.Typer(help="Say what is followed: by a click, box, mask or scribble.", no_args_is_help=True)

CAMERA = typer.Argument(help="the camera that shows it")
TRACK = typer.Argument(help="track id, or the number that watch shows")
POINT = typer.Option([], "--point", help="x,y on the object, in 0..1 of the picture; may be repeated")
NOT = typer.Option([], "--not", help="x,y that is not of the object; may be repeated")
BOX = typer.Option(None, "--box", help="x0,y0,x1,y1 around the object, in 0..1 of the picture")
MASK = typer.Option(None, "--mask", help="picture file: what is bright is the object")
SCRIBBLE = typer.Option([], "--scribble", help='a line over the object: "x,y x,y ..."; may be repeated')
AT = typer.Option(
    None,
    "--at",
    help="time of the picture that is meant: HH:MM:SS as watch shows it, RFC 3339, or -3 (s ago)",
)
TIMEOUT = typer.Option(20.0, "--timeout", min=1, max=60, help="longest wait, in seconds")
ID = typer.Option(None, "--id", help="the prompt's own id: asked again, it is answered by the first answer")
JSON = typer.Option(False, "--json", help="print JSON")
DATA = typer.Option(None, "--data", help="data folder of the running stack")


@app.command()
def add(
    camera_id: str = CAMERA,
    point: list[str] = POINT,
    not_point: list[str] = NOT,
    box: str | None = BOX,
    mask: Path | None = MASK,
    scribble: list[str] = SCRIBBLE,
    name: str | None = typer.Option(None, "--name", help="what to call it"),
    at: str | None = AT,
    timeout: float = TIMEOUT,
    prompt_id: str | None = ID,
    as_json: bool = JSON,
    data: Path | None = DATA,
) -> None:
    """Follow what is marked on the picture."""
    body = {"kind": "follow", "mark": mark_of(point, not_point, box, mask, scribble)}
    _ask(camera_id, body | _given(name=name, at_s=time_of(at)), timeout, prompt_id, as_json, data)


@app.command()
def correct(
    camera_id: str = CAMERA,
    track: str = TRACK,
    point: list[str] = POINT,
    not_point: list[str] = NOT,
    box: str | None = BOX,
    mask: Path | None = MASK,
    scribble: list[str] = SCRIBBLE,
    at: str | None = AT,
    timeout: float = TIMEOUT,
    prompt_id: str | None = ID,
    as_json: bool = JSON,
    data: Path | None = DATA,
) -> None:
    """Show where a track's object really is."""
    body = {"kind": "correct", "track": track, "mark": mark_of(point, not_point, box, mask, scribble)}
    _ask(camera_id, body | _given(at_s=time_of(at)), timeout, prompt_id, as_json, data)


@app.command()
def rename(
    camera_id: str = CAMERA,
    track: str = TRACK,
    name: str = typer.Argument(help='what to call it; "" for no name'),
    timeout: float = TIMEOUT,
    prompt_id: str | None = ID,
    as_json: bool = JSON,
    data: Path | None = DATA,
) -> None:
    """Call a track by a name of your own."""
    _ask(camera_id, {"kind": "rename", "track": track, "name": name}, timeout, prompt_id, as_json, data)


@app.command()
def pin(
    camera_id: str = CAMERA,
    track: str = TRACK,
    timeout: float = TIMEOUT,
    prompt_id: str | None = ID,
    as_json: bool = JSON,
    data: Path | None = DATA,
) -> None:
    """Keep a track, also while it is out of sight, until it is unpinned or dropped."""
    _ask(camera_id, {"kind": "pin", "track": track}, timeout, prompt_id, as_json, data)


@app.command()
def unpin(
    camera_id: str = CAMERA,
    track: str = TRACK,
    timeout: float = TIMEOUT,
    prompt_id: str | None = ID,
    as_json: bool = JSON,
    data: Path | None = DATA,
) -> None:
    """Let a pinned track end like any other."""
    _ask(camera_id, {"kind": "unpin", "track": track}, timeout, prompt_id, as_json, data)


@app.command()
def drop(
    camera_id: str = CAMERA,
    track: str = TRACK,
    timeout: float = TIMEOUT,
    prompt_id: str | None = ID,
    as_json: bool = JSON,
    data: Path | None = DATA,
) -> None:
    """End a track, and leave its object alone for a minute."""
    _ask(camera_id, {"kind": "drop", "track": track}, timeout, prompt_id, as_json, data)


def line_of(answer: dict[str, Any]) -> str:
    """An answer as one line."""
    name = f" '{answer['name']}'" if answer.get("name") else ""
    words = answer["code"].replace("_", " ")
    return f"{short_track(answer['track_id'])}{name} {words} ({answer['track_id']})"


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _ask(
    camera_id: str,
    body: dict[str, Any],
    timeout: float,
    prompt_id: str | None,
    as_json: bool,
    data: Path | None,
) -> None:
    if prompt_id is not None and not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", prompt_id):
        fail("--id takes up to 64 letters, digits, '.', '_' and '-'", 2)
    body |= {"timeout_s": timeout, "prompt_id": prompt_id or f"cli-{uuid.uuid4().hex[:16]}"}
    path = f"/v1/cameras/{camera_id}/prompts"
    answer = call(gateway_address(data), "POST", path, timeout_s=timeout + TIMEOUT_S, json=body)
    assert answer["code"] in DONE, "everything else is a problem"
    typer.echo(json.dumps(answer) if as_json else line_of(answer))
