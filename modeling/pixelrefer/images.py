"""Image preparation: pixel budget, target size, resize and cutting into patches."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from modeling.pixelrefer.compression import Cap, Compression, clip_patches
from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.inputs import PackedImages

LARGEST_ASPECT = 200

Pixels = NDArray[np.uint8]


def target_size(size: tuple[int, int], factor: int, budget: int, min_pixels: int) -> tuple[int, int]:
    """Sides, multiples of `factor`, to which an image of `size` (height, width) is resized.

    They give min_pixels..budget pixels. A side never falls below one factor, also where the published formula
    would reach 0. Raises ValueError for aspect ratios above 200.
    """
    height, width = size
    if min(height, width) < factor:
        grow = factor / min(height, width)
        height, width = round(height * grow), round(width * grow)
    elif max(height, width) / min(height, width) > LARGEST_ASPECT:
        raise ValueError(
            f"an image of {height} x {width} is too long and thin (ratio above {LARGEST_ASPECT})"
        )
    rounded = round(height / factor) * factor, round(width / factor) * factor
    if rounded[0] * rounded[1] > budget:
        shrink = math.sqrt(height * width / budget)
        sides = (math.floor(side / shrink / factor) * factor for side in (height, width))
    elif rounded[0] * rounded[1] < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        sides = (math.ceil(side * grow / factor) * factor for side in (height, width))
    else:
        return rounded
    tall, wide = (max(side, factor) for side in sides)
    return tall, wide


def patch_rows(image: Pixels, patch_px: int, stride: int) -> Pixels:
    """Patches [N, 3*P*P] of an image [H,W,3] in d x d block order, each flattened (channel, y, x)."""
    rows, columns = image.shape[0] // patch_px, image.shape[1] // patch_px
    view = image.reshape(rows // stride, stride, patch_px, columns // stride, stride, patch_px, 3)
    return np.ascontiguousarray(view.transpose(0, 3, 1, 4, 6, 2, 5)).reshape(rows * columns, -1)


@dataclass(frozen=True)
class PatchSettings:
    """Values of `preprocessor_config.json`."""

    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    min_pixels: int = 56 * 56

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> "PatchSettings":
        """Read the settings; absent keys keep the published values."""
        return cls(
            tuple(block.get("image_mean", cls.mean)),
            tuple(block.get("image_std", cls.std)),
            int(block.get("min_pixels", cls.min_pixels)),
        )

    @classmethod
    def load(cls, folder: Path) -> "PatchSettings":
        """Read `preprocessor_config.json` of a model folder, or take the published values if it has none."""
        path = folder / "preprocessor_config.json"
        return cls.from_json(json.loads(path.read_text())) if path.exists() else cls()

    def to_json(self) -> dict[str, Any]:
        """Content of `preprocessor_config.json`."""
        return {
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "min_pixels": self.min_pixels,
            "resample": 3,
            "rescale_factor": 1 / 255,
        }


class ImagePacker:
    """Turns lists of RGB images into normalised patches under a shared pixel budget."""

    def __init__(self, config: CaptionerConfig, settings: PatchSettings) -> None:
        self.config, self.settings = config, settings
        # A table of the 256 grey levels of each channel: the published order of roundings, computed once.
        levels = (np.arange(256, dtype=np.float64) / 255).astype(np.float32)
        mean, std = (np.array(values, np.float32)[:, None] for values in (settings.mean, settings.std))
        self._table = torch.from_numpy((levels[None] - mean) / std)

    def budget(self, stride: int, sharing: int) -> int:
        """Pixels one image may have when `sharing` images share the budget of one list."""
        return int(int(self.config.max_pixels / (self.config.spatial_merge_size / stride) ** 2) // sharing)

    def resize(self, image: Pixels, stride: int, sharing: int) -> Pixels:
        """The image at its target size, resized by Pillow's bicubic filter where sizes differ."""
        return self._fit(image, self.config.vision.patch_px * stride, self.budget(stride, sharing))

    def _fit(self, image: Pixels, factor: int, budget: int) -> Pixels:
        size = target_size((image.shape[0], image.shape[1]), factor, budget, self.settings.min_pixels)
        if size == image.shape[:2]:
            return image
        picture = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        return np.asarray(picture)

    def cut(self, images: Sequence[Pixels], stride: int = 1, sharing: int | None = None) -> list[Pixels]:
        """Resized images of one list; the budget is split over `sharing` images (default: all given)."""
        return [self.resize(image, stride, sharing or len(images)) for image in images]

    def pack(self, images: Sequence[Pixels], stride: int = 1, sharing: int | None = None) -> PackedImages:
        """Images uint8 [H,W,3] -> packed, normalised float32 patches."""
        return self.pack_ready(self.cut(images, stride, sharing), stride)

    def pack_ready(self, ready: Sequence[Pixels], stride: int = 1) -> PackedImages:
        """Images that have their target sizes already -> packed, normalised float32 patches."""
        edge = self.config.vision.patch_px
        rows = [self.normalise(torch.from_numpy(patch_rows(image, edge, stride))) for image in ready]
        grids = torch.tensor([[image.shape[0] // edge, image.shape[1] // edge] for image in ready])
        return PackedImages(torch.cat(rows), grids, stride)

    def cut_clip(self, frames: Sequence[Pixels], shape: Compression, cap: Cap = "pixels") -> list[Pixels]:
        """Frames of a clip at the size at which they are compressed: sides of whole blocks, so that none is padded.

        `cap` says what `mm_max_length` bounds: the published pixels, or the tokens that are really sent.
        """
        budget = self.budget(self.config.spatial_merge_size, len(frames))
        if cap == "tokens":
            patches = clip_patches(self.config.mm_max_length, len(frames), shape)
            budget = patches * self.config.vision.patch_px**2
        return [self._fit(frame, self.config.vision.patch_px * shape.sides, budget) for frame in frames]

    def normalise(self, rows: Tensor) -> Tensor:
        """Patch rows uint8 [N, 3*P*P] -> float32, (value / 255 - mean) / std per channel."""
        channels = rows.view(rows.shape[0], 3, -1).long()
        values = [self._table[channel][channels[:, channel]] for channel in range(3)]
        return torch.stack(values, dim=1).flatten(1)
