"""Prompts given in picture coordinates, as the network's own inputs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from modeling.sam2.network import Points

_BOX_LABELS = (2, 3)  # top left and bottom right corner


def as_points(
    points: np.ndarray | None,
    labels: np.ndarray | None,
    box: np.ndarray | None,
    image_size: int,
    device: torch.device,
) -> Points:
    """Clicks and a box, normalised to the picture, in model pixels; the box comes first, as in training."""
    if points is None and box is None:
        raise ValueError("prompt: give points, a box or a mask")
    corners = np.zeros((0, 2), np.float32) if box is None else np.asarray(box, np.float32).reshape(2, 2)
    clicks = np.zeros((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)
    coords = np.concatenate([corners, clicks])
    if not np.isfinite(coords).all() or coords.min() < 0 or coords.max() > 1:
        raise ValueError("prompt: points and boxes are normalised, x and y in 0..1")
    kinds = [
        *(_BOX_LABELS if box is not None else ()),
        *([] if labels is None else np.asarray(labels).tolist()),
    ]
    if len(kinds) != len(coords):
        raise ValueError(f"prompt: {len(clicks)} points need as many labels")
    return Points(
        torch.from_numpy(coords * np.float32(image_size))[None].to(device),
        torch.tensor([kinds], dtype=torch.int32, device=device),
    )


def join(earlier: Points | None, later: Points) -> Points:
    """Both sets of points of one object, the earlier first."""
    if earlier is None:
        return later
    return Points(
        torch.cat([earlier.coords, later.coords], dim=1), torch.cat([earlier.labels, later.labels], dim=1)
    )


def as_mask(mask: np.ndarray, image_size: int, device: torch.device) -> torch.Tensor:
    """A bool [h, w] mask at input size: float [1, 1, S, S] of 0 and 1. Raises ValueError for an empty one."""
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.any():
        raise ValueError(f"prompt: a mask is bool [h, w] with some pixel set, got {mask.dtype} {mask.shape}")
    large = torch.from_numpy(np.ascontiguousarray(mask))[None, None].float().to(device)
    if mask.shape == (image_size, image_size):
        return large
    size = (image_size, image_size)
    small = F.interpolate(large, size=size, mode="bilinear", align_corners=False, antialias=True)
    # A mask too thin for the input size would vanish at one half.
    return (small >= min(0.5, float(small.max()))).float()
