"""From a request to token ids and packed images, for either framework."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.crops import ObjectCrop, crop_lite, crop_object, global_view, share_views
from modeling.pixelrefer.images import ImagePacker, PatchSettings
from modeling.pixelrefer.inputs import LiteViews, MaskCells, PackedImages, SceneViews
from modeling.pixelrefer.prompt import (
    prompt_ids,
    region_tag,
    scene_images,
    scene_video,
    timed_region_tag,
)
from modeling.pixelrefer.region import position_grid
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.scene import changed_cells
from modeling.pixelrefer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Prepared:
    """Token ids int64 [S] with placeholders written out, and the images whose features replace them."""

    ids: Tensor
    views: LiteViews | SceneViews


class Processor:
    """Prepares requests for one model: views, patches, prompt, ids."""

    def __init__(self, config: CaptionerConfig, settings: PatchSettings, tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.packer = ImagePacker(config, settings)

    def prepare(self, request: Request) -> Prepared:
        """What the network needs to answer `request`. Raises ValueError for a wrong number of regions."""
        lite = self.config.framework == "pixelreferlite"
        return self._prepare_lite(request) if lite else self._prepare_scene(request)

    def lite_views(self, frames: Pixels, masks: Pixels, mask_frames: Sequence[int]) -> LiteViews:
        """The three views of each mask.

        `frames` uint8 [T,H,W,3]; `masks` uint8 0/1 [M,H,W]; `mask_frames` M indices into the frames.
        The pixel budget of each list is split over all M masks, repeated views included, as published.
        """
        count = len(mask_frames)
        cuts = [crop_lite(frames[at], mask, self.config) for at, mask in zip(mask_frames, masks, strict=True)]
        crops, cells = self._pack_crops([cut.crop for cut in cuts])
        of_mask = share_views(mask_frames)
        firsts = [of_mask.index(number) for number in range(max(of_mask) + 1)]
        whole = [global_view(frames[mask_frames[first]], self.config) for first in firsts]
        share = self.config.geometry.share_local_view
        near = [cuts[first].local_view for first in firsts] if share else [cut.local_view for cut in cuts]
        return LiteViews(
            crops=crops,
            masks=cells,
            locals_=self.packer.pack(near, sharing=count),
            globals_=self.packer.pack(whole, sharing=count),
            local_of_mask=of_mask if share else list(range(count)),
            global_of_mask=of_mask,
        )

    def scene_views(self, frames: Pixels, video: bool, crops: Sequence[ObjectCrop]) -> SceneViews:
        """Frames as scene images, unchanged cells of a video marked for dropping, and the crops of objects."""
        scene = self.packer.pack(list(frames), stride=self.config.spatial_merge_size if video else 1)
        packed, cells = self._pack_crops(crops) if crops else (None, [])
        return SceneViews(scene, changed_cells(scene), packed, cells)

    def _pack_crops(self, crops: Sequence[ObjectCrop]) -> tuple[PackedImages, list[MaskCells]]:
        packed = self.packer.pack([crop.image for crop in crops])
        cells = [
            MaskCells(crop.grid, position_grid((rows, columns), crop.box, crop.frame))
            for crop, (rows, columns) in zip(crops, packed.grids.tolist(), strict=True)
        ]
        return packed, cells

    def _prepare_lite(self, request: Request) -> Prepared:
        order = request.order()
        at = [int(request.mask_frames[number]) for number in order]
        views = self.lite_views(request.frames, request.full_masks()[order], at)
        times, tokens = request.times_s, self.config.mask_num
        tags = []
        for wanted in range(request.object_count):
            seen = [at[place] for place, number in enumerate(order) if request.objects[number] == wanted]
            if times is None:
                tags.append(region_tag(tokens) * len(seen))
            else:
                tags.append(timed_region_tag([float(times[frame]) for frame in seen], tokens))
        return Prepared(self._ids(request.instruction, tags), views)

    def _prepare_scene(self, request: Request) -> Prepared:
        """PixelRefer: each mask has a tag of its own, so an object seen on several frames gets several."""
        masks = request.full_masks()
        crops: list[ObjectCrop] = []
        tags = [""] * request.object_count
        for number in request.order():
            crop = crop_object(request.frames[request.mask_frames[number]], masks[number], self.config)
            tokens = 0 if crop is None else region_tokens(crop.grid, self.config)
            if crop is not None:
                crops.append(crop)
            if not tokens:
                logger.warning("mask %d covers no cell of its crop and is not shown to the model", number)
            tags[request.objects[number]] += region_tag(tokens)
        views = self.scene_views(request.frames, request.times_s is not None, crops)
        kept = kept_counts(views)
        scene = (
            scene_images(kept)
            if request.times_s is None
            else scene_video([float(time) for time in request.times_s], kept)
        )
        return Prepared(self._ids(request.instruction, tags, scene), views)

    def _ids(self, instruction: str, tags: Sequence[str], scene: str = "") -> Tensor:
        return torch.tensor(prompt_ids(self.tokenizer, instruction, tags, scene))


def region_tokens(grid: Tensor, config: CaptionerConfig) -> int:
    """How many object tokens PixelRefer gives a mask with this patch grid."""
    return min(config.mask_num, int(grid.sum()))


def kept_counts(views: SceneViews) -> list[int]:
    """Scene tokens of each frame after dropping unchanged cells."""
    merged = [count // views.scene.stride**2 for count in views.scene.counts]
    return [int(part.sum()) for part in views.kept.split(merged)]
