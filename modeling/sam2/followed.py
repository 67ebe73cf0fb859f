"""What a session holds of one followed object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from modeling.sam2.candidates import Candidates
from modeling.sam2.carry import Carried, Patch
from modeling.sam2.memory import ObjectMemory
from modeling.sam2.network import Outcome, Points
from modeling.sam2.policy import Notes, Policy, Sighting
from modeling.sam2.window import Focus, View

Before = tuple[torch.Tensor | None, Focus | None, int | None]
"""Appearance, focus, and since when it was hidden, before the newest step."""


@dataclass(slots=True)
class Followed:
    """One followed object; ``points``, ``logits``, ``view``, ``ahead``, ``before`` belong to the newest picture only.

    ``patch`` is what it looked like there, for the flow to the next one, and ``ahead`` where that has carried it.
    """

    memory: ObjectMemory
    born: int
    logits: torch.Tensor | None = None
    points: Points | None = None
    appearance: torch.Tensor | None = None
    hidden_since: int | None = None  # the first step on which it was not in view, until it is again
    focus: Focus | None = None
    view: View | None = None
    notes: Notes = field(default_factory=Notes)
    patch: Patch | None = None
    ahead: Carried | None = None
    before: Before = (None, None, None)

    @property
    def num_bytes(self) -> int:
        """Bytes of what is remembered from one clip to the next."""
        appearance, patch = self.appearance, self.patch
        others = (0 if appearance is None else appearance.nbytes) + (0 if patch is None else patch.num_bytes)
        return self.memory.num_bytes + others

    def forget(self, step: int) -> None:
        """The newest step has shown something else: as if it had not been. Nothing is carried on from there."""
        self.memory.forget(step)
        self.appearance, self.focus, self.hidden_since = self.before
        self.patch = None

    def note(self, outcome: Outcome, row: int, step: int) -> None:
        """Keep what the newest picture, that of ``step``, has shown of the object."""
        self.logits = outcome.logits[row : row + 1]
        if outcome.presence[row, 0] > 0:
            self.appearance = outcome.pointer[row : row + 1].float().clone()
            self.hidden_since = None
        elif self.hidden_since is None:
            self.hidden_since = step

    def rests(self, step: int, hidden_every: int) -> bool:
        """Whether the object is not looked for on this step, being out of view for longer than it remembers."""
        if self.hidden_since is None:
            return False
        hidden = step - self.hidden_since
        return hidden > self.memory.recent_features and hidden % hidden_every != 0

    def remember(self, outcome: Outcome, row: int, step: int, policy: Policy) -> None:
        """Keep of an unprompted step what the policy wants."""
        if policy.is_official:
            self.memory.record(step, outcome.entry(row))
            return
        if outcome.candidates is None:
            quality = [float(outcome.quality[row])]
            seen = self._sighting(step, np.zeros((1, 0, 0), bool), quality, float(outcome.presence[row, 0]))
        else:
            seen = self._among(outcome.candidates, row, step, outcome.chosen[row])
        self.memory.keep(step, outcome.entry(row), policy.judge(self.notes, seen))

    def choose(self, found: Candidates, row: int, step: int, policy: Policy) -> int:
        """Which of the masks decoded for the object is taken."""
        return policy.choose(self.notes, self._among(found, row, step, 0))

    def _among(self, found: Candidates, row: int, step: int, taken: int) -> Sighting:
        masks = (found.logits[row] > 0).cpu().numpy()
        quality = found.quality[row].float().tolist()
        return self._sighting(step, masks, quality, float(found.presence[row, 0]), taken)

    def _sighting(
        self, step: int, masks: np.ndarray, quality: Sequence[float], presence: float, taken: int = 0
    ) -> Sighting:
        outward = (lambda box: box) if self.view is None else self.view.outward
        return Sighting(step, masks, quality, presence, outward, taken)
