"""What the network has found, as a session's own values: masks on its grid, estimates, boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from modeling.sam2.fit import Fit
from modeling.sam2.network import Outcome
from modeling.sam2.values import Detection, Step
from modeling.sam2.window import View, extent, spread


def steps_of(outcome: Outcome, views: Sequence[View], mask_sizes: Sequence[tuple[int, int]]) -> list[Step]:
    """One step for each row, looked for in its view; masks on its grid (h, w) over the whole picture."""
    return [Step(*row) for row in zip(*_on_host(outcome, views, mask_sizes), strict=True)]


def detections_of(outcome: Outcome, view: View, mask_size: tuple[int, int]) -> list[Detection]:
    """One detection for each row, all decoded in one view."""
    count = len(outcome.logits)
    masks, quality, presence = _on_host(outcome, [view] * count, [mask_size] * count)
    surely, possibly = ((outcome.logits > limit).sum(dim=(1, 2, 3)) for limit in (1.0, -1.0))
    stability = (surely / possibly.clamp(min=1)).tolist()
    return [Detection(*row) for row in zip(masks, quality, stability, presence, strict=True)]


def detection_of(fit: Fit, mask_size: tuple[int, int]) -> Detection:
    """A mask that was fitted to a box, as a detection."""
    surely, possibly = (int((fit.logits > limit).sum()) for limit in (1.0, -1.0))
    return Detection(
        fit.mask(mask_size), min(max(fit.quality, 0.0), 1.0), surely / max(possibly, 1), fit.presence
    )


def extent_of(outcome: Outcome, row: int) -> np.ndarray | None:
    """The box of one answer in its own view, None when nothing is there."""
    if outcome.presence[row, 0] <= 0:
        return None
    return extent((outcome.logits[row, 0] > 0).cpu().numpy())


def _on_host(
    outcome: Outcome, views: Sequence[View], mask_sizes: Sequence[tuple[int, int]]
) -> tuple[list[np.ndarray], list[float], list[float]]:
    """Masks bool [h, w], each on its grid, quality estimates and presence logits."""
    masks: dict[int, np.ndarray] = {}
    for size in set(mask_sizes):
        rows = [row for row, own in enumerate(mask_sizes) if own == size]
        logits = outcome.logits if len(rows) == len(mask_sizes) else outcome.logits[rows]
        masks |= zip(rows, _masks(logits, [views[row] for row in rows], size), strict=True)
    quality = outcome.quality.float().clamp(0.0, 1.0).tolist()
    return [masks[row] for row in range(len(views))], quality, outcome.presence[:, 0].float().tolist()


def _masks(logits: torch.Tensor, views: Sequence[View], size: tuple[int, int]) -> np.ndarray:
    """Masks bool [B, h, w] of logits [B, 1, s, s]."""
    if all(view.is_whole for view in views):
        large = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[:, 0]
    else:
        rows = zip(logits, views, strict=True)
        large = torch.stack([spread(own, view, size) for own, view in rows])
    return (large > 0).cpu().numpy()
