"""One clip on its way to narrations: what is known of it, what was decided and answered, and its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from contracts import topics
from contracts.clips import ClipRecord
from contracts.narrations import Narration, narration_id
from operators.describe import Decision
from operators.judge import Heard, Verdict
from operators.observe import Look, absent, look_at
from operators.types import Masklet
from operators.wording import label_confidence, label_of, without_loss
from pipelines.asking import Asking
from pipelines.evidence import Evidence, safe_name
from pipelines.memory import Memories
from pipelines.ports import CaptionAnswer, Output
from pipelines.translate import output, rounded, tokens_of


@dataclass(frozen=True, slots=True)
class Told:
    """What asking the captioner came to: an answer, or why there is none."""

    answer: CaptionAnswer | None = None
    reason: str = ""
    seconds: float = 0.0
    fresh: bool = True  # asked without showing it earlier sentences

    @property
    def heard(self) -> Heard | None:
        """The answer as the decision layer weighs it."""
        if self.answer is None:
            return None
        named = label_of(self.answer.text) or ""
        sure = label_confidence(named, self.answer.pieces, self.answer.probabilities)
        return Heard(self.answer.text, sure, self.fresh)


@dataclass
class ClipWork:
    """One clip on its way to narrations."""

    clip: ClipRecord
    evidence: Evidence
    before: Memories
    fetch_s: float
    asking: Asking
    looks: dict[str, Look] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)

    def masklet(self, track_id: str) -> Masklet:
        return next(masklet for masklet in self.evidence.masklets if masklet.track_id == track_id)

    def look(self) -> None:
        """See every track of the clip, and those remembered ones that it no longer knows."""
        evidence, span_s = self.evidence, (self.clip.start_s, self.clip.end_s)
        for masklet in evidence.masklets:
            closed_for = evidence.closed.get(masklet.track_id, "")
            self.looks[masklet.track_id] = look_at(
                masklet, evidence.masklets, evidence.times_s, span_s, closed_for=closed_for
            )
        for track_id, memory in self.before.items():
            if track_id not in self.looks and memory.text is not None and not memory.lost:
                self.looks[track_id] = replace(absent(track_id, span_s), closed_for=memory.closed_for)

    def name_of(self, track_id: str) -> str | None:
        """What a person calls the track."""
        return (self.clip.names or {}).get(track_id)

    def contradicts_loss(self, track_id: str) -> bool:
        """Whether the last frame shows the track, and the captioner has a grammar in which a loss can be recognised.

        What captioners that follow instructions say is never touched.
        """
        look = self.looks[track_id]
        last = len(self.evidence.times_s) - 1
        return self.asking.questions == "own" and look.state == "active" and last in look.frames

    def heard(self, track_id: str) -> Heard | None:
        """What was answered about a track, without a loss that the clip's last frame belies."""
        heard = self.told.get(track_id, Told()).heard
        if heard is None or not self.contradicts_loss(track_id):
            return heard
        return replace(heard, text=without_loss(heard.text))

    def narration_id(self, track_id: str, revision: int = 0) -> str:
        return narration_id(track_id, self.clip.clip_id, revision)

    def message(self, track_id: str, verdict: Verdict, now_s: float) -> Output:
        """The final narration, or the record that nothing was said."""
        clip, decision = self.clip, self.decisions[track_id]
        told = self.told.get(track_id, Told())
        answer = told.answer or CaptionAnswer("", (), (), "")
        frames = list(decision.frames) if verdict.text is not None else []
        start_s, end_s = span_of(self.looks[track_id])
        stages = {"fetch": self.fetch_s, "captioner": told.seconds, **answer.stage_s} if decision.ask else {}
        narration = Narration(
            narration_id=verdict.narration_id,
            revision=verdict.revision,
            supersedes=verdict.supersedes,
            kind=verdict.kind,
            camera_id=clip.camera_id,
            epoch=clip.epoch,
            track_ids=[track_id],
            clip_id=clip.clip_id,
            text=verdict.text,
            label=verdict.label,
            heard_label=verdict.heard_label,
            name=self.name_of(track_id),
            start_s=start_s,
            end_s=end_s,
            evidence_ref=clip.evidence_ref if frames else None,
            evidence_frames=frames,
            crop_ref=_crop_ref(clip, track_id) if frames else None,
            confidence=_confidence(verdict, answer),
            reason=verdict.reason,
            tokens=tokens_of(answer),
            model=answer.model,
            **self._prompt(told),
            stage_s=rounded(stages),
            delay_s=now_s - self.evidence.times_s[frames[-1]] if frames else None,
            published_at=now_s,
        )
        return output(topics.NARRATIONS, clip.camera_id, narration)

    def _prompt(self, told: Told) -> dict[str, str | None]:
        """How the captioner was asked, where it answered."""
        if told.answer is None:
            return {}
        asking = self.asking
        return {
            "prompt_id": asking.prompt_id,
            "prompt_version": asking.prompt_version,
            "style": asking.style,
        }


def span_of(look: Look) -> tuple[float, float]:
    """The camera time a narration is about: from first to last sight in the clip, else the whole clip."""
    if look.first_seen_s is None or look.last_seen_s is None or look.last_seen_s <= look.first_seen_s:
        return look.start_s, look.end_s
    return look.first_seen_s, look.last_seen_s


def _crop_ref(clip: ClipRecord, track_id: str) -> str:
    """The tracker keeps the best look of each visible track beside the clip's evidence."""
    return f"{clip.evidence_ref.rpartition('/')[0]}/{safe_name(track_id)}.jpg"


def _confidence(verdict: Verdict, answer: CaptionAnswer) -> float | None:
    """How sure the captioner was of what it named; of the whole sentence where it named nothing."""
    if verdict.text is None or not answer.probabilities:
        return None
    named = label_confidence(verdict.label or "", answer.pieces, answer.probabilities)
    return named if named is not None else _mean(answer.probabilities)


def _mean(values: Sequence[float]) -> float:
    return min(1.0, max(0.0, sum(values) / len(values)))
