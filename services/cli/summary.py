"""The sums at the end of a run: clips, gaps, tracks, narrations and how late they came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass
class Summary:
    """Counts events of one camera as they are seen."""

    camera_id: str
    clips: set[str] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)  # epochs whose last clip was seen
    gaps_s: dict[str, float] = field(default_factory=dict)
    tracks: set[str] = field(default_factory=set)
    narrations: int = 0
    delays_s: list[float] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)  # clips with at least one record of the narrator
    last_clip: str | None = None
    last_state: dict[str, Any] = field(default_factory=dict)
    was_live: bool = False  # it sent video, so there is a last clip to come

    def take(self, name: str, data: dict[str, Any]) -> None:
        """Count one event of the gateway's stream."""
        if data.get("camera_id") != self.camera_id:
            return
        if name == "clip":
            self.clips.add(data["clip_id"])
            self.last_clip = data["clip_id"] if data["track_ids"] else self.last_clip
            if data["closed_by"] == "end":
                self.ended.add(data["epoch"])
        elif name == "gap":
            self.gaps_s[data["gap_id"]] = data["end_s"] - data["start_s"]
        elif name == "track.event" and data["kind"] == "opened":
            self.tracks.add(data["track_id"])
        elif name == "narration":
            self._narration(data)
        elif name == "camera.state":
            self.last_state = data
            self.was_live |= data["state"] == "live"

    def _narration(self, data: dict[str, Any]) -> None:
        self.answered.add(data["clip_id"])
        if data.get("text"):
            self.narrations += 1
            if data.get("delay_s") is not None:
                self.delays_s.append(data["delay_s"])

    def delay(self, share: float) -> float | None:
        """The delay within which that share of narrations came, seconds."""
        ordered = sorted(self.delays_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    def print(self, console: Console, balance: str) -> None:
        table = Table(
            box=None,
            show_header=False,
            padding=(0, 2),
            title=f"camera '{self.camera_id}'",
            title_justify="left",
        )
        for name, value in (
            ("clips", str(len(self.clips))),
            ("gaps", f"{len(self.gaps_s)} ({sum(self.gaps_s.values()):.1f} s)"),
            ("tracks", str(len(self.tracks))),
            ("narrations", str(self.narrations)),
            ("delay p50 / p95", _delays(self.delay(0.5), self.delay(0.95))),
            ("ledger", balance),
        ):
            table.add_row(f"[dim]{name}[/]", value)
        console.print()
        console.print(table)


def _delays(p50: float | None, p95: float | None) -> str:
    return "-" if p50 is None or p95 is None else f"{p50:.1f} s / {p95:.1f} s"
