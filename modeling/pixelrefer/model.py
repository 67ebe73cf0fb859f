"""The captioners assembled: PixelRefer-Lite (object tokens only) and PixelRefer (scene and object tokens).

State dictionaries use the published tensor names; a tied output head is not stored.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.inputs import LiteViews, MaskCells, PackedImages, SceneViews
from modeling.pixelrefer.language import KvCache, LanguageModel
from modeling.pixelrefer.pixel_shuffle import Tiling, compress, pool
from modeling.pixelrefer.pooling import PooledRegionEncoder, fill_run, token_count
from modeling.pixelrefer.region import LiteRegionEncoder, ObjectTokenizer
from modeling.pixelrefer.scene import frame_grids, pool_frames
from modeling.pixelrefer.vision import VisionTower


class Projector(nn.Module):
    """Two-layer MLP from vision width to language width."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        width, out = config.vision.width, config.language.width
        self.readout = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, features: Tensor) -> Tensor:
        return self.readout(features)


class Body(LanguageModel):
    """The language model with the parts that published weights keep beside it."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__(config.language)
        self.vision_encoder = VisionTower(config.vision)
        self.mm_projector = Projector(config)
        self.region_encoder = build_region_encoder(config)


def build_region_encoder(
    config: CaptionerConfig,
) -> LiteRegionEncoder | ObjectTokenizer | PooledRegionEncoder:
    """The region encoder that the configuration names."""
    if config.region == "pooling":
        return PooledRegionEncoder(config)
    return LiteRegionEncoder(config) if config.framework == "pixelreferlite" else ObjectTokenizer(config)


class CaptionNetwork(nn.Module):
    """What both frameworks share: encoder, language model, output head."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Body(config)
        if not config.language.tied:
            self.lm_head = nn.Linear(config.language.width, config.language.vocab_size, bias=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.model.norm.weight.dtype

    def encode_images(self, images: PackedImages) -> Tensor:
        """Vision features [N,Cv] of packed images, in the order of their patches."""
        images = images.to(self.device, self.dtype)
        return self.model.vision_encoder(images.patches, images.grids, images.stride)

    def select_cells(self, crops: PackedImages, masks: list[MaskCells]) -> list[Tensor]:
        """Cells of each mask in its own crop, position code added, float32 [n_i,Cv]."""
        pieces = self.encode_images(crops).split(crops.counts)
        select = self.model.region_encoder.select
        return [
            select(piece.unflatten(0, mask.position_xy.shape[:2]), mask.position_xy, mask.grid)
            for piece, mask in zip(pieces, masks, strict=True)
        ]

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Embeddings [...,C] of token ids."""
        return self.model.embed_tokens(ids)

    def decode(
        self,
        embeds: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KvCache | None = None,
    ) -> Tensor:
        """Hidden states [B,S,C]; see `LanguageModel.decode`."""
        return self.model.decode(embeds, positions, mask, cache)

    def logits(self, hidden: Tensor) -> Tensor:
        """Token scores [...,V] of hidden states [...,C]."""
        tied = self.config.language.tied
        weight = self.model.embed_tokens.weight if tied else self.lm_head.weight
        return nn.functional.linear(hidden, weight)

    def new_cache(self, capacity: int, batch: int = 1) -> KvCache:
        """An empty key/value cache for `capacity` positions."""
        return KvCache(self.config.language, batch, capacity, self.device, self.dtype)


class PixelReferLite(CaptionNetwork):
    """Object-only framework: K tokens for each mask, and nothing else of the picture."""

    def __init__(self, config: CaptionerConfig) -> None:
        if config.framework != "pixelreferlite":
            raise ValueError(f"this configuration is for {config.framework}, not pixelreferlite")
        super().__init__(config)

    def object_embeddings(
        self, views: LiteViews, start: Tensor | None = None, whole: Tensor | None = None
    ) -> Tensor:
        """Embeddings [M,K,C] of M masks. `start` int [M,K] overrides the first centroids.

        `whole` [n,T,Cv]: features of the n packed global views, where they are known already.
        """
        region = self.model.region_encoder
        assert isinstance(region, LiteRegionEncoder)
        cells = self.select_cells(views.crops, views.masks)
        query = region.merge(cells, start)[0].to(self.dtype)
        near = self.encode_views(views.locals_)
        whole = self.encode_views(views.globals_) if whole is None else whole
        return region.infuse(query, near[views.local_of_mask], whole[views.global_of_mask])

    def encode_views(self, images: PackedImages) -> Tensor:
        """Features [n,T,Cv] of views, all of one size. Raises ValueError."""
        if len({tuple(grid) for grid in images.grids.tolist()}) != 1:
            raise ValueError("all views of a request must have one size")
        features = self.encode_images(images)
        return features.view(len(images.counts), -1, features.shape[-1])


class PixelRefer(CaptionNetwork):
    """Vision-object framework: scene tokens of whole frames, then at most K tokens for each mask."""

    def __init__(self, config: CaptionerConfig) -> None:
        if config.framework != "pixelrefer":
            raise ValueError(f"this configuration is for {config.framework}, not pixelrefer")
        super().__init__(config)

    def scene_tokens(
        self,
        images: PackedImages,
        factors: Sequence[int],
        tiling: Tiling = "mean",
        projectors: Mapping[int, nn.Module] | None = None,
    ) -> list[Tensor]:
        """Scene tokens of frames, one tensor [tokens,C] a frame, in the order of the prompt. Differentiable.

        `factors` gives each frame's block edge r: 2 for an anchor, 4 for body (`Compression.factor`). To train with
        a carried frame, put the previous clip's last frame first, with the anchor's factor: what serving keeps of
        it is exactly that. Frames of several clips may be packed together, since no image sees another.
        `ImagePacker.cut_clip` and `pack_ready` make the images; `scene.changed_tokens` says what serving would
        drop; the tokens go where `<image>` stands in the prompt. `projectors` maps an r to a module of its own for
        folded tokens [.., r*r*Cv], such as `tiled_projector` gives to start from; other frames are averaged first
        and go through the published projector. Raises ValueError for images packed in blocks of another edge.
        """
        features = self.encode_images(images)
        if projectors:
            return self._project_folded(features, images, factors, tiling, projectors)
        pooled = pool_frames(features, images, factors, tiling)
        return list(self.model.mm_projector(torch.cat(pooled)).split([len(part) for part in pooled]))

    def _project_folded(
        self,
        features: Tensor,
        images: PackedImages,
        factors: Sequence[int],
        tiling: Tiling,
        projectors: Mapping[int, nn.Module],
    ) -> list[Tensor]:
        """Each frame by the projector of its factor, averaged first where there is none."""
        grids = frame_grids(features, images)
        return [
            projectors[factor](compress(grid, factor)[0])
            if factor in projectors
            else self.model.mm_projector(pool(grid, factor, tiling)[0])
            for grid, factor in zip(grids, factors, strict=True)
        ]

    def object_embeddings(self, views: SceneViews, start: Tensor | None = None) -> Tensor:
        """Embeddings [rows,C] of all masks one after another, at most K rows each."""
        assert views.crops is not None
        region = self.model.region_encoder
        if isinstance(region, PooledRegionEncoder):
            return self._pooled_embeddings(region, views, start)
        merged, counts = region.merge(self.select_cells(views.crops, views.masks), start)
        rows = [tokens[:count] for tokens, count in zip(merged, counts.tolist(), strict=True)]
        return region.feat_linear(torch.cat(rows).to(self.dtype))

    def _pooled_embeddings(
        self, region: PooledRegionEncoder, views: SceneViews, start: Tensor | None
    ) -> Tensor:
        """Embeddings [rows,C] of all objects one after another, at most 4 rows each."""
        assert views.crops is not None and views.objects is not None
        vectors = self.select_cells(views.crops, views.masks)
        merged, counts = region.merge(region.group(vectors, views.objects), start)
        wanted = [token_count(views.objects.count(number)) for number in range(len(merged))]
        rows = [fill_run(*run) for run in zip(merged, counts.tolist(), wanted, strict=True)]
        return region.feat_linear(torch.cat(rows).to(self.dtype))


def build_network(config: CaptionerConfig) -> PixelReferLite | PixelRefer:
    """The network of the framework that the configuration names."""
    return PixelReferLite(config) if config.framework == "pixelreferlite" else PixelRefer(config)
