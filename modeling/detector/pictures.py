"""A picture as a detector takes it, and its boxes put back where they belong in the picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from modeling.detector.config import DetectorConfig


class View(NamedTuple):
    """Where in the input the picture lies: x0, y0, x1, y1 in units of the input's sides."""

    x0: float
    y0: float
    x1: float
    y1: float

    def restore(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes [n, 4] of the input as boxes of the picture, cut off at its edges; some may be empty then."""
        low = np.array((self.x0, self.y0) * 2, np.float32)
        sizes = np.array((self.x1 - self.x0, self.y1 - self.y0) * 2, np.float32)
        return np.clip((boxes - low) / sizes, 0, 1).astype(np.float32)


def prepare(picture: np.ndarray, config: DetectorConfig) -> tuple[np.ndarray, View]:
    """RGB uint8 [H, W, 3] as float32 [3, h, w], resized by Pillow's bilinear filter. Raises ValueError."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"a picture is RGB uint8 [H, W, 3], not {picture.dtype} {picture.shape}")
    pixels, view = _resized(picture, config)
    if config.channels == "bgr":
        pixels = pixels[..., ::-1]
    values = pixels.astype(np.float32) * np.float32(config.value_range / 255)
    values = (values - np.array(config.mean, np.float32)) / np.array(config.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)), view


def _resized(picture: np.ndarray, config: DetectorConfig) -> tuple[np.ndarray, View]:
    height, width = config.input_px
    if config.resize == "stretch":
        return _shrunk(picture, height, width), View(0, 0, 1, 1)
    scale = min(height / picture.shape[0], width / picture.shape[1])
    high, wide = (max(1, round(side * scale)) for side in picture.shape[:2])
    top, left = (height - high) // 2, (width - wide) // 2
    canvas = np.full((height, width, 3), config.pad, np.uint8)
    canvas[top : top + high, left : left + wide] = _shrunk(picture, high, wide)
    return canvas, View(left / width, top / height, (left + wide) / width, (top + high) / height)


def _shrunk(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
