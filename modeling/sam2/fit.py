"""Which mask a prompt means: looked for from near and far, among all the masks that the decoder offers.

A network with a small input sees a thing best when it fills the view; but it is followed in a wider window, from which
it cannot get away between two pictures. So the mask is found first, and then shown to the network in that window. A box
says how large the thing is: of all masks the one is taken whose own box agrees best with it. A point may mean anything
about it: the mask is taken that is surest (its estimated quality) and stablest (its area hardly depends on the
threshold, as the automatic mask generator of Segment Anything judges, https://arxiv.org/abs/2304.02643).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from modeling.sam2.boxes import box_iou
from modeling.sam2.candidates import Candidates
from modeling.sam2.window import Focus, View, WindowSettings, extent, focus_on, spread

NEAR = (1.5, 2.0)
"""How many times a box a view shows, besides the usual window."""
DISTANCES = 6
"""From how many distances a point is looked at, the furthest showing the whole picture."""
_LEAST_ABOUT_BOX, _LEAST_ABOUT_POINT = 0.5, 0.75
"""Of the least window: what is looked at once may be drawn larger than what is followed."""
_AT_EDGE, _SURE = 0.01, 1.0

Offer = Callable[[View], Candidates]
"""All masks that a prompt marks in a view, one row of four: that of clear prompts, then the three of unclear ones."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A mask in a view: logits float32 [1, s, s], its estimated quality and its stability (0..1), the presence logit,
    and its box, normalised to the picture."""

    view: View
    logits: torch.Tensor
    quality: float
    stability: float
    presence: float
    box: np.ndarray

    def mask(self, size: tuple[int, int]) -> np.ndarray:
        """Over the whole picture, bool [h, w]."""
        return (spread(self.logits, self.view, size) > 0).cpu().numpy()

    @property
    def is_cut(self) -> bool:
        """Whether the mask reaches an edge of its view that is no edge of the picture: of something larger."""
        view, own = self.view, self.view.inward(self.box.reshape(2, 2)).reshape(4)
        inner = np.array([view.x0 > 0, view.y0 > 0, view.x1 < view.width, view.y1 < view.height])
        reached = np.concatenate([own[:2] <= _AT_EDGE, own[2:] >= 1 - _AT_EDGE])
        return bool((inner & reached).any())


def fit_to_box(box: np.ndarray, shape: tuple[int, ...], settings: WindowSettings, offer: Offer) -> Fit | None:
    """The mask that fits a normalised box [4] in a picture [H, W, ...] best; None when none touches it."""
    near = replace(settings, least=settings.least * _LEAST_ABOUT_BOX)
    views = [focus_on(box, shape, replace(near, scale=scale)).view(shape) for scale in NEAR]
    views.append(focus_on(box, shape, settings).view(shape, settings.most))
    fits = [fit for view in dict.fromkeys(views) for fit in _fits(view, offer(view), 0)]
    best = max(fits, key=lambda fit: box_iou(fit.box, box), default=None)
    return best if best is not None and box_iou(best.box, box) > 0 else None


def surest_at(
    points: np.ndarray, labels: np.ndarray, shape: tuple[int, ...], settings: WindowSettings, offer: Offer
) -> Fit | None:
    """The mask that points [n, 2], normalised, mark; labels are 1 inside, 0 outside. None where nothing is.

    One that is cut by its view wins only if all are, one that a point speaks against only if all have as many such.
    """
    inside = points[labels == 1] if (labels == 1).any() else points
    x, y = (float(value) for value in inside.mean(axis=0))
    sides = np.geomspace(settings.least * _LEAST_ABOUT_POINT, 1.0, DISTANCES)
    views = [Focus(x, y, float(side)).view(shape) for side in sides]
    shown = [view for view in dict.fromkeys(views) if _shows(view, points)]
    first = 1 if len(points) == 1 else 0  # a single point is ambiguous
    fits = [fit for view in shown for fit in _fits(view, offer(view), first) if fit.presence > 0]

    def worth(fit: Fit) -> tuple[bool, int, float]:
        return not fit.is_cut, -_wrong(fit, points, labels), fit.quality + fit.stability

    return max(fits, key=worth, default=None)


def _fits(view: View, offered: Candidates, first: int) -> Iterator[Fit]:
    presence = float(offered.presence[0, 0])
    for logits, quality in zip(offered.logits[0, first:], offered.quality[0, first:].tolist(), strict=True):
        own = extent((logits > 0).cpu().numpy())
        if own is not None:
            surely, possibly = int((logits > _SURE).sum()), int((logits > -_SURE).sum())
            yield Fit(view, logits[None], quality, surely / max(possibly, 1), presence, view.outward(own))


def _shows(view: View, points: np.ndarray) -> bool:
    inward = view.inward(points)
    return bool(((inward >= 0) & (inward <= 1)).all())


def _wrong(fit: Fit, points: np.ndarray, labels: np.ndarray) -> int:
    """How many of the points lie on the wrong side of the mask."""
    size = fit.logits.shape[-1]
    columns, rows = (fit.view.inward(points) * size).astype(int).clip(0, size - 1).T
    return int(((fit.logits[0, rows, columns] > 0).cpu().numpy() != (labels == 1)).sum())
