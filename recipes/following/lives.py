"""Scores that the standard ones do not tell: how soon an object is found, what is born of nothing, who comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from recipes.following.record import Seen

SAME = 0.5
"""Overlap (intersection over union) from which a track has an object."""
FOUND_WITHIN_S = 2.0
LONGEST_OCCLUSION_S = 3.0
HELD_WITHIN_S = 1.0
"""An object is followed into an occlusion if a track had it so shortly before: half hidden it is hard to outline."""
BACK_WITHIN_S = 1.5
"""After a return, so long may the track take to be seen on the object again."""


@dataclass
class Life:
    """One object of one stream: when it was clear in view, and under which track (None: under none)."""

    held: list[tuple[float, str | None]] = field(default_factory=list)
    covered: list[float] = field(default_factory=list)

    @property
    def entered_s(self) -> float:
        """When it was first clear in view."""
        return self.held[0][0]


def lives(frames: Sequence[Seen]) -> dict[int, Life]:
    """Every object that was clear in view at least once."""
    found: dict[int, Life] = {}
    for it in frames:
        for row, number in enumerate(it.objects):
            found.setdefault(number, Life()).held.append((it.time_s, _track_of(it, row)))
        for number in it.covered & found.keys():
            found[number].covered.append(it.time_s)
    return found


def _track_of(it: Seen, row: int) -> str | None:
    best = int(it.overlap[row].argmax()) if it.tracks else -1
    return it.tracks[best] if best >= 0 and it.overlap[row, best] >= SAME else None


def found_in_time(life: Life, end_s: float) -> bool | None:
    """Whether a track had the object within :data:`FOUND_WITHIN_S`; None if it was not clear for so long."""
    limit = life.entered_s + FOUND_WITHIN_S
    stayed = life.held[-1][0] >= limit
    if not stayed or end_s < limit:
        return None
    return any(track is not None for time_s, track in life.held if time_s <= limit)


def returns(life: Life) -> Iterator[bool]:
    """For each occlusion of at most :data:`LONGEST_OCCLUSION_S` of a followed object: is it the same track after?"""
    for (before_s, _), (after_s, _) in zip(life.held, life.held[1:], strict=False):
        hidden = [time_s for time_s in life.covered if before_s < time_s < after_s]
        if not hidden or after_s - before_s > LONGEST_OCCLUSION_S:
            continue
        shortly = (track for time_s, track in life.held if before_s - HELD_WITHIN_S <= time_s <= before_s)
        last = next((track for track in reversed([*shortly]) if track is not None), None)
        if last is not None:
            soon = (track for time_s, track in life.held if after_s <= time_s <= after_s + BACK_WITHIN_S)
            yield next((track for track in soon if track is not None), None) == last


def false_births(frames: Sequence[Seen]) -> dict[str, bool]:
    """For each track: whether on most of its frames less than half of it lay on any one object."""
    shares: dict[str, list[float]] = {}
    for it in frames:
        for track, share in it.inside.items():
            shares.setdefault(track, []).append(share)
    return {track: sum(share < 0.5 for share in all_) * 2 > len(all_) for track, all_ in shares.items()}
