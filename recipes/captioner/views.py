"""Masks to patches, cut exactly as production cuts them, with the truth of every patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.crops import crop_lite, global_view
from modeling.pixelrefer.images import ImagePacker, patch_rows
from modeling.pixelrefer.inputs import PackedImages
from modeling.pixelrefer.region import position_grid
from synthetic.casting import HELD_OUT_PAIRS
from synthetic.grammar import NAMES
from synthetic.palette import ALL_COLOURS
from synthetic.truth import ObjectTruth

SAMPLES = 3
"""Points a side at which a patch looks up its owner."""


@dataclass(frozen=True)
class Picture:
    """Patches of one view: ``rows`` uint8 [gh*gw, 588], its grid, and the owner id of every patch (uint8)."""

    rows: np.ndarray
    grid: tuple[int, int]
    owners: np.ndarray


@dataclass(frozen=True)
class MaskView:
    """One mask's crop with its selected cells (bool [gh*gw]) and position code input, and its local view."""

    crop: Picture
    chosen: np.ndarray
    position_xy: Tensor
    local: Picture


def view_mask(frame: np.ndarray, ids: np.ndarray, mask: np.ndarray, config: CaptionerConfig) -> MaskView:
    """Crop and local view of a mask (uint8 0/1 [H,W], not empty) on a frame whose pixels belong to ``ids``."""
    cut = crop_lite(frame, mask, config)
    edge = config.vision.patch_px
    image = cut.crop.image
    grid = image.shape[0] // edge, image.shape[1] // edge
    top, left, bottom, right = cut.crop.box
    piece = ids[top : bottom + 1, left : right + 1]
    side = config.geometry.local_view_px // edge
    return MaskView(
        crop=Picture(patch_rows(image, edge, 1), grid, owners_of(piece, grid)),
        chosen=cut.crop.grid.numpy().ravel() > 0,
        position_xy=position_grid(grid, cut.crop.box, cut.crop.frame),
        local=Picture(patch_rows(cut.local_view, edge, 1), (side, side), owners_of(piece, (side, side))),
    )


def view_frame(frame: np.ndarray, ids: np.ndarray, config: CaptionerConfig) -> Picture:
    """The global view of a frame."""
    edge = config.vision.patch_px
    side = config.geometry.global_view_px // edge
    rows = patch_rows(global_view(frame, config), edge, 1)
    return Picture(rows, (side, side), owners_of(ids, (side, side)))


def owners_of(ids: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The id that owns most of each patch, uint8 [gh*gw], looked up at a few points of it."""
    down, across = (
        np.minimum(((np.arange(cells * SAMPLES) + 0.5) / (cells * SAMPLES) * length).astype(int), length - 1)
        for cells, length in zip(grid, ids.shape, strict=True)
    )
    points = ids[down[:, None], across[None]].reshape(grid[0], SAMPLES, grid[1], SAMPLES)
    points = points.transpose(0, 2, 1, 3).reshape(-1, SAMPLES * SAMPLES)
    present = np.unique(points)
    counts = (points[:, :, None] == present).sum(1)
    return present[counts.argmax(1)]


UNTOLD = -100
"""Label of what is not to be learned from."""


def owner_labels(objects: Sequence[ObjectTruth]) -> np.ndarray:
    """Table int64 [n+1, 2] from owner id to class and colour number; 0 is background in both.

    Pairs kept for testing have no class here, things of no clear colour no colour (:data:`UNTOLD`).
    """
    return np.array([(0, 0), *(_label(it) for it in objects)], np.int64)


def _label(it: ObjectTruth) -> tuple[int, int]:
    name = UNTOLD if (it.colour, it.class_name) in HELD_OUT_PAIRS else NAMES.index(it.class_name) + 1
    return name, ALL_COLOURS.index(it.colour) + 1 if it.colour else UNTOLD


def pack(pictures: list[Picture], packer: ImagePacker) -> PackedImages:
    """Pictures as one list of normalised patches."""
    rows = packer.normalise(torch.from_numpy(np.concatenate([picture.rows for picture in pictures])))
    return PackedImages(rows, torch.tensor([picture.grid for picture in pictures]))
