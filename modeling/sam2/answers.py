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


def steps_of(outcome: Outcome, views: Sequence[View], mask_size: tuple[int, int]) -> list[Step]:
    """One step for each row, looked for in its view; masks on a grid (h, w) over the whole picture."""
    return [Step(*row) for row in zip(*_on_host(outcome, views, mask_size), strict=True)]


def detections_of(outcome: Outcome, view: View, mask_size: tuple[int, int]) -> list[Detection]:
    """One detection for each row, all decoded in one view."""
    masks, quality, presence = _on_host(outcome, [view] * len(outcome.logits), mask_size)
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
    outcome: Outcome, views: Sequence[View], mask_size: tuple[int, int]
) -> tuple[np.ndarray, list[float], list[float]]:
    """Masks bool [B, h, w] on the session's grid, quality estimates and presence logits."""
    if all(view.is_whole for view in views):
        large = F.interpolate(outcome.logits, size=mask_size, mode="bilinear", align_corners=False)[:, 0]
    else:
        rows = zip(outcome.logits, views, strict=True)
        large = torch.stack([spread(logits, view, mask_size) for logits, view in rows])
    masks = (large > 0).cpu().numpy()
    quality = outcome.quality.float().clamp(0.0, 1.0).tolist()
    return masks, quality, outcome.presence[:, 0].float().tolist()
