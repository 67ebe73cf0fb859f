"""Ports through which networks reach the operators; ``modeling`` (by way of services) makes them real."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from operators.types import Detection, Prompt, Proposal, Step


class Segmenter(Protocol):
    """One camera's endless segmentation session (SAM 2 memory across clips), bounded in memory.

    Use: ``begin_clip`` with the clip's pictures, then ``step`` once for each of them. Between steps the newest
    picture can be prompted. Object ids are the session's own and never leave the tracker.
    """

    def begin_clip(self, pictures: Sequence[np.ndarray]) -> None:
        """Encode the pictures, RGB uint8 [H, W, 3] each, in one batched call."""
        ...

    def step(self) -> dict[int, Step]:
        """Advance to the clip's next picture and track every object of the session onto it."""
        ...

    def candidates(self, points: np.ndarray) -> list[Detection]:
        """Decode single clicks, float32 [n, 2] normalised, on the newest picture, without memory."""
        ...

    def decode(self, prompt: Prompt) -> Detection:
        """Decode one prompt on the newest picture without memory and without adding an object."""
        ...

    def add_object(self, prompt: Prompt) -> tuple[int, Step]:
        """Start following what the prompt marks on the newest picture."""
        ...

    def correct(self, object_id: int, prompt: Prompt) -> Step:
        """Correct an object on the newest picture; the correction becomes a conditioning memory."""
        ...

    def retract(self, object_id: int) -> None:
        """The newest step has shown something else: forget what the object remembers of it."""
        ...

    def remove_object(self, object_id: int) -> None:
        """Forget the object and free its memory."""
        ...

    def embedding(self, object_id: int) -> np.ndarray | None:
        """The object's newest appearance vector, float32 [d] (SAM 2 object pointer), if there is one."""
        ...

    def export_state(self) -> Mapping[str, bytes]:
        """The exact session state in safetensors parts.

        The part ``session`` is another one after every step; all others are named by their content, stay the same
        as long as they are needed and need be written only once.
        """
        ...

    def import_state(self, state: Mapping[str, bytes]) -> None:
        """Continue from ``export_state``; raises ValueError when model or input size differ, or parts are missing."""
        ...


class Proposer(Protocol):
    """A detector: says where on one picture there is something, and follows nothing."""

    def propose(self, pixels: np.ndarray, words: Sequence[str] = ()) -> Sequence[Proposal] | None:
        """Boxes on a picture, RGB uint8 [H, W, 3], bounded in number; with ``words`` of what they name and no other.

        None when it cannot tell: it is away, too slow, or knows none of the words. Waits no longer than a bound of
        its own, which must be far below a clip's length, and never raises.
        """
        ...
