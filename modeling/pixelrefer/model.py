"""The captioners assembled: PixelRefer-Lite (object tokens only) and PixelRefer (scene and object tokens).

State dictionaries use the published tensor names; a tied output head is not stored.
"""

import torch
from torch import Tensor, nn

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.inputs import LiteViews, PackedImages
from modeling.pixelrefer.language import KvCache, LanguageModel
from modeling.pixelrefer.region import LiteRegionEncoder, ObjectTokenizer
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
        lite = config.framework == "pixelreferlite"
        self.region_encoder = LiteRegionEncoder(config) if lite else ObjectTokenizer(config)


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
    """Object-only framework: K tokens for each mask, nothing else of the picture reaches the language model."""

    def __init__(self, config: CaptionerConfig) -> None:
        if config.framework != "pixelreferlite":
            raise ValueError(f"this configuration is for {config.framework}, not pixelreferlite")
        super().__init__(config)

    def object_embeddings(self, views: LiteViews, start: Tensor | None = None) -> Tensor:
        """Embeddings [M,K,C] of M masks. `start` int [M,K] overrides the first centroids of the clustering."""
        region = self.model.region_encoder
        assert isinstance(region, LiteRegionEncoder)
        pieces = self.encode_images(views.crops).split(views.crops.counts)
        cells = [
            region.select(
                piece.unflatten(0, mask.position_xy.shape[:2]),
                mask.position_xy,
                mask.grid,
            )
            for piece, mask in zip(pieces, views.masks, strict=True)
        ]
        query = region.merge(cells, start)[0].to(self.dtype)
        return region.infuse(
            query,
            self._view_of_masks(views.locals_, views.local_of_mask),
            self._view_of_masks(views.globals_, views.global_of_mask),
        )

    def _view_of_masks(self, images: PackedImages, of_mask: list[int]) -> Tensor:
        """Features [M,T,Cv] of the view each mask looks at. Views of one list share one size."""
        if len({tuple(grid) for grid in images.grids.tolist()}) != 1:
            raise ValueError("all views of a request must have one size")
        features = self.encode_images(images)
        return features.view(len(images.counts), -1, features.shape[-1])[of_mask]
