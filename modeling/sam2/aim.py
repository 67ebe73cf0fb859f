"""Which window a prompt asks for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modeling.sam2.values import PromptLike
from modeling.sam2.window import Focus, View, WindowSettings, extent, focus_on

Look = Callable[[View], tuple[float, np.ndarray | None]]
"""What a prompt marks in a view: the estimated quality of its mask and its box there, None for nothing."""

_AT_EDGE = 0.01


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


def aim_at_points(
    points: np.ndarray, shape: tuple[int, ...], settings: WindowSettings, look: Look
) -> Focus | None:
    """The window about what points [n, 2] mark, which may be of any size; None when they mark nothing anywhere.

    They are looked at closely, from half way and on the whole picture. The answer that is surest of its mask wins;
    one that is cut by its window is of something larger than that shows, and wins only if all are.
    """
    x, y = (float(value) for value in points.mean(axis=0))
    found: list[tuple[bool, float, np.ndarray]] = []
    for side in (settings.least, settings.least**0.5, 1.0):
        view = Focus(x, y, side).view(shape)
        quality, box = look(view)
        if box is not None:
            found.append((not _is_cut(view, box), quality, view.outward(box)))
    if not found:
        return None
    return focus_on(max(found, key=lambda answer: answer[:2])[2], shape, settings)


def _is_cut(view: View, box: np.ndarray) -> bool:
    """Whether a box in a view reaches an edge of it that is no edge of the picture."""
    inner = np.array([view.x0 > 0, view.y0 > 0, view.x1 < view.width, view.y1 < view.height])
    reached = np.concatenate([box[:2] <= _AT_EDGE, box[2:] >= 1 - _AT_EDGE])
    return bool((inner & reached).any())
