"""How much of what happens is told, how much of what is told is new and true, and whether names stay.

A *change* counts as told if a sentence about its track says it in the clip in which it becomes true or in the next.
A sentence counts as new and true if its name is right, what it says is right of its clip (event and direction), and
it says something that the sentence before it did not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from operators.wording import label_of, same_name
from recipes.continuity.truth import Change, TrackTruth
from synthetic.grammar import Attributes, parse

GONE_EVENTS = ("hidden", "leaves")


@dataclass(frozen=True)
class Said:
    """One record of the narrator about one track: a sentence, or none (``text`` None)."""

    clip: int
    kind: str
    text: str | None = None
    end_s: float = 0.0
    asked: bool = False

    @property
    def name(self) -> str | None:
        """What the sentence calls its subject."""
        return label_of(self.text or "")

    @property
    def attributes(self) -> Attributes | None:
        """What the sentence says, if it is one of the captioner's grammar."""
        return parse(self.text or "")


@dataclass(frozen=True)
class Plant:
    """A wrong name put into the narrator's memory of a track after clip ``clip``, which ends at ``end_s``."""

    clip: int
    end_s: float
    label: str


@dataclass
class Counts:
    """Sums over tracks; ``report`` makes shares of them."""

    changes: dict[str, list[bool]] = field(default_factory=dict)
    sentences: list[dict[str, bool]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    occlusions: list[str] = field(default_factory=list)
    renamings: int = 0
    successions: int = 0
    asked: int = 0
    seen_s: float = 0.0
    repeats: list[int] = field(default_factory=list)
    corrected_after_s: list[float | None] = field(default_factory=list)

    def add(self, truth: TrackTruth, said: Sequence[Said], fps: float) -> None:
        """Count one track: its truth, and every record about it in order."""
        spoken = [each for each in said if each.text]
        for change in truth.changes():
            self.changes.setdefault(change.kind, []).append(is_told(change, spoken))
        for before, now in zip([None, *spoken], spoken, strict=False):
            self.sentences.append(judged(truth, before, now))
        for before, now in zip(spoken, spoken[1:], strict=False):
            self.successions += 1
            self.renamings += before.name != now.name and now.kind != "correction"
        for each in said:
            self.kinds[each.kind] = self.kinds.get(each.kind, 0) + 1
        self.asked += sum(each.asked for each in said)
        self.seen_s += sum(truth.frames.values()) / fps
        self.occlusions += [found for absence in truth.occlusions if (found := over(absence, spoken))]

    def add_planted(self, plant: Plant, said: Sequence[Said]) -> None:
        """Count one track in whose memory a wrong name was put."""
        later = [each for each in said if each.text and each.clip > plant.clip]
        if not later:
            return
        other = next((each for each in later if each.name != plant.label), None)
        self.repeats.append(sum(each.name == plant.label for each in later))
        self.corrected_after_s.append(None if other is None else other.end_s - plant.end_s)

    def report(self) -> dict:
        """The figures, by the keys that ``recipes.evaluate_continuity`` explains."""
        told = [right for kind in self.changes.values() for right in kind]
        spoken, minutes = len(self.sentences), self.seen_s / 60
        corrected = [after for after in self.corrected_after_s if after is not None]
        return {
            "changes": len(told),
            "recall": share(told),
            "recall_of": {kind: share(rights) for kind, rights in sorted(self.changes.items())},
            "sentences": spoken,
            "precision": share([all(found.values()) for found in self.sentences]),
            **{f"{name}_right": share([f[name] for f in self.sentences]) for name in ("name", "fact")},
            "new": share([found["new"] for found in self.sentences]),
            "occlusions": len(self.occlusions),
            "same_name_over_occlusion": share([found == "same" for found in self.occlusions]),
            "renamed_without_correction": share_of(self.renamings, self.successions),
            "sentences_per_object_minute": share_of(spoken, minutes),
            "questions_per_object_minute": share_of(self.asked, minutes),
            "heartbeats_per_object_minute": share_of(self.kinds.get("heartbeat", 0), minutes),
            "kinds": dict(sorted(self.kinds.items())),
            "plants": len(self.repeats),
            "wrong_repeats_per_plant": share_of(sum(self.repeats), len(self.repeats)),
            "plants_corrected": share([after is not None for after in self.corrected_after_s]),
            "seconds_to_correction": share_of(sum(corrected), len(corrected)),
        }


def is_told(change: Change, spoken: Sequence[Said]) -> bool:
    """Whether a sentence of the change's clip or of the next one tells it."""
    return any(_tells(each, change) for each in spoken if change.clip <= each.clip <= change.clip + 1)


def _tells(said: Said, change: Change) -> bool:
    if change.kind == "appears":
        return said.kind == "new"
    if change.kind == "back":
        return said.kind not in ("lost", "new")
    saying = said.attributes
    if change.kind == "gone":
        return said.kind == "lost" or (saying is not None and saying.event in GONE_EVENTS)
    if saying is None or change.does is None:
        return False
    true = change.does
    if true.event == "stops":
        return saying.event in ("stops", "stays")
    return saying.event == true.event and (true.event != "moves" or saying.direction == true.direction)


def judged(truth: TrackTruth, before: Said | None, now: Said) -> dict[str, bool]:
    """Whether a sentence's name and fact are right, and whether it is new after the one before."""
    return {"name": same_name(now.name, truth.name), "fact": _fact(truth, now), "new": _new(before, now)}


def _fact(truth: TrackTruth, now: Said) -> bool:
    saying, true = now.attributes, truth.does.get(now.clip)
    gone = not truth.at_end.get(now.clip, False)
    if saying is None:  # the narrator's own plain words
        return gone if now.kind == "lost" else true is not None
    if true is not None and saying.event == true.event and saying.direction == true.direction:
        return True
    return now.kind == "lost" and gone and saying.event in GONE_EVENTS


def _new(before: Said | None, now: Said) -> bool:
    if before is None or now.kind in ("correction", "lost", "found"):
        return True
    old, new = before.attributes, now.attributes
    if old is None or new is None:
        return before.text != now.text
    return (old.event, old.direction, old.other) != (new.event, new.direction, new.other)


def over(absence: tuple[int, int], spoken: Sequence[Said]) -> str | None:
    """The name over an absence: "same", "corrected" or "changed"; None if nothing was said before or after it.

    What is said of the clip in which it comes back counts as said after it.
    """
    gone, back = absence
    earlier = [each for each in spoken if each.clip <= gone and each.clip < back]
    later = [each for each in spoken if each.clip >= back]
    if not earlier or not later:
        return None
    if earlier[-1].name == later[0].name:
        return "same"
    return "corrected" if later[0].kind == "correction" else "changed"


def share(values: Sequence[bool]) -> float | None:
    """The share of True, None of nothing."""
    return round(sum(values) / len(values), 4) if values else None


def share_of(count: float, of: float) -> float | None:
    return round(count / of, 3) if of else None
