"""Pictures in, feature maps out: the part of SAM 2 that knows nothing of objects or time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

ForwardImage = Callable[[torch.Tensor], dict[str, Any]]
"""A model's ``forward_image``; what it gives may have more rows than there are pictures."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Feature maps of one picture, or of one for each of several objects; S is the input size, d the hidden size."""

    fine: torch.Tensor  # [1, d/8, S/4, S/4], already projected for the mask decoder
    middle: torch.Tensor  # [1, d/4, S/8, S/8], likewise
    coarse: torch.Tensor  # [1, d, S/16, S/16]
    position: torch.Tensor  # [1, d, S/16, S/16], sine code, the same for every picture

    def sharp(self, count: int) -> list[torch.Tensor]:
        """The two finer maps for ``count`` objects (views, nothing is copied)."""
        return [self.fine.expand(count, -1, -1, -1), self.middle.expand(count, -1, -1, -1)]

    @staticmethod
    def stacked(rows: Sequence[Maps]) -> Maps:
        """Maps of several pictures as rows of one, for as many objects."""
        levels = (torch.cat([getattr(maps, name) for maps in rows]) for name in ("fine", "middle", "coarse"))
        return Maps(*levels, rows[0].position)


def prepare(pictures: Sequence[np.ndarray], image_size: int) -> torch.Tensor:
    """RGB uint8 [H, W, 3] pictures as the network wants them: float32 [n, 3, S, S], normalised.

    Pictures are squashed to a square, without borders, by Pillow's default (bicubic) filter: mixing resizers
    between training, parity and service costs accuracy.
    """
    small = np.stack([_squash(picture, image_size) for picture in pictures])
    # One layout in memory for one picture and for many: convolutions of another layout round otherwise.
    pixels = torch.from_numpy(small).permute(0, 3, 1, 2).contiguous().float() / 255.0
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (pixels - mean) / std


def encode(forward_image: ForwardImage, pixels: torch.Tensor, batch: int) -> list[Maps]:
    """Maps of every picture of ``pixels`` [n, 3, S, S] ``batch`` pictures at a time."""
    return [maps for part in pixels.split(batch) for maps in _encode_part(forward_image, part)]


def _encode_part(forward_image: ForwardImage, pixels: torch.Tensor) -> list[Maps]:
    found = forward_image(pixels)
    fine, middle, coarse = found["backbone_fpn"][-3:]
    position = found["vision_pos_enc"][-1][:1].clone()
    rows = range(len(pixels))
    return [Maps(fine[i : i + 1], middle[i : i + 1], coarse[i : i + 1], position) for i in rows]


def _squash(picture: np.ndarray, image_size: int) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"picture: expected RGB uint8 [H, W, 3], got {picture.dtype} {picture.shape}")
    return np.asarray(Image.fromarray(picture).resize((image_size, image_size)))
