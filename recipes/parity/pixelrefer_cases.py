"""Stored PixelRefer cases: inputs, all intermediate values, and what the manifest says about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.images import ImagePacker, PatchSettings
from modeling.pixelrefer.inputs import MaskCells, PackedImages
from modeling.pixelrefer.request import Request
from recipes.parity.table import need

EXACT, GRID, FEATURE, LOGIT = 0.0, 1e-6, 5e-5, 2e-4
"""Tolerances: counts and pixels, soft masks and positions, features, logits."""


@dataclass(frozen=True)
class Case:
    """One case of one framework."""

    framework: str
    name: str
    info: Mapping[str, Any]
    values: Mapping[str, Tensor]

    @property
    def title(self) -> str:
        """How rows name the case."""
        return f"{self.framework}/{self.name}"

    @property
    def masks(self) -> int:
        """Number of masks."""
        return len(self.info["mask_ids"])

    def unique(self, view: str) -> list[int]:
        """For each image of a call, which stored image it is."""
        return list(self.info["unique_tile_of_entry"][view])

    def grids(self, view: str) -> Tensor:
        """Rows and columns of each stored image of a call, int64 [n,2]."""
        of_image = self.unique(view)
        firsts = [of_image.index(number) for number in range(max(of_image) + 1)]
        return self.values[f"{view}.grid_thw"][firsts, 1:]

    def packed(self, view: str, packer: ImagePacker) -> PackedImages:
        """The stored patches of a call, normalised."""
        stride = int(self.values[f"{view}.strides"][0])
        return PackedImages(packer.normalise(self.values[f"{view}.patches_u8"]), self.grids(view), stride)

    def cells(self) -> list[MaskCells]:
        """Stored mask grids and position inputs."""
        return [
            MaskCells(self.values[f"object{i}.mask_grid"], self.values[f"object{i}.pos_xy"])
            for i in range(self.masks)
        ]

    def starts(self, limit: int) -> Tensor:
        """First centroids int64 [M,K]; zeros where nothing is clustered."""
        starts = torch.zeros(self.masks, limit, dtype=torch.int64)
        for number in range(self.masks):
            stored = self.values[f"object{number}.kmeans_init_idx"]
            if len(stored):
                starts[number] = stored
        return starts

    def request(self) -> Request:
        """The case as a request: one object a mask, or in Lite videos the stored grouping."""
        video = self.info["modal"] == "video"
        frames = (
            self.values["input.frames"] if "input.frames" in self.values else self.values["input.image"][None]
        )
        at = list(self.info["mask_ids"])
        if self.framework == "pixelrefer" and "frame_ids" in self.info:
            at = [self.info["frame_ids"][number] for number in at]
        groups = self.info.get("mask_ids_raw") or [[number] for number in range(self.masks)]
        return Request(
            frames=frames.numpy(),
            times_s=np.array(self.info["timestamps"], np.float64) if video else None,
            masks=self.values["input.masks"].numpy(),
            mask_frames=np.array(at),
            objects=np.array([number for number, group in enumerate(groups) for _ in group]),
            instruction=self.info["instruction"],
            max_new_tokens=len(self.values["generated_ids"]),
        )


def load_cases(folder: Path) -> list[Case]:
    """All cases of a framework folder. Raises WrongFolder when a case's file is absent."""
    manifest = json.loads((folder / "manifest.json").read_text())
    need(folder, *(f"{name}.safetensors" for name in manifest["cases"]))
    return [
        Case(manifest["framework"], name, info, load_file(folder / f"{name}.safetensors"))
        for name, info in manifest["cases"].items()
    ]


def packer_of(config: CaptionerConfig) -> ImagePacker:
    """A packer with the published statistics, which the stored patches assume."""
    return ImagePacker(config, PatchSettings())
