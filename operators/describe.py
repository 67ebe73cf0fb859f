"""Describe: decide which tracks of a clip deserve a question to the captioner, and which frames to show for it.

Per track: a question at first sight, when it is lost, when it returns, when its motion, place or contacts change, and
now and then about its name; silence otherwise, with a sign of life in between. What is spoken in the end is decided
by ``operators.judge``, on the answer. No clock and no network. Times are camera time in UTC seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from operators.card import Card
from operators.observe import Look, choose_frames
from operators.wording import UNKNOWN

Kind = Literal["new", "update", "correction", "lost", "found", "heartbeat", "silent"]
Naming = Literal["fresh", "card", "refreshed"]
SPOKEN_KINDS = frozenset({"new", "update", "correction", "lost", "found"})
LOSSES = {
    "": "is out of sight",
    "lost": "is out of sight",
    "cut": "is out of sight",
    "left": "has left the view",
}
"""Why a track ends when its object is gone; any other reason means the track was never an object of its own."""

TEXT_CHARACTERS = 500
MOST_CONTACTS = 16


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """When to speak."""

    evidence_frames: int = 6
    first_frames: int = 3  # frames a new object must have been seen on, unless it is gone already
    quiet_limit_s: float = 15.0
    sentence_gap_s: float = 3.0
    hidden_limit_s: float = 2.0  # shorter absences are no loss worth a "found"
    moved_widths: float = 1.0  # of the object's own box, since the last sentence
    label_clips: int = 8  # the name is asked for at least every so many clips
    label_agreement: int = 2  # answers that must agree before a label is corrected
    label_answers: int = 2  # a label is asked for again until it was heard so often
    doubt_clips: int = 4  # a label in doubt is asked for at once, but not more often in a row
    naming: Naming = (
        "refreshed"  # "card": by its first name for ever; "fresh": by whatever is heard (to compare)
    )
    forget_s: float = 120.0


@dataclass(frozen=True, slots=True)
class TrackMemory:
    """What the narrator remembers of one track: plain values, kept at every commit."""

    card: Card = Card()
    text: str | None = None  # last spoken sentence, at most TEXT_CHARACTERS of it
    narration_id: str | None = None  # of that sentence
    revision: int = 0  # of that sentence
    kind: str | None = None
    spoken_at_s: float | None = None
    recorded_at_s: float | None = None  # last sentence or sign of life
    seen_at_s: float = 0.0
    clip_at_s: float = 0.0  # end of the newest clip looked at
    motion: str = "still"
    centre: tuple[float, float] | None = None
    contacts: tuple[str, ...] = ()
    lost: bool = False  # that it is out of sight was said
    gone: bool = False  # retired: nothing more will come
    closed_for: str = ""  # why, in the tracker's words

    @property
    def label(self) -> str | None:
        """The name it is spoken of by."""
        return self.card.label

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrackMemory:
        """The inverse of ``to_json``; raises ValueError on fields that do not belong."""
        centre = value.get("centre")
        try:
            whole: dict[str, Any] = {
                **value,
                "card": Card.from_json(value.get("card", {})),
                "contacts": tuple(value.get("contacts", ())),
                "centre": None if centre is None else (centre[0], centre[1]),
            }
            return cls(**whole)
        except (AttributeError, TypeError, IndexError) as error:
            raise ValueError(f"not a track's memory: {error}") from None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one track in one clip. ``ask``: put a question to the captioner about ``frames``.

    Without ``ask`` the kind is final; a loss nobody can picture is spoken from the label (``text``).
    ``name_only``: nothing seems to have happened, only the name is of interest. ``history``: the captioner may be
    shown the last sentence; never where its answer is to vote on the name, for it would repeat what it is told.
    """

    track_id: str
    kind: Kind
    reason: str
    ask: bool = False
    frames: tuple[int, ...] = ()
    text: str | None = None
    name_only: bool = False
    history: bool = False


