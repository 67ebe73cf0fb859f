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
) -> np.ndarray | None:
    """The mask, bool [h, w], on the last of ``pictures`` (RGB uint8 [H, W, 3]) of what is marked on the first.

    ``known`` is the mask so far of what the prompt corrects. None when it is not in view at the end, or when the
    prompt marks nothing. Raises ValueError for a prompt that the segmenter cannot use.
    """
    step: Step | None = None
    object_id = 0
    for begin in range(0, len(pictures), BATCH):
        batch = pictures[begin : begin + BATCH]
        segmenter.begin_clip(batch)
        for at in range(len(batch)):
            steps = segmenter.step()
            if begin + at:
                step = steps[object_id]
                continue
            object_id, step = segmenter.add_object(prompt if known is None else Prompt(mask=known))
            if known is not None:
                step = segmenter.correct(object_id, prompt)
            if not step.mask.any():
                return None
    if step is None or step.presence <= 0 or not step.mask.any():
        return None
    return tidy(step.mask)
