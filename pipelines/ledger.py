"""Double-entry bookkeeping of camera time: every second is a clip or a gap with its reason, exactly once.

Pure: give it the messages of the result topics, get an account for each camera and every discrepancy in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.clips import ClipRecord
from contracts.events import Gap, TrackEvent
from contracts.narrations import Narration
from contracts.segments import SegmentHeader

TOLERANCE_S = 2e-3


@dataclass
class Account:
    """One camera's time and what came of it. Balanced when ``discrepancies`` is empty."""

    camera_id: str
    start_s: float = 0.0
    end_s: float = 0.0
    clip_s: float = 0.0
    gap_s: float = 0.0
    pending_s: float = 0.0  # ingested, not yet tracked
    clips: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    tracks: int = 0
    narrations: int = 0
    discrepancies: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not self.discrepancies


def accounts(
    segments: Iterable[SegmentHeader],
    clips: Iterable[ClipRecord],
    gaps: Iterable[Gap],
    events: Iterable[TrackEvent],
    narrations: Iterable[Narration],
    whole: bool = True,
) -> list[Account]:
    """One account for each camera that any message names, sorted by camera id.

    ``whole``: the messages go back to the beginning. Books that begin later may speak of tracks opened, and of clips
    told, before their first clip.

    Time after the last clip or gap that ingest has already published counts as pending, not as missing: the
    tracker is still at it.
    """
    books: dict[str, _Book] = {}
    for header in segments:
        _book(books, header.camera_id).segments.append(header)
    for clip in clips:
        _book(books, clip.camera_id).clips.append(clip)
    for gap in gaps:
        _book(books, gap.camera_id).gaps[gap.gap_id] = (
            gap  # told again after a crash of ingest: the newest counts
        )
    for event in events:
        _book(books, event.camera_id).events.append(event)
    for narration in narrations:
        _book(books, narration.camera_id).narrations.append(narration)
    return [books[name].account(whole) for name in sorted(books)]


def _book(books: dict[str, _Book], camera_id: str) -> _Book:
    return books.setdefault(camera_id, _Book(camera_id))


@dataclass
class _Book:
    camera_id: str
    segments: list[SegmentHeader] = field(default_factory=list)
    clips: list[ClipRecord] = field(default_factory=list)
    gaps: dict[str, Gap] = field(default_factory=dict)
    events: list[TrackEvent] = field(default_factory=list)
    narrations: list[Narration] = field(default_factory=list)

    def account(self, whole: bool) -> Account:
        account = Account(self.camera_id, clips=len(self.clips))
        account.gaps = Counter(gap.reason for gap in self.gaps.values())
        account.narrations = sum(1 for n in self.narrations if n.text)
        self._tile(account)
        self._twice(account)
        self._lives(account, set() if whole else self._older())
        self._clips_told(account, whole)
        return account

    def _tile(self, account: Account) -> None:
        entries = [(c.start_s, c.end_s, f"clip {c.clip_id}") for c in self.clips]
        entries += [(g.start_s, g.end_s, f"gap {g.gap_id}") for g in self.gaps.values()]
        entries.sort()
        account.clip_s = sum(c.end_s - c.start_s for c in self.clips)
        account.gap_s = sum(g.end_s - g.start_s for g in self.gaps.values())
        ingested_s = max((h.end_s for h in self.segments), default=0.0)
        first_s = min((h.start_s for h in self.segments), default=entries[0][0] if entries else 0.0)
        account.start_s = min(first_s, entries[0][0]) if entries else first_s
        account.end_s = max(ingested_s, entries[-1][1] if entries else 0.0)
        until_s, before = account.start_s, "the first segment"
        for start_s, end_s, name in entries:
            if start_s > until_s + TOLERANCE_S:
                account.discrepancies.append(f"{start_s - until_s:.3f} s missing between {before} and {name}")
            elif start_s < until_s - TOLERANCE_S:
                account.discrepancies.append(f"{until_s - start_s:.3f} s twice: {before} and {name} overlap")
            until_s, before = max(until_s, end_s), name
        account.pending_s = max(0.0, account.end_s - until_s)

    def _twice(self, account: Account) -> None:
        for what, ids in (
            ("clip", [c.clip_id for c in self.clips]),
            ("event", [e.event_id for e in self.events]),
            ("narration", [n.narration_id for n in self.narrations]),
        ):
            doubled = [name for name, count in Counter(ids).items() if count > 1]
            account.discrepancies += [f"{what} {name} was written twice" for name in doubled]

    def _older(self) -> set[str]:
        """Tracks that may have been opened before these books begin: of the first clip, or closed without a clip."""
        first = min(self.clips, key=lambda clip: clip.start_s, default=None)
        shown = {track for clip in self.clips for track in clip.track_ids}
        closed = {event.track_id for event in self.events if event.kind == "closed"}
        return set(first.track_ids if first else ()) | (closed - shown)

    def _lives(self, account: Account, older: set[str]) -> None:
        """Every track is opened once, closed at most once, and in no clip unopened; ``older`` ones need no opening."""
        opened = Counter(e.track_id for e in self.events if e.kind == "opened")
        closed = Counter(e.track_id for e in self.events if e.kind == "closed")
        account.tracks = len(opened)
        seen = {track for clip in self.clips for track in clip.track_ids}
        account.discrepancies += [f"track {t} was opened {n} times" for t, n in opened.items() if n > 1]
        account.discrepancies += [f"track {t} was closed {n} times" for t, n in closed.items() if n > 1]
        known = set(opened) | older
        account.discrepancies += [f"track {t} was closed but never opened" for t in closed if t not in known]
        account.discrepancies += [
            f"track {t} is in a clip but was never opened" for t in sorted(seen - known)
        ]

    def _clips_told(self, account: Account, whole: bool) -> None:
        """Every narration is about a clip that exists."""
        known = {clip.clip_id for clip in self.clips}
        first_s = min((clip.start_s for clip in self.clips), default=0.0)
        account.discrepancies += [
            f"narration {n.narration_id} is about clip {n.clip_id}, which does not exist"
            for n in self.narrations
            if n.clip_id not in known and (whole or n.end_s > first_s)
        ]
