"""Features of the frozen encoder on disk, a few clips a file: whole frames, and the chosen cells of each mask.

Training reads what it needs of the files, so that memory does not grow with their number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from modeling.pixelrefer.crops import ObjectCrop, crop_object
from modeling.pixelrefer.images import ImagePacker, patch_rows
from modeling.pixelrefer.model import PixelRefer
from modeling.pixelrefer.region import position_grid
from recipes.captioner.cache import encode, write_parts
from recipes.captioner.clips import StoredClip, read_clip
from recipes.captioner.network import PATCHES
from recipes.captioner.views import Picture
from recipes.compression.halves import Piece, cut_halves
from recipes.compression.settings import CLIP_FRAMES, FRAME_PX

NOBODY = np.zeros(0, np.uint8)
"""Owners of patches, which nobody asks for here."""


@dataclass(frozen=True)
class Half:
    """Where one clip's half lies on disk: file, clip in the file, first frame, and its pieces (`Piece.note`).

    Each piece has besides ``masks``, the numbers of its masks in the file, in time order, with their ``times`` in
    seconds; ``before``: the truth told of the same object in the half before, if it was a piece there.
    ``name``: of the stored clip.
    """

    file: int
    clip: int
    first: int
    name: str
    pieces: list[dict]

    @property
    def has_past(self) -> bool:
        """Whether a half comes before this one."""
        return self.first > 0


class Features:
    """All files of a folder. Raises FileNotFoundError for an empty one."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("features_*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"{folder} holds no cached features: run the cache stage first")
        self._files = [safe_open(path, "pt") for path in paths]
        self._ends = [file.get_tensor("cell_ends").tolist() for file in self._files]
        self.halves = [
            Half(number, at, half * CLIP_FRAMES, note["name"], pieces)
            for number, file in enumerate(self._files)
            for at, note in enumerate(json.loads(file.metadata()["notes"]))
            for half, pieces in enumerate(note["halves"])
        ]

    def grids(self, half: Half, carried: bool) -> Tensor:
        """Features float16 [T,rows,columns,Cv] of the half's frames, the frame before them first if ``carried``."""
        first = half.first - carried
        stored = self._files[half.file].get_slice("grids")
        return stored[half.clip : half.clip + 1, first : half.first + CLIP_FRAMES][0]

    def cells(self, half: Half, mask: int) -> tuple[Tensor, Tensor]:
        """Chosen cells float16 [n,Cv] of a mask and their position code input [n,2]."""
        ends = self._ends[half.file]
        rows = slice(ends[mask - 1] if mask else 0, ends[mask])
        file = self._files[half.file]
        return file.get_slice("cells")[rows], file.get_slice("position_xy")[rows]


def write_features(
    network: PixelRefer, paths: list[Path], folder: Path, seed: int, held_out: bool = False
) -> None:
    """Cache clips in files of a few; files that exist are kept, so an interrupted run goes on."""
    write_parts(paths, folder, lambda part, _: _encode_clips(network, part, seed, held_out))


@torch.no_grad()
def _encode_clips(
    network: PixelRefer, paths: list[Path], seed: int, held_out: bool
) -> tuple[dict[str, Tensor], list[dict]]:
    packer = ImagePacker(network.config, PATCHES)
    edge = network.config.vision.patch_px
    grid = FRAME_PX[0] // edge, FRAME_PX[1] // edge
    grids, notes = [], []
    crops: list[ObjectCrop] = []
    for path in paths:
        clip = read_clip(path)
        halves = cut_halves(clip, np.random.default_rng([seed, int(path.stem.split("_")[-1])]), held_out)
        notes.append({"name": path.stem, "halves": _notes(clip, halves, network, crops)})
        frames = [Picture(patch_rows(_whole(frame), edge, 1), grid, NOBODY) for frame in _pictures(clip)]
        grids.append(torch.stack(encode(network, frames, packer)).unflatten(1, grid))
    cut = [Picture(patch_rows(crop.image, edge, 1), _grid(crop), NOBODY) for crop in crops]
    chosen = [crop.grid.flatten() > 0 for crop in crops]
    cells = [part[rows] for part, rows in zip(encode(network, cut, packer), chosen, strict=True)]
    places = [
        position_grid(_grid(crop), crop.box, crop.frame).flatten(0, 1)[rows]
        for crop, rows in zip(crops, chosen, strict=True)
    ]
    return {
        "grids": torch.stack(grids),
        "cells": torch.cat(cells),
        "position_xy": torch.cat(places),
        "cell_ends": torch.tensor([int(rows.sum()) for rows in chosen]).cumsum(0),
    }, notes


def _notes(
    clip: StoredClip, halves: list[list[Piece]], network: PixelRefer, crops: list[ObjectCrop]
) -> list[list[dict]]:
    """Notes of all pieces; their masks' crops are added to ``crops``."""
    notes: list[list[dict]] = []
    for pieces in halves:
        before = {note["object"]: note["said"] for note in notes[-1]} if notes else {}
        found = []
        for piece in pieces:
            own = piece.evidence.own
            cut = [
                (crop_object(clip.frames[t], mask, network.config), at)
                for t, mask, at in zip(own.frames, own.masks, own.times_s, strict=True)
            ]
            shown = [(crop, at) for crop, at in cut if crop is not None and bool(crop.grid.any())]
            numbers = list(range(len(crops), len(crops) + len(shown)))
            crops += [crop for crop, _ in shown]
            if shown:
                times = {"masks": numbers, "times": [at for _, at in shown]}
                found.append(piece.note() | times | {"before": before.get(piece.index)})
        notes.append(found)
    return notes


def _grid(crop: ObjectCrop) -> tuple[int, int]:
    return crop.grid.shape[0], crop.grid.shape[1]


def _pictures(clip: StoredClip) -> list[np.ndarray]:
    return [clip.frames[t] for t in range(2 * CLIP_FRAMES)]


def _whole(frame: np.ndarray) -> np.ndarray:
    height, width = FRAME_PX
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
