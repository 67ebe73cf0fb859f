"""Pictures on their way to a captioner, sized alike by service and benchmarks."""

from __future__ import annotations

import numpy as np
from PIL import Image


def shrink(picture: np.ndarray, long_side_px: int) -> np.ndarray:
    """The picture with its longer side at most so long, RGB uint8; smaller pictures are returned as they are."""
    height, width = picture.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
