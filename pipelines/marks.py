"""A person's mark on a picture as a prompt for the segmenter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from contracts.marks import Mark
from operators.types import Prompt
from pipelines.translate import mask_of

POINTS_OF_A_STROKE = 8


def prompt_of(mark: Mark) -> Prompt:
    """Clicks stay; a scribble becomes points spread evenly along its line; a box and a mask stay as they are."""
    if mark.mask is not None:
        return Prompt(mask=mask_of(mark.mask))
    places = [((click.x, click.y), click.inside) for click in mark.points]
    for stroke in mark.strokes:
        spread = along(stroke.points, POINTS_OF_A_STROKE)
        places += [((float(x), float(y)), stroke.inside) for x, y in spread]
    box = None if mark.box is None else np.array(mark.box, np.float32)
    if not places:
        return Prompt(box=box)
    points = np.array([place for place, _ in places], np.float32)
    return Prompt(points=points, labels=np.array([inside for _, inside in places], np.int32), box=box)


def along(line: Sequence[tuple[float, float]], most: int) -> np.ndarray:
    """At most ``most`` points spread evenly along a line through ``line``, float64 [n, 2]; its ends among them."""
    corners = np.array(line, np.float64)
    lengths = np.hypot(*np.diff(corners, axis=0).T) if len(corners) > 1 else np.zeros(0)
    walked = np.concatenate(([0.0], np.cumsum(lengths)))
    if walked[-1] <= 0:
        return corners[:1]
    stops = np.linspace(0.0, walked[-1], min(most, max(2, len(corners))))
    return np.stack([np.interp(stops, walked, corners[:, axis]) for axis in (0, 1)], axis=1)
