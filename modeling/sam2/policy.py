"""Memory policies: which steps an object remembers, and which of the decoder's masks is taken.

``official``     the last six steps, whatever they showed (SAM 2)
``skip-absent``  the last six steps on which the object was in view
``quality``      the last six good steps, and the step just before whatever it was (SAMURAI's memory)
``motion``       the same, and once the object has been followed steadily the mask that fits its motion (SAMURAI)
``distractor``   as official, and a step on which something alike was nearly taken becomes an anchor (DAM4SAM)

Pointers are the last fifteen in every policy. Whatever the policy, memory is bounded, and what one has kept another
can go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from modeling.sam2.box_motion import BoxMotion, box_overlap
from modeling.sam2.memory import Keep
from modeling.sam2.pieces import largest_piece
from modeling.sam2.window import extent

GOOD_QUALITY, SURE_QUALITY = 0.5, 0.8
STEADY_QUALITY, STEADY_STEPS = 0.3, 15
AREAS, AREA_CHANGE, ANCHOR_PAUSE, SAME_BOX = 10, 0.2, 5, 0.7


@dataclass(slots=True)
class Notes:
    """What a policy has noted of one object: steps in a row followed well, motion, areas (shares of what is seen)."""

    steady: int = 0
    motion: BoxMotion | None = None
    areas: list[float] = field(default_factory=list)
    anchored: int = 0

    def to_json(self) -> dict[str, Any]:
        motion = self.motion
        return {
            "steady": self.steady,
            "areas": self.areas,
            "anchored": self.anchored,
            "motion": None if motion is None else [motion.mean.tolist(), motion.spread.tolist()],
        }

    @staticmethod
    def from_json(given: dict[str, Any]) -> Notes:
        motion = None if given["motion"] is None else BoxMotion(*map(np.array, given["motion"]))
        return Notes(int(given["steady"]), motion, list(given["areas"]), int(given["anchored"]))


@dataclass(frozen=True, slots=True)
class Sighting:
    """One object on one picture: all masks bool [M, s, s] with their estimates [M], which was taken, and presence.

    ``outward`` turns a box of the view into one of the whole picture.
    """

    step: int
    masks: np.ndarray
    quality: Sequence[float]
    presence: float
    outward: Callable[[np.ndarray], np.ndarray]
    taken: int = 0

    def box(self, at: int) -> np.ndarray | None:
        found = extent(self.masks[at])
        return None if found is None else self.outward(found)


@dataclass(frozen=True, slots=True)
class Policy:
    """See the module's page. ``motion_weight`` is the share of motion in the choice among masks."""

    name: str
    recent: Literal["all", "present", "good"] = "all"
    motion: bool = False
    distractors: bool = False
    motion_weight: float = 0.25

    @property
    def is_official(self) -> bool:
        return self.recent == "all" and not self.wants_candidates

    @property
    def wants_candidates(self) -> bool:
        return self.motion or self.distractors

    def begin(self, notes: Notes, step: int, box: np.ndarray | None) -> None:
        """A person, or a detection, has said where the object is."""
        notes.anchored, notes.steady, notes.areas = step, 0, []
        notes.motion = BoxMotion.begun(box) if self.motion and box is not None else None

    def choose(self, notes: Notes, seen: Sighting) -> int:
        """Which mask is taken: the likeliest, or of an object followed steadily the one that fits its motion too."""
        quality = np.asarray(seen.quality)
        if not self.motion or notes.motion is None or notes.steady < STEADY_STEPS or seen.presence <= 0:
            return int(quality.argmax())
        ahead = notes.motion.ahead().box
        boxes = (seen.box(at) for at in range(len(quality)))
        fits = np.array([0.0 if box is None else box_overlap(box, ahead) for box in boxes])
        return int((self.motion_weight * fits + (1 - self.motion_weight) * quality).argmax())

    def judge(self, notes: Notes, seen: Sighting) -> Keep:
        """What becomes of this step's memory; ``notes`` are brought up to it."""
        fits = self._follow(notes, seen) if self.motion else True
        if self.distractors and self._is_tempted(notes, seen):
            notes.anchored = seen.step
            return "anchor"
        if self.recent == "present":
            return "keep" if seen.presence > 0 else "drop"
        if self.recent == "good":
            good = seen.quality[seen.taken] > GOOD_QUALITY and seen.presence > 0 and fits
            return "keep" if good else "briefly"
        return "keep"

    def _follow(self, notes: Notes, seen: Sighting) -> bool:
        """Bring the motion up to this step; whether what was taken lies where it led."""
        box = seen.box(seen.taken) if seen.presence > 0 else None
        well = box is not None and seen.quality[seen.taken] > STEADY_QUALITY
        was_steady = notes.steady >= STEADY_STEPS
        notes.steady = notes.steady + 1 if well else 0
        if notes.motion is None:
            notes.motion = BoxMotion.begun(box) if well and box is not None else None
            return True
        ahead = notes.motion.ahead()
        fits = not was_steady or (box is not None and box_overlap(box, ahead.box) > 0)
        notes.motion = ahead.seen(box) if well and box is not None else ahead
        return fits

    def _is_tempted(self, notes: Notes, seen: Sighting) -> bool:
        """Whether the object is surely here while another candidate takes in something else."""
        if seen.presence <= 0:
            return False
        area = float(seen.masks[seen.taken].mean())
        usual = float(np.median(notes.areas)) if notes.areas else area
        notes.areas = [*notes.areas, area][-AREAS:]
        steady = area > 0 and abs(area - usual) <= AREA_CHANGE * usual
        rested = seen.step - notes.anchored > ANCHOR_PAUSE
        if not (steady and rested and seen.quality[seen.taken] > SURE_QUALITY):
            return False
        own = extent(seen.masks[seen.taken])
        rivals = (mask for at, mask in enumerate(seen.masks) if at != seen.taken and mask.any())
        both = (extent(largest_piece(mask) | seen.masks[seen.taken]) for mask in rivals)
        return any(box is not None and own is not None and box_overlap(box, own) <= SAME_BOX for box in both)


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("official"),
        Policy("skip-absent", recent="present"),
        Policy("quality", recent="good"),
        Policy("motion", recent="good", motion=True),
        Policy("distractor", distractors=True),
    )
}
OFFICIAL = POLICIES["official"]


def policy_of(name: str) -> Policy:
    """Raises ValueError for a name that is none."""
    if name not in POLICIES:
        raise ValueError(f"memory policy {name!r}: there are {', '.join(POLICIES)}")
    return POLICIES[name]
