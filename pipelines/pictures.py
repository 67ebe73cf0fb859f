"""Pictures as they are stored, and on their way to a captioner, sized alike by service and benchmarks."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

JPEG_QUALITY = 88


def to_jpeg(picture: np.ndarray) -> bytes:
    """RGB uint8 [H, W, 3] as JPEG; the same picture gives the same bytes."""
    target = io.BytesIO()
    Image.fromarray(picture).save(target, "JPEG", quality=JPEG_QUALITY)
    return target.getvalue()


def from_jpeg(data: bytes) -> np.ndarray:
    """RGB uint8 [H, W, 3]. Raises OSError when the bytes are no picture."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def shrink(picture: np.ndarray, long_side_px: int) -> np.ndarray:
    """The picture with its longer side at most so long, RGB uint8; smaller pictures are returned as they are."""
    height, width = picture.shape[:2]
    scale = long_side_px / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
