"""``streamrefer ask``: a question about one or several objects that a camera sees now."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import typer

from services.cli.client import TIMEOUT_S, call, gateway_address
from services.cli.narration_view import short_track


def ask(
    camera_id: str = typer.Argument(help="the camera that sees the objects"),
    question: str = typer.Argument(help='for example "What did <object1> do to <object2>?"'),
    objects: list[str] = typer.Option(
        ..., "--object", help="track id, or the number that watch shows; the first is <object1>"
    ),
    timeout: float = typer.Option(20.0, "--timeout", min=1, max=60, help="longest wait, in seconds"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """Ask the captioner about objects, on the newest clip that shows them."""
    body = {"question": question, "objects": objects, "timeout_s": timeout}
    path = f"/v1/cameras/{camera_id}:ask"
    asked = call(gateway_address(data), "POST", path, timeout_s=timeout + TIMEOUT_S, json=body)
    typer.echo(json.dumps(asked) if as_json else "\n".join(lines(asked)))


def lines(asked: dict[str, Any]) -> list[str]:
    """The answer, how sure the captioner is of it, and the times of the pictures it rests on."""
    answer = asked["answer"]
    sure = f"{answer['confidence']:.0%} sure, " if answer.get("confidence") is not None else ""
    tokens, unfinished = answer["tokens"], " (cut at its limit)" if answer["finish"] == "length" else ""
    return [
        answer["text"] + unfinished,
        f"  {sure}{tokens['prompt']} tokens asked, {tokens['output']} answered, by {answer['model']}",
        *(
            f"  {short_track(shown['track_id'])} seen at {_times(shown['times_s'])}"
            for shown in answer["evidence"]
        ),
    ]


def _times(times_s: list[float]) -> str:
    return ", ".join(f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at * 10) % 10}" for at in times_s)
