"""``streamrefer demo``: the main job on one source, from starting the engines to a summary and an exit code."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console

from pipelines.ports import StoreUnavailable
from services.cli.client import fail
from services.cli.ledger import take
from services.cli.narration_view import NarrationView
from services.cli.summary import Summary
from services.cli.watch import follow
from services.engines.child import REPOSITORY
from services.engines.errors import EngineError
from services.engines.plan import StackOptions
from services.engines.progress import Progress
from services.engines.stack import Stack
from services.settings import SettingsError

CAMERA = "demo"
NAMES = "narration,partial,camera.state,gap,clip,track.event"
FINISH_TIMEOUT_S = 90.0
QUIET_S, SILENT_S = 12.0, 45.0
"""Of a camera that never sent video, and of a narrator that still has something to say."""
FILM_TIMEOUT_S = 600.0
EVENTS_WAITING = 5000

Events = queue.Queue[tuple[str, dict[str, Any]]]


def demo(
    source: str = typer.Option(
        "", "--source", help="video file or address; without it, a synthetic demo camera"
    ),
    loop: bool = typer.Option(False, "--loop", help="files: play again and again"),
    duration: float = typer.Option(
        0.0, "--duration", help="end after so many seconds (0: at the end, or Ctrl-C)"
    ),
    data: Path = typer.Option(Path(".streamrefer"), "--data", help="folder that holds all state"),
    port: int = typer.Option(0, "--port", min=0, max=65_535, help="port of the page (0: a free one)"),
) -> None:
    """Start everything, narrate one source, and sum up. Exit code 0 only when the job was done."""
    console = Console()
    if source and "://" not in source and not Path(source).is_file():
        fail(f"no such file: {source}", 2)
    if not duration >= 0:  # "not a number" too
        fail(f"--duration wants seconds, 0 or more, not {duration:g}", 2)
    stack = _started(StackOptions(data, ports={"gateway": port} if port else {}), console)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        place = source or demo_video(data)
        done = _run(console, stack, place, loop or not source, duration, stopping)
    except EngineError as error:
        fail(str(error))
    except (httpx.TransportError, StoreUnavailable) as error:
        fail(f"an engine does not answer ({error}); see {data.absolute() / 'logs'}")
    finally:
        stack.stop()
    raise typer.Exit(0 if done else 1)


def _started(options: StackOptions, console: Console) -> Stack:
    """The running stack; Ctrl-C and SIGTERM end the start at once and leave nothing behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        stack = Stack(options, Progress(console))
        stack.start()
    except (EngineError, SettingsError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped while starting", 130)
    return stack


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def demo_video(data: Path) -> str:
    """The demo camera's film: two minutes of the synthetic world, drawn once and kept in the data folder.

    Drawn by a recipe in a process of its own: services do not import the synthetic world.
    """
    film = data.absolute() / "demo-camera.mp4"  # the recipe runs in another folder
    if not film.is_file():
        part = film.with_suffix(".part.mp4")
        argv = [sys.executable, "-m", "recipes.make_demo_video", str(part), "--seconds", "120", "--seed", "7"]
        try:
            made = subprocess.run(
                argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=FILM_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            fail(f"the demo film was not drawn within {FILM_TIMEOUT_S:.0f} s: is the machine overloaded?")
        if made.returncode:
            fail(f"the demo film could not be drawn: {made.stderr.strip().rpartition(chr(10))[2]}")
        part.rename(film)
    return str(film)


def _run(
    console: Console, stack: Stack, source: str, loop: bool, duration_s: float, stopping: threading.Event
) -> bool:
    address = stack.settings.gateway_url
    began_s = time.time()
    console.print(f"\n[bold]Watch it live:[/] {address}\n")
    events: Events = queue.Queue(EVENTS_WAITING)
    threading.Thread(target=_listen, args=(address, events), daemon=True).start()
    _subscribe(address, source, loop)
    summary = Summary(CAMERA)
    with NarrationView(console) as view:
        _narrate(stack, events, summary, view, began_s + duration_s if duration_s else None, stopping)
        httpx.delete(f"{address}/v1/cameras/{CAMERA}", timeout=20)
        _finish(events, summary, view)
    return _sum_up(console, stack, summary, began_s)


def _listen(address: str, events: Events) -> None:
    try:
        for event in follow(address, CAMERA, replay=False, names=NAMES):
            events.put(event)
    except typer.Exit:
        return  # it has said why


def _subscribe(address: str, source: str, loop: bool) -> None:
    httpx.delete(f"{address}/v1/cameras/{CAMERA}", timeout=20)  # of an earlier run in the same folder
    place = source if "://" in source else str(Path(source).resolve())
    answer = httpx.post(
        f"{address}/v1/cameras", json={"camera_id": CAMERA, "source": place, "loop": loop}, timeout=20
    )
    if not answer.is_success:
        fail(f"the camera was refused: {answer.text}")


def _narrate(
    stack: Stack,
    events: Events,
    summary: Summary,
    view: NarrationView,
    until_s: float | None,
    stopping: threading.Event,
) -> None:
    """Show events until the source ends, the time is over, or someone stops."""
    while not stopping.is_set() and (until_s is None or time.time() < until_s):
        _take(events, summary, view, 0.5)
        stack.wait(0.0)  # raises when an engine has failed for good
        if summary.last_state.get("state") == "stopped":
            return


def _finish(events: Events, summary: Summary, view: NarrationView) -> None:
    """Wait for the last clip, and for the narrator to have dealt with it; a slow machine may take its time."""
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    quiet_since = time.monotonic()
    while time.monotonic() < deadline:
        if _take(events, summary, view, 0.5):
            quiet_since = time.monotonic()
        dealt = summary.last_clip is None or summary.last_clip in summary.answered
        if summary.ended and dealt and time.monotonic() - quiet_since > 2.0:
            return
        quiet_s = time.monotonic() - quiet_since
        if quiet_s > SILENT_S and summary.ended or quiet_s > QUIET_S and not summary.was_live:
            return


def _take(events: Events, summary: Summary, view: NarrationView, timeout_s: float) -> bool:
    try:
        name, event = events.get(timeout=timeout_s)
    except queue.Empty:
        return False
    summary.take(name, event)
    view.show(name, event)
    return True


def _sum_up(console: Console, stack: Stack, summary: Summary, began_s: float) -> bool:
    books = take(stack.settings, CAMERA, began_s - 1.0, references=True)
    wrong = [words for book in books for words in book.discrepancies]
    pending_s = sum(book.pending_s for book in books)
    if pending_s > 0.1:
        wrong.append(f"{pending_s:.1f} s of video were not tracked")
    balanced = bool(books) and not wrong
    summary.print(console, "[green]balanced[/]" if balanced else "[red]off[/]")
    for words in wrong[:10]:
        console.print(words, style="red", markup=False)
    if not summary.clips:
        cause = summary.last_state.get("cause") or "no video arrived"
        console.print(f"not done: {cause}", style="red", markup=False)
    elif not summary.narrations:
        console.print("[red]not done: nothing was narrated[/]")
    return balanced and bool(summary.clips) and summary.narrations > 0
