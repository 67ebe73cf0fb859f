"""Describe: decide which tracks of a clip deserve words, which frames to show for them, and whether an answer is news.

Per track: words at first sight, when it is lost, when it returns, when its label proves wrong, and when its motion,
place or contacts change *and* the new sentence differs in content; silence otherwise, with a sign of life in between.
No clock and no network: ``decide`` looks at a clip, somebody asks the captioner, ``judge`` weighs its answer.
Times are camera time in UTC seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from operators.observe import Look, choose_frames
from operators.wording import is_news, label_of

Kind = Literal["new", "update", "correction", "lost", "found", "heartbeat", "silent"]
SPOKEN_KINDS = frozenset({"new", "update", "correction", "lost", "found"})
LOSSES = {
    "": "is out of sight",
    "lost": "is out of sight",
    "cut": "is out of sight",
    "left": "has left the view",
}
"""Why a track ends when its object is gone; any other reason means the track was never an object of its own."""


@dataclass(frozen=True, slots=True)
class DescribeSettings:
    """When to speak."""

    evidence_frames: int = 6
    first_frames: int = 3  # frames a new object must have been seen on, unless it is gone already
    quiet_limit_s: float = 15.0
    sentence_gap_s: float = 3.0
    hidden_limit_s: float = 2.0  # shorter absences are no loss worth a "found"
    moved_widths: float = 1.0  # of the object's own box, since the last sentence
    label_clips: int = 8  # ask anew after so many clips even if nothing seems to change
    label_agreement: int = 2  # answers that must agree before a label is corrected
    label_answers: int = 2  # a label is asked for again until it was heard so often
    forget_s: float = 120.0


@dataclass(frozen=True, slots=True)
class TrackMemory:
    """What the narrator remembers of one track: plain values, kept at every commit."""

    text: str | None = None  # last spoken sentence
    narration_id: str | None = None  # of that sentence
    kind: str | None = None
    label: str | None = None
    spoken_at_s: float | None = None
    recorded_at_s: float | None = None  # last sentence or sign of life
    seen_at_s: float = 0.0
    clip_at_s: float = 0.0  # end of the newest clip looked at
    motion: str = "still"
    centre: tuple[float, float] | None = None
    contacts: tuple[str, ...] = ()
    clips_since_label: int = 0
    answers: int = 0  # of the captioner about this track
    doubts: tuple[str, ...] = ()  # fresh labels in a row that disagree with ``label``
    lost: bool = False
    gone: bool = False  # retired: nothing more will come

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrackMemory:
        """The inverse of ``to_json``; raises ValueError on fields that do not belong."""
        lists = {name: tuple(value[name]) for name in ("contacts", "doubts") if name in value}
        centre = value.get("centre")
        try:
            return cls(**{**value, **lists, "centre": None if centre is None else (centre[0], centre[1])})
        except (TypeError, IndexError) as error:
            raise ValueError(f"not a track's memory: {error}") from None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one track in one clip. ``ask``: put a question to the captioner about ``frames``.

    Without ``ask`` the kind is final; a loss nobody can picture is spoken from the label (``text``).
    """

    track_id: str
    kind: Kind
    reason: str
    ask: bool = False
    frames: tuple[int, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a decision: the kind to record, the sentence if one is spoken, the memory from here on."""

    kind: Kind
    reason: str
    text: str | None
    label: str | None
    supersedes: str | None
    memory: TrackMemory


def decide(memory: TrackMemory | None, look: Look, settings: DescribeSettings) -> Decision:
    """What this clip asks of the narrator for one track, by the first rule that applies."""
    before = memory or TrackMemory()
    evidence = choose_frames(look.frames, settings.evidence_frames)

    def ask(kind: Kind, reason: str) -> Decision:
        return Decision(look.track_id, kind, reason, ask=True, frames=evidence)

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
    change = _change(before, look, settings) if look.frames else None
    if change is not None:
        return ask("update", change)
    return _quiet(before, look, settings)


def _first(look: Look, settings: DescribeSettings, ask: Callable[[Kind, str], Decision]) -> Decision:
    gone = look.state in ("hidden", "retired")
    if not look.frames or (len(look.frames) < settings.first_frames and not gone):
        return Decision(look.track_id, "silent", "too little seen of it yet")
    return ask("new", "first sight")


def _lost_unseen(before: TrackMemory, look: Look) -> Decision:
    """A loss of which this clip has no picture: said from the label alone."""
    text = _plainly("lost", before, look)
    return Decision(look.track_id, "lost", look.closed_for or look.state, text=text)


def _plainly(kind: Kind, before: TrackMemory, look: Look) -> str:
    """The bare fact under the label known so far, where an answer is missing or calls the object something else."""
    happening = LOSSES[look.closed_for] if kind == "lost" else "is in view again"
    return f"the {before.label or 'object'} {happening}"


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
    if before.doubts:
        return "label in doubt"
    if look.motion != before.motion:
        return f"motion: {before.motion} to {look.motion}"
    if set(look.contacts) - set(before.contacts):
        return "new contact"
    if before.centre is not None and look.centre is not None:
        moved = float(np.hypot(look.centre[0] - before.centre[0], look.centre[1] - before.centre[1]))
        if moved > settings.moved_widths * max(look.width, 1e-6):
            return "moved"
    if before.answers < settings.label_answers:
        return "label unconfirmed"
    return "label refresh" if before.clips_since_label >= settings.label_clips else None


def _quiet(before: TrackMemory, look: Look, settings: DescribeSettings) -> Decision:
    if before.lost and not look.frames:
        return Decision(look.track_id, "silent", "out of sight")
    return Decision(look.track_id, "heartbeat" if _overdue(before, look, settings) else "silent", "unchanged")


def _overdue(memory: TrackMemory, look: Look, settings: DescribeSettings) -> bool:
    """Whether nothing was recorded of the track for so long that a sign of life is due."""
    return look.end_s - (memory.recorded_at_s or 0.0) >= settings.quiet_limit_s


def worth_streaming(memory: TrackMemory | None, decision: Decision, text_so_far: str) -> bool:
    """Whether unfinished text may be shown: what ends in silence should not have been seen before."""
    if decision.kind in ("new", "lost", "found"):
        return True
    whole_words = text_so_far.rsplit(" ", 1)[0]
    spoken = memory or TrackMemory()
    return label_of(whole_words) == spoken.label and is_news(whole_words, spoken.text)


def judge(
    memory: TrackMemory | None,
    look: Look,
    decision: Decision,
    text: str | None,
    narration_id: str,
    settings: DescribeSettings,
) -> Verdict:
    """Weigh the captioner's answer (None: not asked, or no answer) and give the memory from here on.

    ``narration_id`` is the id under which a sentence would be published.
    """
    before = _looked(memory or TrackMemory(), look)
    text = (decision.text if text is None else text) or None
    if decision.kind == "heartbeat":
        return Verdict("heartbeat", decision.reason, None, before.label, None, _recorded(before, look))
    if text is None:
        reason = "no answer" if decision.ask else decision.reason
        return Verdict("silent", reason, None, before.label, None, before)
    if decision.ask:
        before = replace(before, answers=before.answers + 1)
    if decision.kind == "new":
        fresh = label_of(text)
        return _spoken("new", decision.reason, text, fresh, None, before, look, narration_id)
    return _weigh(before, look, decision, text, narration_id, settings)


def _weigh(
    before: TrackMemory, look: Look, decision: Decision, text: str, own_id: str, settings: DescribeSettings
) -> Verdict:
    """An answer about an object that was spoken of before."""
    fresh = label_of(text) if decision.ask else before.label
    doubts = () if fresh == before.label else (*before.doubts, fresh or "?")[-8:]
    heard = replace(before, doubts=doubts, clips_since_label=0) if decision.ask else before
    agreed = bool(doubts) and doubts.count(doubts[-1]) >= settings.label_agreement
    if agreed and fresh is not None:
        reason = f"it is no {before.label}" if before.label else "label found"
        return _spoken("correction", reason, text, fresh, before.narration_id, heard, look, own_id)
    if decision.kind in ("lost", "found"):
        said = text if not doubts else _plainly(decision.kind, before, look)
        return _spoken(decision.kind, decision.reason, said, before.label, None, heard, look, own_id)
    if doubts:
        return _silent("label in doubt", heard, look, settings)
    if not is_news(text, before.text):
        return _silent("nothing new to say", heard, look, settings)
    return _spoken("update", decision.reason, text, before.label, None, heard, look, own_id)


def _silent(reason: str, heard: TrackMemory, look: Look, settings: DescribeSettings) -> Verdict:
    """Nothing is said; the motion and contacts just weighed need not be weighed again."""
    memory = replace(
        heard,
        motion=look.motion,
        contacts=look.contacts,
        centre=look.centre or heard.centre,
        lost=heard.lost and look.state in ("hidden", "retired"),
    )
    if _overdue(heard, look, settings):
        return Verdict("heartbeat", reason, None, heard.label, None, _recorded(memory, look))
    return Verdict("silent", reason, None, heard.label, None, memory)


def _spoken(
    kind: Kind,
    reason: str,
    text: str,
    label: str | None,
    supersedes: str | None,
    heard: TrackMemory,
    look: Look,
    narration_id: str,
) -> Verdict:
    memory = replace(
        _recorded(heard, look),
        text=text,
        narration_id=narration_id,
        kind=kind,
        label=label,
        spoken_at_s=look.end_s,
        motion=look.motion,
        centre=look.centre or heard.centre,
        contacts=look.contacts,
        doubts=() if kind in ("new", "correction") else heard.doubts,
        clips_since_label=0,
        lost=look.state in ("hidden", "retired"),
    )
    return Verdict(kind, reason, text, label, supersedes, memory)


def _recorded(memory: TrackMemory, look: Look) -> TrackMemory:
    return replace(memory, recorded_at_s=look.end_s)


def _looked(memory: TrackMemory, look: Look) -> TrackMemory:
    return replace(
        memory,
        seen_at_s=memory.seen_at_s if look.last_seen_s is None else look.last_seen_s,
        clip_at_s=look.end_s,
        clips_since_label=memory.clips_since_label + 1,
        gone=look.state == "retired",
    )
