"""Judge: weigh the captioner's answer about a track against what was said of it, and give the memory from here on.

A first sight, a loss and a return are spoken; a change is spoken only if the sentence says something new. The name
in a sentence is that of the track's card: an answer that calls the object something else is told under the card's
name until the other name has outweighed it, and then once as a correction. Pure rules, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from operators.describe import (
    MOST_CONTACTS,
    TEXT_CHARACTERS,
    Decision,
    DescribeSettings,
    Kind,
    TrackMemory,
    overdue,
    plainly,
)
from operators.observe import Look
from operators.wording import UNKNOWN, adds, is_news, label_of, renamed, same_name, tells_loss


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer: its text, how sure it is of the name (0..1), and whether it was given without knowledge of earlier
    sentences (``fresh``): only then does it count for the name."""

    text: str
    confidence: float | None = None
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a decision: the kind to record, the sentence if one is spoken, the memory from here on.

    ``label`` is the name it is spoken of by, ``heard_label`` what the captioner called it where that differs.
    ``revision`` is 0 but for a correction, which has one more than the narration it ``supersedes``.
    """

    kind: Kind
    reason: str
    text: str | None
    label: str | None
    memory: TrackMemory
    narration_id: str
    revision: int = 0
    supersedes: str | None = None
    heard_label: str | None = None


def worth_streaming(memory: TrackMemory | None, decision: Decision, text_so_far: str) -> bool:
    """Whether unfinished text may be shown: what ends in silence or in other words should not be seen before."""
    if decision.kind == "new":
        return True
    whole_words = text_so_far.rsplit(" ", 1)[0]
    spoken = memory or TrackMemory()
    if decision.name_only or label_of(whole_words) != spoken.label:
        return False
    if decision.kind == "lost":
        return tells_loss(whole_words)
    return decision.kind == "found" or adds(whole_words, spoken.text)


def judge(
    memory: TrackMemory | None,
    look: Look,
    decision: Decision,
    heard: Heard | None,
    name: Callable[[int], str],
    settings: DescribeSettings,
) -> Verdict:
    """Weigh the captioner's answer (None: not asked, or no answer).

    ``name`` gives the id of this clip's narration of the track from its revision.
    """
    return _Judging(_looked(memory or TrackMemory(), look), look, decision, name, settings).verdict(heard)


@dataclass(frozen=True, slots=True)
class _Judging:
    before: TrackMemory
    look: Look
    decision: Decision
    name: Callable[[int], str]
    settings: DescribeSettings

    def verdict(self, heard: Heard | None) -> Verdict:
        before, decision = self.before, self.decision
        if decision.kind == "heartbeat":
            return self._unspoken(decision.reason, _recorded(before, self.look), kind="heartbeat")
        if heard is not None and heard.text:
            return self._first(heard) if decision.kind == "new" else self._weigh(heard)
        if decision.text:
            return self._spoken(decision.kind, decision.reason, decision.text, before)
        return self._unheard("no answer" if decision.ask else decision.reason)

    def _unheard(self, reason: str) -> Verdict:
        """Nothing was heard of the captioner. A sign of life may be due all the same: the object is in view."""
        look, before = self.look, self.before
        in_view = look.state == "active" and bool(look.frames) and before.text is not None
        if in_view and overdue(before, look, self.settings):
            return self._unspoken(reason, _recorded(before, look), kind="heartbeat")
        return self._unspoken(reason, before)

    def _first(self, heard: Heard) -> Verdict:
        fresh = label_of(heard.text)
        card = replace(self.before.card, first_seen_s=self.look.first_seen_s)
        if heard.fresh:
            card = card.heard(fresh, heard.confidence)
        memory = replace(self.before, card=card.named(fresh))
        return self._spoken("new", self.decision.reason, heard.text, memory)

    def _weigh(self, heard: Heard) -> Verdict:
        """An answer about an object that was spoken of before."""
        fresh, known, naming = label_of(heard.text), self.before.card, self.settings.naming
        card = known.heard(fresh, heard.confidence) if heard.fresh else known
        if naming == "fresh":
            return self._say(heard.text, replace(self.before, card=card.named(fresh)))
        memory = replace(self.before, card=card)
        if naming == "refreshed" and card.outvoted_by(fresh, self.settings.label_agreement):
            return self._corrected(heard.text, fresh, memory)
        if fresh == known.label:
            return self._say(heard.text, memory)
        doubted = not same_name(fresh, known.label)
        verdict = self._say(self._under_card(heard.text, doubted), memory, doubted)
        return replace(verdict, heard_label=fresh)

    def _under_card(self, text: str, doubted: bool) -> str | None:
        """A sentence that calls the object something else, told under its name. A loss or return is told plainly
        if ``doubted``: such an answer may be about whatever stands there now."""
        if doubted and self.decision.kind in ("lost", "found"):
            return plainly(self.decision.kind, self.before, self.look)
        return renamed(text, self.before.label) if self.before.label else None

    def _say(self, text: str | None, memory: TrackMemory, doubted: bool = False) -> Verdict:
        """Say ``text`` if it is worth it."""
        decision, quiet = self.decision, "label in doubt" if doubted else "nothing new to say"
        if decision.kind == "lost" and not (text and tells_loss(text)):
            text = plainly("lost", memory, self.look)
        if decision.kind in ("lost", "found") and text:
            return self._spoken(decision.kind, decision.reason, text, memory)
        if decision.name_only:
            return self._weighed("label in doubt" if doubted else "label confirmed", memory)
        if text is None or not is_news(text, memory.text):
            if memory.lost:  # its loss was spoken of: it must not stay the last word
                return self._spoken("update", decision.reason, plainly("found", memory, self.look), memory)
            return self._weighed(quiet, memory)
        return self._spoken("update", decision.reason, text, memory)

    def _corrected(self, text: str, fresh: str | None, memory: TrackMemory) -> Verdict:
        vague = not memory.label or memory.label.startswith(UNKNOWN)
        reason = "name found" if vague else f"it is no {memory.label}"
        revision, supersedes = memory.revision + 1, memory.narration_id
        memory = replace(memory, card=memory.card.named(fresh))
        verdict = self._spoken("correction", reason, text, memory, revision)
        return replace(verdict, supersedes=supersedes)

    def _weighed(self, reason: str, memory: TrackMemory) -> Verdict:
        """Nothing is said; the motion and contacts just weighed need not be weighed again."""
        look = self.look
        after = replace(
            memory,
            motion=look.motion,
            contacts=look.contacts[:MOST_CONTACTS],
            centre=look.centre or memory.centre,
            lost=memory.lost and look.state in ("hidden", "retired"),
        )
        if overdue(memory, look, self.settings):
            return self._unspoken(reason, _recorded(after, look), kind="heartbeat")
        return self._unspoken(reason, after)

    def _unspoken(self, reason: str, memory: TrackMemory, kind: Kind = "silent") -> Verdict:
        return Verdict(kind, reason, None, memory.label, memory, self.name(0))

    def _spoken(self, kind: Kind, reason: str, text: str, memory: TrackMemory, revision: int = 0) -> Verdict:
        look, own_id = self.look, self.name(revision)
        after = replace(
            _recorded(memory, look),
            text=text[:TEXT_CHARACTERS],
            narration_id=own_id,
            revision=revision,
            kind=kind,
            spoken_at_s=look.end_s,
            motion=look.motion,
            centre=look.centre or memory.centre,
            contacts=look.contacts[:MOST_CONTACTS],
            lost=look.state in ("hidden", "retired"),
        )
        return Verdict(kind, reason, text, after.label, after, own_id, revision)


def _recorded(memory: TrackMemory, look: Look) -> TrackMemory:
    return replace(memory, recorded_at_s=look.end_s)


def _looked(memory: TrackMemory, look: Look) -> TrackMemory:
    return replace(
        memory,
        card=replace(memory.card, clips_since=memory.card.clips_since + 1),
        seen_at_s=memory.seen_at_s if look.last_seen_s is None else look.last_seen_s,
        clip_at_s=look.end_s,
        gone=look.state == "retired",
        closed_for=look.closed_for,
    )
