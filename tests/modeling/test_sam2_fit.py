"""Which mask a box or points mean, when the decoder offers several from near and far."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from modeling.sam2.candidates import Candidates
from modeling.sam2.fit import Fit, Offer, fit_to_box, surest_at
from modeling.sam2.window import View, WindowSettings, cut_mask

SHAPE, SIZE = (90, 160, 3), 32
USUAL = WindowSettings()


def drawn(*corners: float) -> np.ndarray:
    """A rectangle as a mask over the whole picture."""
    mask = np.zeros(SHAPE[:2], bool)
    x0, y0, x1, y1 = corners
    mask[round(y0 * 90) : round(y1 * 90), round(x0 * 160) : round(x1 * 160)] = True
    return mask


PART, WHOLE, WALL = drawn(0.42, 0.4, 0.5, 0.5), drawn(0.4, 0.3, 0.55, 0.7), drawn(0.0, 0.0, 1.0, 1.0)


def offers(
    masks: list[np.ndarray],
    quality: Callable[[View], list[float]] = lambda view: [0.5, 0.6, 0.7, 0.8],
    presence: float = 4.0,
    height: float = 6.0,
) -> tuple[Offer, list[View]]:
    """A decoder that offers these four masks wherever it looks, and the views it was shown."""
    seen: list[View] = []

    def offer(view: View) -> Candidates:
        seen.append(view)
        shown = np.stack([cut_mask(mask, view, SIZE) for mask in masks])
        logits = torch.from_numpy(np.where(shown, height, -height).astype(np.float32))[None]
        return Candidates(
            logits, torch.tensor([quality(view)]), torch.zeros(1, 4, 8), torch.tensor([[presence]])
        )

    return offer, seen


def box_of(fit: Fit | None) -> list[float]:
    assert fit is not None
    return fit.box.round(2).tolist()


def test_of_all_masks_the_one_that_fits_the_box_is_taken() -> None:
    offer, seen = offers([PART, WALL, WHOLE, PART])
    fit = fit_to_box(np.array([0.4, 0.3, 0.55, 0.7]), SHAPE, USUAL, offer)
    assert np.allclose(box_of(fit), [0.4, 0.3, 0.55, 0.7], atol=0.03)
    assert fit is not None and (fit.mask((90, 160)) ^ WHOLE).mean() < 0.01
    sides = [view.x1 - view.x0 for view in seen]
    assert sides == sorted(sides) and len(set(seen)) == len(seen) == 3, "near, further, and as it is followed"


def test_nothing_that_touches_the_box_is_no_fit() -> None:
    empty = np.zeros(SHAPE[:2], bool)
    assert (
        fit_to_box(np.array([0.7, 0.7, 0.8, 0.9]), SHAPE, USUAL, offers([PART, empty, empty, empty])[0])
        is None
    )


def test_a_point_means_the_surest_mask_that_its_view_does_not_cut() -> None:
    point, one = np.array([[0.46, 0.45]], np.float32), np.ones(1, np.int32)
    offer, seen = offers(
        [WHOLE, WALL, WHOLE, PART], lambda view: [0.9, 0.3 if view.is_whole else 0.95, 0.8, 0.6]
    )
    assert np.allclose(box_of(surest_at(point, one, SHAPE, USUAL, offer)), [0.4, 0.3, 0.55, 0.7], atol=0.05)
    assert len(seen) == 6 and seen[-1].is_whole


def test_a_stable_mask_is_worth_as_much_as_a_sure_one() -> None:
    point, one = np.array([[0.46, 0.45]], np.float32), np.ones(1, np.int32)

    def offer(view: View) -> Candidates:
        shown = np.stack([cut_mask(mask, view, SIZE) for mask in (WALL, WALL, WHOLE, PART)])
        logits = np.where(shown, 6.0, -6.0).astype(np.float32)
        logits[3] = np.where(shown[3], 0.5, -0.5)  # its area depends on the threshold
        quality = torch.tensor([[0.1, 0.1, 0.5, 0.9]])
        return Candidates(
            torch.from_numpy(logits)[None], quality, torch.zeros(1, 4, 8), torch.tensor([[3.0]])
        )

    assert np.allclose(box_of(surest_at(point, one, SHAPE, USUAL, offer)), [0.4, 0.3, 0.55, 0.7], atol=0.05)


def test_a_point_outside_speaks_against_a_mask() -> None:
    points, labels = np.array([[0.46, 0.45], [0.53, 0.65]], np.float32), np.array([1, 0], np.int32)
    offer, _ = offers([WHOLE, WALL, WHOLE, PART], lambda view: [0.9, 0.9, 0.9, 0.3])
    assert np.allclose(
        box_of(surest_at(points, labels, SHAPE, USUAL, offer)), [0.42, 0.4, 0.5, 0.5], atol=0.05
    )


def test_where_nothing_is_there_is_nothing() -> None:
    point, one = np.array([[0.46, 0.45]], np.float32), np.ones(1, np.int32)
    assert surest_at(point, one, SHAPE, USUAL, offers([PART] * 4, presence=-1.0)[0]) is None
