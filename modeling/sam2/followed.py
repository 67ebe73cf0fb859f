"""What a session holds of one followed object."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from modeling.sam2.memory import ObjectMemory
from modeling.sam2.network import Outcome, Points
from modeling.sam2.window import Focus, View


@dataclass(slots=True)
class Followed:
    """One followed object; ``points``, ``logits`` and ``view`` belong to the newest picture only."""

    memory: ObjectMemory
    born: int
    logits: torch.Tensor | None = None
    points: Points | None = None
    appearance: torch.Tensor | None = None
    focus: Focus | None = None
    view: View | None = None

    @property
    def num_bytes(self) -> int:
        """Bytes of what is remembered from one clip to the next."""
        appearance = self.appearance
        return self.memory.num_bytes + (0 if appearance is None else appearance.nbytes)

    def note(self, outcome: Outcome, row: int) -> None:
        """Keep what the newest picture has shown of the object."""
        self.logits = outcome.logits[row : row + 1]
        if outcome.presence[row, 0] > 0:
            self.appearance = outcome.pointer[row : row + 1].float().clone()
