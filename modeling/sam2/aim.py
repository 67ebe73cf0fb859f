"""Which window a prompt asks for."""

from __future__ import annotations

import numpy as np

from modeling.sam2.values import PromptLike
from modeling.sam2.window import Focus, View, WindowSettings, extent, focus_on


def aim(prompt: PromptLike, shape: tuple[int, ...], settings: WindowSettings) -> Focus | None:
    """The window about a prompt's mask or box in a picture [H, W, ...]; None for points, which have no size."""
    if prompt.mask is not None:
        box = extent(prompt.mask) if prompt.mask.ndim == 2 else None
    else:
        box = prompt.box
    if box is None:
        return None
    # One more rounding of a box at the edge of the picture must not lead out of it.
    return focus_on(np.clip(np.asarray(box, np.float64), 0.0, 1.0), shape, settings)


def holds(view: View, prompt: PromptLike) -> bool:
    """Whether all points and the box of a prompt lie in a window."""
    corners = [] if prompt.box is None else [np.asarray(prompt.box).reshape(2, 2)]
    places = [*corners, *([] if prompt.points is None else [np.asarray(prompt.points).reshape(-1, 2)])]
    if not places:
        return True
    inward = view.inward(np.concatenate(places))
    return bool(((inward >= 0) & (inward <= 1)).all())
