"""Carry: take what was marked on a picture of a moment ago to the newest one, in a session of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.masks import tidy
from operators.ports import Segmenter
from operators.types import Prompt, Step

BATCH = 8
"""Pictures encoded at once: what they cost in memory is bounded, however many there are."""


def carry(
    segmenter: Segmenter, pictures: Sequence[np.ndarray], prompt: Prompt, known: np.ndarray | None = None
) -> list[np.ndarray] | None:
    """The masks, bool [h, w], on each of ``pictures`` (RGB uint8 [H, W, 3]) of what is marked on the first.

    They are empty where it is out of view. ``known`` is the mask so far of what the prompt corrects. None when it is
    not in view at the end, or when the prompt marks nothing. Raises ValueError for a prompt that the segmenter cannot
    use.
    """
    steps: list[Step] = []
    object_id = 0
    for begin in range(0, len(pictures), BATCH):
        batch = pictures[begin : begin + BATCH]
        segmenter.begin_clip(batch)
        for at in range(len(batch)):
            seen = segmenter.step()
            if begin + at:
                steps.append(seen[object_id])
                continue
            object_id, step = segmenter.add_object(prompt if known is None else Prompt(mask=known))
            if known is not None:
                step = segmenter.correct(object_id, prompt)
            if not step.mask.any():
                return None
            steps.append(step)
    if not steps or not _in_view(steps[-1]):
        return None
    return [tidy(step.mask) if _in_view(step) else np.zeros_like(step.mask) for step in steps]


def _in_view(step: Step) -> bool:
    return step.presence > 0 and bool(step.mask.any())
