"""From a request to token ids and packed images, for either framework."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modeling.pixelrefer.compression import assign_roles
from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.crops import ObjectCrop, crop_lite, crop_object, global_view, share_views
from modeling.pixelrefer.images import ImagePacker, PatchSettings
from modeling.pixelrefer.inputs import LiteViews, MaskCells, PackedImages, SceneFrames, SceneViews
from modeling.pixelrefer.pooling import token_count
from modeling.pixelrefer.prompt import (
    prompt_ids,
    region_tag,
    scene_images,
    scene_video,
    timed_region_tag,
)
from modeling.pixelrefer.region import position_grid
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.reuse import Carry, Scene
from modeling.pixelrefer.scene import changed_cells, changed_tokens
from modeling.pixelrefer.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Prepared:
    """Token ids int64 [S] with placeholders written out, and the images whose features replace them.

    `scene` is what was encoded before and stands in for the frames.
    """

    ids: Tensor
    views: LiteViews | SceneViews
    scene: Scene | None = None


class Processor:
    """Prepares requests for one model: views, patches, prompt, ids."""

    def __init__(self, config: CaptionerConfig, settings: PatchSettings, tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.packer = ImagePacker(config, settings)

    def prepare(self, request: Request, scene: Scene | None = None) -> Prepared:
        """What the network needs to answer `request`; with its `scene` known, no frame is prepared again.

        Raises ValueError for a wrong number of regions.
        """
        lite = self.config.framework == "pixelreferlite"
        return self._prepare_lite(request) if lite else self._prepare_scene(request, scene)

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

    def scene_frames(self, request: Request, carried: Carry | None = None) -> SceneFrames:
        """The request's frames as scene images, with what of them is to be dropped.

        `carried` is the frame before them, if one is shown. Raises ValueError for an anchor that is no frame.
        """
        options, times = request.scene, request.times_s
        if times is None or options.compression == "published":
            return self._published_frames(request)
        shape, count = options.shape, len(request.frames)
        roles = assign_roles(count, options.anchor, carried is not None)
        factors = tuple(shape.factor(role) for role in roles)
        ready = self.packer.cut_clip(list(request.frames), shape, options.cap)
        images = self.packer.pack_ready(ready)
        same = carried is not None and carried.picture.shape == ready[0].shape
        before = self.packer.pack_ready([carried.picture]).patches if carried is not None and same else None
        kept = changed_tokens(images, factors, before)
        last = ready[-1] if shape.carry else None
        return SceneFrames(images, factors, kept, roles, tuple(map(float, times)), last)

    def _published_frames(self, request: Request) -> SceneFrames:
        """Every frame merged by the model's own stride, cells of a video dropped by the published rule."""
        count, times = len(request.frames), request.times_s
        stride = 1 if times is None else self.config.spatial_merge_size
        images = self.packer.pack(list(request.frames), stride=stride)
        kept = changed_cells(images).split([cells // stride**2 for cells in images.counts])
        return SceneFrames(
            images,
            (stride,) * count,
            list(kept),
            assign_roles(count),
            None if times is None else tuple(map(float, times)),
        )

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

    def _prepare_scene(self, request: Request, scene: Scene | None) -> Prepared:
        """PixelRefer: each mask has a tag of its own, so an object seen on several frames gets several."""
        masks = request.full_masks()
        if self.config.region == "pooling":
            return self._prepare_pooled(request, masks, scene)
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
        packed, cells = self._pack_crops(crops) if crops else (None, [])
        return self._with_scene(request, SceneViews(None, packed, cells), tags, scene)

    def _prepare_pooled(self, request: Request, masks: Pixels, scene: Scene | None) -> Prepared:
        """VideoRefer's regions: each mask looks at its whole frame; an object has one tag, however many masks."""
        order = request.order()
        size = (masks.shape[1], masks.shape[2])
        whole = [
            ObjectCrop(
                request.frames[request.mask_frames[at]], torch.from_numpy(masks[at]), (0, 0, *size), size
            )
            for at in order
        ]
        objects = [int(request.objects[at]) for at in order]
        packed, cells = self._pack_crops(whole)
        tags = [region_tag(token_count(objects.count(number))) for number in range(request.object_count)]
        return self._with_scene(request, SceneViews(None, packed, cells, objects), tags, scene)

    def _with_scene(
        self, request: Request, views: SceneViews, tags: Sequence[str], scene: Scene | None
    ) -> Prepared:
        """The prompt of the scene, known or to be encoded, and then the question with its tags in their places."""
        shown = scene or self.scene_frames(request)
        views = views if scene else replace(views, frames=shown)
        part = (
            scene_images(shown.counts) if shown.times_s is None else scene_video(shown.times_s, shown.counts)
        )
        return Prepared(self._ids(request.instruction, tags, part), views, scene)

    def _ids(self, instruction: str, tags: Sequence[str], scene: str = "") -> Tensor:
        return torch.tensor(prompt_ids(self.tokenizer, instruction, tags, scene))


def region_tokens(grid: Tensor, config: CaptionerConfig) -> int:
    """How many object tokens PixelRefer gives a mask with this patch grid."""
    return min(config.mask_num, int(grid.sum()))


def kept_counts(views: SceneViews) -> list[int]:
    """Scene tokens of each frame after dropping unchanged cells."""
    return list(views.frames.counts) if views.frames is not None else []
