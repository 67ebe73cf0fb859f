"""What the processor hands to the network: packed patches and, per mask, its grid and position code."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modeling.pixelrefer.compression import Role


@dataclass(frozen=True)
class PackedImages:
    """Images of any sizes as one list of patches.

    `patches` float [N, 3*P*P], normalised, image after image; `grids` int64 [n,2], rows and columns of each
    image in patches; `stride` is the edge d of the d x d blocks in which patches are listed (1: raster).
    """

    patches: Tensor
    grids: Tensor
    stride: int = 1

    def __post_init__(self) -> None:
        wanted = int(self.grids.prod(-1).sum())
        if self.patches.shape[0] != wanted:
            raise ValueError(f"{self.patches.shape[0]} patches do not fill grids of {wanted} cells")

    @property
    def counts(self) -> list[int]:
        """Patches of each image."""
        return [int(rows * columns) for rows, columns in self.grids.tolist()]

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "PackedImages":
        """The same images on another device, patches cast to `dtype`."""
        return PackedImages(self.patches.to(device, dtype), self.grids, self.stride)


@dataclass(frozen=True)
class MaskCells:
    """One mask over its crop.

    `grid` [gh,gw], uint8 or float32: a cell with a value above 0 belongs to the object.
    `position_xy` float32 [fh,fw,2]: position code input of each cell of the crop's own feature grid.
    """

    grid: Tensor
    position_xy: Tensor


@dataclass(frozen=True)
class LiteViews:
    """The three views of M masks. Whole-frame and local views that repeat are packed once;
    `global_of_mask` and `local_of_mask` (M entries) tell which packed image each mask looks at."""

    crops: PackedImages
    masks: list[MaskCells]
    locals_: PackedImages
    globals_: PackedImages
    local_of_mask: list[int]
    global_of_mask: list[int]


@dataclass(frozen=True)
class SceneFrames:
    """A clip's own frames, ready to be encoded as scene tokens.

    `factors`: the block edge r of each frame; `kept` bool [tokens] a frame: which of its tokens reach the language
    model; `roles` of each frame; `times_s` on the request's clock, None for a still image; `last` uint8 [H,W,3]:
    the last frame at its working size, where it is to be carried on.
    """

    images: PackedImages
    factors: tuple[int, ...]
    kept: list[Tensor]
    roles: tuple[Role, ...]
    times_s: tuple[float, ...] | None
    last: NDArray[np.uint8] | None = None

    @property
    def counts(self) -> tuple[int, ...]:
        """Tokens of each frame after dropping."""
        return tuple(int(part.sum()) for part in self.kept)


@dataclass(frozen=True)
class SceneViews:
    """What PixelRefer looks at: the clip's frames, unless their tokens are had already, and one crop a mask.

    `crops` is None without masks; with VideoRefer's region encoder they are whole frames, and `objects` tells whose
    each mask is.
    """

    frames: SceneFrames | None
    crops: PackedImages | None
    masks: list[MaskCells]
    objects: list[int] | None = None

    @property
    def scene(self) -> PackedImages:
        """The frames as packed images. Raises ValueError where their tokens came from elsewhere."""
        if self.frames is None:
            raise ValueError("the scene of these views was encoded before, so its images are not here")
        return self.frames.images