def decide(memory: TrackMemory | None, look: Look, settings: DescribeSettings) -> Decision:
    """What this clip asks of the narrator for one track, by the first rule that applies."""
    before = memory or TrackMemory()
    evidence = choose_frames(look.frames, settings.evidence_frames)

    def ask(kind: Kind, reason: str, name_only: bool = False, history: bool = False) -> Decision:
        return Decision(
            look.track_id, kind, reason, ask=True, frames=evidence, name_only=name_only, history=history
        )

    if look.state == "tentative":
        return Decision(look.track_id, "silent", "not yet sure of the object")
    if look.closed_for not in LOSSES:
        return Decision(look.track_id, "silent", f"given up: {look.closed_for}")
    if before.text is None:
        return _first(look, settings, ask)
    if _too_soon(before, look, settings):
        return Decision(look.track_id, "silent", "spoken of a moment ago")
    if look.state in ("hidden", "retired") and not before.lost:
        return ask("lost", look.state) if evidence else _lost_unseen(before, look)
    if look.frames and before.lost and _absence_s(before, look) >= settings.hidden_limit_s:
        return ask("found", f"seen again after {_absence_s(before, look):.0f} s")
    naming = _name_due(before, settings)
    if look.frames and (change := _change(before, look, settings)):
        return ask("update", change, history=naming is None)
    if look.frames and naming:
        return ask("update", naming, name_only=True)
    return _quiet(before, look, settings)


def _first(look: Look, settings: DescribeSettings, ask: Callable[[Kind, str], Decision]) -> Decision:
    gone = look.state in ("hidden", "retired")
    if not look.frames or (len(look.frames) < settings.first_frames and not gone):
        return Decision(look.track_id, "silent", "too little seen of it yet")
    return ask("new", "first sight")


def _lost_unseen(before: TrackMemory, look: Look) -> Decision:
    """A loss of which this clip has no picture: said from the label alone."""
    text = plainly("lost", before, look)
    return Decision(look.track_id, "lost", look.closed_for or look.state, text=text)


def plainly(kind: Kind, before: TrackMemory, look: Look) -> str:
    """The bare fact under the label known so far, where an answer is missing or calls the object something else."""
    happening = LOSSES[look.closed_for] if kind == "lost" else "is in view again"
    name = before.label or "object"
    return f"{name} {happening}" if name.startswith(UNKNOWN) else f"the {name} {happening}"


def _too_soon(before: TrackMemory, look: Look, settings: DescribeSettings) -> bool:
    return before.spoken_at_s is not None and look.end_s - before.spoken_at_s < settings.sentence_gap_s


def _absence_s(before: TrackMemory, look: Look) -> float:
    return (look.first_seen_s or look.end_s) - before.seen_at_s


def _change(before: TrackMemory, look: Look, settings: DescribeSettings) -> str | None:
    """Why the object may deserve a new sentence, or None."""
    if look.cut:
        return "scene cut"
    if before.lost:
        return "seen again"
    if look.motion != before.motion:
        return f"motion: {before.motion} to {look.motion}"
    if set(look.contacts[:MOST_CONTACTS]) - set(before.contacts):
        return "new contact"
    if before.centre is not None and look.centre is not None:
        moved = float(np.hypot(look.centre[0] - before.centre[0], look.centre[1] - before.centre[1]))
        if moved > settings.moved_widths * max(look.width, 1e-6):
            return "moved"
    return None


def _name_due(before: TrackMemory, settings: DescribeSettings) -> str | None:
    """Why the name should be heard afresh, without knowledge of earlier sentences; None if it need not."""
    card = before.card
    if settings.naming != "refreshed":
        return None
    if 0 < len(card.doubts) < settings.doubt_clips:
        return "label in doubt"
    if card.answers < settings.label_answers:
        return "label unconfirmed"
    return "label refresh" if card.clips_since + 1 >= settings.label_clips else None


def _quiet(before: TrackMemory, look: Look, settings: DescribeSettings) -> Decision:
    if before.lost and not look.frames:
        return Decision(look.track_id, "silent", "out of sight")
    return Decision(look.track_id, "heartbeat" if overdue(before, look, settings) else "silent", "unchanged")


def overdue(memory: TrackMemory, look: Look, settings: DescribeSettings) -> bool:
    """Whether nothing was recorded of the track for so long that a sign of life is due."""
    return look.end_s - (memory.recorded_at_s or 0.0) >= settings.quiet_limit_s
