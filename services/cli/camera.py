"""``streamrefer camera add|set|list|get|remove``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contracts.base import is_camera_id
from contracts.cameras import LONGEST_WORD, MOST_WORDS, MemoryPolicy
from services.cli.client import call, fail, gateway_address

app = typer.Typer(help="Subscribe cameras.", no_args_is_help=True)

POLICIES = get_args(MemoryPolicy)
DATA = typer.Option(None, "--data", help="data folder of the running stack")
JSON = typer.Option(False, "--json", help="print JSON")
STYLE = typer.Option(None, "--style", help="short or detailed sentences")
INSTRUCTION = typer.Option(
    None,
    "--instruction",
    help='what to look for, in words; "" for none (captioners that follow instructions)',
)
POLICY = typer.Option(
    None,
    "--memory-policy",
    help=f'what is remembered of objects: {", ".join(POLICIES)}; "" as the tracker has it',
)
LANGUAGE = typer.Option(None, "--language", help="language of the instruction and its answers: de, pt-BR")
FIND = typer.Option(
    None, "--find", help='follow only these, as the detector names them: "person, car"; "" for everything'
)
STATE_STYLE = {"live": "green", "connecting": "yellow", "degraded": "yellow", "lost": "red", "stopped": "dim"}


@app.command()
def add(
    camera_id: str = typer.Argument(help="a name of lower-case letters, digits, - and _"),
    source: str = typer.Argument(help="rtsp://, http(s)://, HLS address, or a video file"),
    loop: bool = typer.Option(False, help="files: play again and again"),
    fps: float = typer.Option(4.0, help="frames a second given to the models"),
    memory_policy: str | None = POLICY,
    style: str | None = STYLE,
    instruction: str | None = INSTRUCTION,
    language: str | None = LANGUAGE,
    find: str | None = FIND,
    data: Path | None = DATA,
    as_json: bool = JSON,
) -> None:
    """Subscribe a camera; its narration starts by itself."""
    if not is_camera_id(camera_id):
        fail(
            f"'{camera_id}' cannot name a camera: use lower-case letters, digits, - and _, 1 to 64 of them", 2
        )
    place = source if "://" in source else str(Path(source).resolve())
    if "://" not in source and not Path(place).is_file():
        fail(f"no such file: {place}", 2)
    if not 0 < fps <= 30:
        fail(f"--fps wants more than 0 and at most 30, not {fps:g}", 2)
    body = {"camera_id": camera_id, "source": place, "loop": loop, "sample_fps": fps}
    body |= remembering(memory_policy) | wording(style, instruction, language) | words_to_find(find)
    added = call(gateway_address(data), "POST", "/v1/cameras", json=body)
    typer.echo(
        json.dumps(added) if as_json else f"camera '{camera_id}' added; see it with: streamrefer watch"
    )


@app.command("set")
def set_camera(
    camera_id: str,
    style: str | None = STYLE,
    instruction: str | None = INSTRUCTION,
    language: str | None = LANGUAGE,
    memory_policy: str | None = POLICY,
    find: str | None = FIND,
    data: Path | None = DATA,
    as_json: bool = JSON,
) -> None:
    """Change how a camera is narrated, remembered, and what it follows, from its next clip on. Its tracks go on."""
    body = remembering(memory_policy) | wording(style, instruction, language) | words_to_find(find)
    if not body:
        fail("nothing to set: give --style, --instruction, --language, --memory-policy or --find", 2)
    camera = call(gateway_address(data), "PATCH", f"/v1/cameras/{camera_id}", json=body)
    told = [f"{name} {camera[name] or 'none'}" for name in ("style", "instruction", "language")]
    told.append(f"memory policy {camera['memory_policy'] or 'as the tracker has it'}")
    told.append(f"find {', '.join(camera['find']) or 'everything'}")
    typer.echo(json.dumps(camera) if as_json else f"camera '{camera_id}': {', '.join(told)}")


def remembering(policy: str | None) -> dict[str, str | None]:
    """The memory policy given, as the gateway takes it; an empty one means the tracker's own."""
    if policy and policy not in POLICIES:
        fail(f"--memory-policy is one of {', '.join(POLICIES)}, not {policy}", 2)
    return {} if policy is None else {"memory_policy": policy or None}


def wording(style: str | None, instruction: str | None, language: str | None) -> dict[str, str | None]:
    """The fields given, as the gateway takes them; an empty instruction or language means none."""
    if style not in (None, "short", "detailed"):
        fail(f"--style is short or detailed, not {style}", 2)
    given = {"style": style, "instruction": instruction, "language": language}
    return {name: value or None for name, value in given.items() if value is not None}


def words_to_find(text: str | None) -> dict[str, list[str] | None]:
    """The words between the commas of ``--find``, as the gateway takes them; an empty text means everything."""
    if text is None:
        return {}
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    long = [word for word in words if len(word) > LONGEST_WORD or not word.isprintable()]
    if long or len(words) > MOST_WORDS:
        fail(
            f"--find takes up to {MOST_WORDS} words of up to {LONGEST_WORD} characters, with commas between",
            2,
        )
    return {"find": words or None}


@app.command("list")
def list_cameras(data: Path | None = DATA, as_json: bool = JSON) -> None:
    """All cameras with their states."""
    cameras = call(gateway_address(data), "GET", "/v1/cameras")["cameras"]
    if as_json:
        typer.echo(json.dumps(cameras))
        return
    table = Table(box=None, header_style="bold")
    for title in ("camera", "state", "source", "cause"):
        table.add_column(title, overflow="fold")
    for camera in cameras:
        style = STATE_STYLE.get(camera["state"], "")
        table.add_row(
            camera["camera_id"],
            Text(camera["state"], style),
            Text(camera["source"]),  # a path may hold what looks like markup
            Text(camera["cause"] or ""),
        )
    Console().print(table if cameras else "no cameras yet: streamrefer camera add NAME SOURCE")


@app.command()
def get(camera_id: str, data: Path | None = DATA) -> None:
    """One camera, as JSON."""
    typer.echo(json.dumps(call(gateway_address(data), "GET", f"/v1/cameras/{camera_id}"), indent=2))


@app.command()
def remove(camera_id: str, data: Path | None = DATA) -> None:
    """Unsubscribe a camera. What was narrated stays."""
    call(gateway_address(data), "DELETE", f"/v1/cameras/{camera_id}")
    typer.echo(f"camera '{camera_id}' removed")
