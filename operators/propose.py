"""Find objects by a detector: when it is asked, and which of its boxes are new objects.

A detector only says where to look. What is followed is what the segmenter sees in the box, under the rules that hold
for whatever else is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from operators.discover import is_moving_object, is_unclaimed
from operators.masks import box_of, box_overlap
from operators.ports import Proposer, Segmenter
from operators.track_settings import TrackSettings
from operators.types import Detection, Frame, Prompt, Proposal

MOST_PROPOSALS = 64
"""Boxes that are looked at of one answer, the surest first."""
SAME_THING = 0.5
"""Overlap of a box with that of a followed mask from which they are the same thing."""


@dataclass
class DetectorSearch:
    """Asks the proposer it was given last, on every frame whose number in the epoch is a multiple of ``detect_every``.

    Which frames those are depends on nothing else, so that a restored tracker asks about the same ones.
    """

    segmenter: Segmenter
    settings: TrackSettings
    proposer: Proposer | None = None
    words: tuple[str, ...] = ()
    unanswered: int = 0  # questions in a row

    @property
    def alone(self) -> bool:
        """Whether nothing but the detector may open a track: somebody named what is wanted, and it answers."""
        asked = self.proposer is not None and self.settings.detect_every > 0
        return asked and bool(self.words) and self.unanswered < self.settings.detector_patience

    def look(self, frame: Frame, held: Sequence[np.ndarray], first: bool) -> list[Detection]:
        """New objects of the frame among the detector's boxes; ``first``: nothing of the scene was searched yet."""
        every = self.settings.detect_every
        if self.proposer is None or not every or not (first or frame.index % every == 0):
            return []
        offered = self.proposer.propose(frame.pixels, self.words)
        self.unanswered = self.unanswered + 1 if offered is None else 0
        return self._new(offered or (), held)

    def _new(self, offered: Sequence[Proposal], held: Sequence[np.ndarray]) -> list[Detection]:
        rules, new, decoded = self.settings.discover, [], 0
        taken, boxes = list(held), [box_of(mask) for mask in held]
        for proposal in sorted(offered, key=lambda item: -item.score)[:MOST_PROPOSALS]:
            if len(new) == self.settings.max_births or decoded == self.settings.max_proposals:
                break
            if any(box_overlap(box, proposal.box) >= SAME_THING for box in boxes):
                continue
            decoded += 1
            found = self.segmenter.decode(Prompt(box=proposal.box))
            # A detector's box is evidence of its own, as motion is: the same rule for what is in it.
            if is_moving_object(found, proposal.box, rules) and is_unclaimed(found.mask, taken, rules):
                new.append(found)
                taken.append(found.mask)
                boxes.append(box_of(found.mask))
        return new


def proposals_of(
    boxes: np.ndarray, scores: np.ndarray, labels: Sequence[str], limit: int = MOST_PROPOSALS
) -> list[Proposal]:
    """A detector's raw arrays as proposals, the surest first: at most ``limit``, and only those that mean something.

    Args:
        boxes: numbers [n, 4], normalised (x0, y0, x1, y1); what reaches beyond the picture is cut off.
        scores: numbers [n]; those above 1 count as 1.
        labels: n of them, or none at all.
    Raises:
        ValueError: the arrays do not belong together.
    """
    boxes, scores = (np.asarray(array) for array in (boxes, scores))
    count = len(scores) if scores.ndim == 1 else -1
    if boxes.shape != (count, 4) or len(labels) not in (0, count):
        shapes = f"{boxes.shape}, {scores.shape} and {len(labels)}"
        raise ValueError(f"boxes, scores and labels do not belong together: {shapes}")
    if any(array.dtype.kind not in "fiu" for array in (boxes, scores)):
        raise ValueError(f"boxes and scores must be numbers, not {boxes.dtype} and {scores.dtype}")
    inside, sure = np.clip(boxes, 0, 1).astype(np.float32), np.clip(scores, -1, 2).astype(np.float32)
    sizes = inside[:, 2:] - inside[:, :2]
    good = np.isfinite(boxes).all(axis=1) & np.isfinite(sure) & (sure > 0) & (sizes > 0).all(axis=1)
    order = np.flatnonzero(good)
    order = order[np.argsort(-sure[order], kind="stable")][:limit]
    return [
        Proposal(inside[at], min(float(sure[at]), 1.0), labels[at] if len(labels) else "") for at in order
    ]
