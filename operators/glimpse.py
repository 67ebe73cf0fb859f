"""A track's newest sight, kept so that a network without memory of it can be shown what was followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from operators.ports import Segmenter
from operators.types import Prompt


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Where an object was in ``picture`` (RGB uint8 [H, W, 3], of ``time_s``): ``mask`` bool [h, w]."""

    mask: np.ndarray
    picture: np.ndarray
    time_s: float


def show_again(segmenter: Segmenter, glimpses: Mapping[int, Glimpse]) -> dict[int, int]:
    """Begin each object on its own picture, in order of time; the new object ids by the given keys.

    Pictures and not masks alone, since by the next frame an object has moved, and one that was hidden lay elsewhere.
    Empty masks are left out. ``segmenter`` is fresh: its steps begin with these pictures.
    """
    shown = {key: glimpse for key, glimpse in glimpses.items() if glimpse.mask.any()}
    pictures = {glimpse.time_s: glimpse.picture for glimpse in shown.values()}
    times = sorted(pictures)
    if not times:
        return {}
    segmenter.begin_clip([pictures[time_s] for time_s in times])
    begun = {}
    for time_s in times:
        segmenter.step()
        for key in sorted(key for key, glimpse in shown.items() if glimpse.time_s == time_s):
            begun[key], _ = segmenter.add_object(Prompt(mask=shown[key].mask))
    return begun
