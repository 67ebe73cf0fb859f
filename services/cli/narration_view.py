"""Live narration in a terminal: finished sentences scroll by, those being spoken grow below them."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

KIND_MARK = {
    "new": ("●", "bold green"),
    "update": ("→", "cyan"),
    "correction": ("✎", "magenta"),
    "lost": ("○", "red"),
    "found": ("◉", "green"),
}
TRACK_STYLES = ("bright_cyan", "bright_yellow", "bright_magenta", "bright_green", "bright_blue", "bright_red")
SPEAKING_LIMIT = 8
STATE_STYLE = {"live": "green", "connecting": "yellow", "degraded": "yellow", "lost": "red", "stopped": "dim"}


def short_track(track_id: str) -> str:
    """``demo-1790000000000-t12`` reads as ``#12``."""
    return "#" + track_id.rsplit("-", 1)[-1].lstrip("t").lstrip("0")


def track_style(track_id: str) -> str:
    digits = "".join(c for c in track_id.rsplit("-", 1)[-1] if c.isdigit()) or "0"
    return TRACK_STYLES[int(digits) % len(TRACK_STYLES)]


class NarrationView:
    """Feed it events; it prints. On a pipe only finished lines appear."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.labels: dict[str, str] = {}
        self.names: dict[str, str] = {}  # as people call them
        self.speaking: OrderedDict[str, Text] = OrderedDict()
        self._live = Live(Group(), console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> NarrationView:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def show(self, name: str, data: dict[str, Any]) -> None:
        """One event of the stream."""
        if name == "partial":
            self._speak(data)
        elif name == "narration":
            self._finish(data)
        elif name == "prompt.answer":
            self._answered(data)
        elif name == "camera.state":
            style = STATE_STYLE.get(data["state"], "")
            cause = f": {data['cause']}" if data.get("cause") else ""
            self._print(
                self._line(
                    data["at_s"], data["camera_id"], "◆", style, f"camera {data['state']}{cause}", style
                )
            )
        elif name == "gap":
            seconds = data["end_s"] - data["start_s"]
            words = f"gap of {seconds:.1f} s: {data['reason']}" + (
                f" ({data['cause']})" if data.get("cause") else ""
            )
            self._print(self._line(data["end_s"], data["camera_id"], "▨", "red", words, "red"))

    def _answered(self, data: dict[str, Any]) -> None:
        """Somebody said what is to be followed."""
        track = data.get("track_id") or ""
        if data["code"] in ("renamed", "followed"):
            self._note_name(track, data.get("name"))
        words = data["code"].replace("_", " ") + (f": {data['words']}" if data.get("words") else "")
        line = self._line(data["answered_at"], data["camera_id"], "☞", "yellow", "", "")
        self._print(line.append(f"{self._title(track):<20} ", style=track_style(track)).append(words))

    def _note_name(self, track: str, name: str | None) -> None:
        if name:
            self.names[track] = name
        else:
            self.names.pop(track, None)

    def _title(self, track: str) -> str:
        """A person's name for a track; else its number and what the captioner calls it."""
        if not track:
            return ""
        return self.names.get(track) or f"{short_track(track):>4} {self.labels.get(track, '')}"

    def _speak(self, data: dict[str, Any]) -> None:
        self._note_name(data["track_id"], data.get("name"))
        line = self._subject(data["end_s"], data["camera_id"], data["kind"], data["track_id"])
        line.append(data["text"], style="italic").append(" ▍", style="blink")
        self.speaking[data["narration_id"]] = line
        while len(self.speaking) > SPEAKING_LIMIT:
            self.speaking.popitem(last=False)
        self._refresh()

    def _finish(self, data: dict[str, Any]) -> None:
        self.speaking.pop(data["narration_id"], None)
        self._refresh()
        track = data["track_ids"][0]
        self._note_name(track, data.get("name"))
        if data.get("label"):
            self.labels[track] = data["label"]
        if data.get("text"):
            line = self._subject(data["end_s"], data["camera_id"], data["kind"], track)
            line.append(data["text"])
            if data.get("delay_s") is not None:
                line.append(f"  {data['delay_s']:.1f} s", style="dim")
            self._print(line)

    def _subject(self, at_s: float, camera: str, kind: str, track: str) -> Text:
        mark, style = KIND_MARK.get(kind, ("·", "dim"))
        line = self._line(at_s, camera, mark, style, "", "")
        return line.append(f"{self._title(track):<19} ", style=track_style(track))

    def _line(self, at_s: float, camera: str, mark: str, style: str, words: str, words_style: str) -> Text:
        line = Text(time.strftime("%H:%M:%S ", time.localtime(at_s)), style="dim")
        return (
            line.append(f"{camera}  ", style="dim")
            .append(f"{mark} ", style=style)
            .append(words, style=words_style)
        )

    def _print(self, line: Text) -> None:
        self.console.print(line, soft_wrap=True)

    def _refresh(self) -> None:
        if self._live.is_started:
            self._live.update(Group(*self.speaking.values()))
