"""What is true of each track of a stream, clip by clip, and which of it is a change worth a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from recipes.captioner.evidence import MIN_MASK_PX
from recipes.continuity.footage import StreamClip
from synthetic.grammar import Attributes, name_of
from synthetic.language import describe

HIDDEN_S = 2.0
"""Shorter absences are no loss and no return."""

ChangeKind = Literal["appears", "does", "gone", "back"]


@dataclass(frozen=True)
class Change:
    """Something that became true of a track in a clip; ``does`` says what, for the kind "does"."""

    clip: int
    kind: ChangeKind
    does: Attributes | None = None


@dataclass
class TrackTruth:
    """One track: its ``name`` ("red car"), and by clip number what it does (clips in which it is seen), whether it is
    seen at the clip's end, and on how many frames. ``hidings`` are absences of 2 s or more as pairs of clips (last
    seen in, seen again in), ``occlusions`` those of any length, however short."""

    name: str
    does: dict[int, Attributes] = field(default_factory=dict)
    at_end: dict[int, bool] = field(default_factory=dict)
    frames: dict[int, int] = field(default_factory=dict)
    hidings: list[tuple[int, int]] = field(default_factory=list)
    occlusions: list[tuple[int, int]] = field(default_factory=list)
    left_in: int | None = None

    def changes(self) -> list[Change]:
        """True changes in order of time, at most one of a kind in a clip."""
        found = []
        returns, losses = {back for _, back in self.hidings}, {gone for gone, _ in self.hidings}
        before: Attributes | None = None
        for clip, now in sorted(self.does.items()):
            if before is None:
                found.append(Change(clip, "appears"))
            elif clip in returns:
                found.append(Change(clip, "back"))
            elif now.event not in ("hidden", "leaves") and not follows(before, now):
                found.append(Change(clip, "does", now))
            if clip in losses:
                found.append(Change(clip, "gone"))
            before = now
        if self.left_in is not None and before is not None:
            found.append(Change(self.left_in, "gone"))
        return found


def follows(before: Attributes, now: Attributes) -> bool:
    """Whether what is done now is no news after what was done before."""
    if now.event == "stays":
        return before.event in ("stays", "stops")
    same_way = now.direction == before.direction
    if now.event == "moves":
        return same_way and before.event in ("moves", "bumps", "is_bumped")
    return now.event == before.event and same_way and now.other == before.other


def truths(clips: Sequence[StreamClip]) -> dict[int, TrackTruth]:
    """The truth of every object of a stream that is seen well enough to be a track, by object number."""
    found: dict[int, TrackTruth] = {}
    last_seen: dict[int, tuple[int, float]] = {}  # clip and time
    for clip in clips:
        seconds = len(clip.clip.frames) / clip.clip.fps
        for k, number in enumerate(clip.numbers):
            it = clip.clip.objects[k]
            seen = np.flatnonzero(it.visible_px >= MIN_MASK_PX)
            if number not in found and not len(seen):
                continue
            truth = found.setdefault(number, TrackTruth(name_of(it.colour, it.class_name)))
            if any(event.kind == "leaves" for event in it.events):
                truth.left_in = clip.index
            truth.at_end[clip.index] = bool(it.visible_px[-1] >= MIN_MASK_PX)
            if not len(seen):
                continue
            for t in seen:
                now_s = clip.index * seconds + t / clip.clip.fps
                gone_in, gone_s = last_seen.get(number, (clip.index, now_s))
                if now_s - gone_s > 1.5 / clip.clip.fps:
                    truth.occlusions.append((gone_in, clip.index))
                if now_s - gone_s >= HIDDEN_S and gone_in < clip.index:
                    truth.hidings.append((gone_in, clip.index))
                last_seen[number] = clip.index, now_s
            truth.frames[clip.index] = len(seen)
            truth.does[clip.index] = _does(clip, k, int(seen[0]), seconds)
    return found


def _does(clip: StreamClip, k: int, first: int, seconds: float) -> Attributes:
    """What the object does from its first sight in the clip to the clip's end."""
    start_s = (first - 1) / clip.clip.fps + 1e-3 if first else 0.0
    return describe(clip.clip.objects, k, clip.clip.fps, start_s, seconds).attributes
