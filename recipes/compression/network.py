"""A small captioner with scene tokens: PixelRefer's scene before the objects of the embedded captioner.

Objects are tokens of PixelRefer-Lite that look at their own cells, but at no whole frame: the scene shows those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from modeling.pixelrefer.model import PixelRefer
from modeling.pixelrefer.pixel_shuffle import compress, pool, tiled_projector
from modeling.pixelrefer.region import LiteRegionEncoder, ObjectTokenizer
from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.captioner.network import POSITION_SCALE, lite_config
from recipes.captioner.warm_start import warm_start
from recipes.captioner.words import build_tokenizer
from recipes.compression.settings import FRAME_PX

COARSE = 4
FAINT = 1e-3


def scene_tokenizer() -> WordTokenizer:
    """The embedded captioner's words and those that tell of the last sentence."""
    words = build_tokenizer()
    return WordTokenizer.build([*words.vocabulary, "Previous", "caption", "None"])


def new_scene_network(tokenizer: WordTokenizer, start: Path | None, seed: int = 0) -> PixelRefer:
    """PixelRefer in the size of the embedded captioner, begun with the model in ``start`` where there is one.

    The scene's projector begins as a copy of the objects', but so faint that every scene token is nearly a comma:
    hundreds of tokens that say something unheard of would drown what the language model knows.
    """
    torch.manual_seed(seed)
    network = PixelRefer(replace(lite_config(len(tokenizer)), framework="pixelrefer"))
    network.model.region_encoder = region = LiteRegionEncoder(network.config)
    nn.init.normal_(region.pos_linear.weight, std=POSITION_SCALE)
    if start is not None:
        warm_start(network, tokenizer, start)
    readout = network.model.mm_projector.readout
    readout.load_state_dict(region.feat_linear.state_dict())
    last = readout[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(FAINT)
        last.bias.copy_(network.model.embed_tokens.weight[tokenizer.vocabulary[","]])
    return network.eval()


def scene_positions(grid: tuple[int, int]) -> Tensor:
    """Position code input [rows,columns,2] of a whole frame's patches, in the units of an object's cells."""
    rows, columns = grid
    height, width = FRAME_PX
    down = (torch.arange(rows) + 0.5) / rows * height / (width - 1)
    across = (torch.arange(columns) + 0.5) / columns * width / (height - 1)
    return torch.stack((down[:, None].expand(rows, columns), across.expand(rows, columns)), -1)


class SceneProjection(nn.Module):
    """From features of whole frames to scene tokens, each frame by its block edge.

    The encoder was never trained to say where a patch is, so the position code of object cells is added to scene
    cells too. ``coarse`` is the projector of its own for 4 x 4 blocks.
    """

    def __init__(self, network: PixelRefer) -> None:
        super().__init__()
        region = network.model.region_encoder
        assert isinstance(region, ObjectTokenizer)
        self.position: Callable[[Tensor], Tensor] = region.position
        self.shared = network.model.mm_projector
        self.coarse = tiled_projector(network.model.mm_projector.readout, COARSE)

    def forward(self, grids: Tensor, factors: Sequence[int], own_projector: bool) -> Tensor:
        """Features [B,T,rows,columns,Cv] -> scene tokens [B,S,C], frame after frame."""
        placed = grids + self.position(scene_positions((grids.shape[2], grids.shape[3])))
        parts = [
            self.coarse(compress(frame, factor))
            if own_projector and factor == COARSE
            else self.shared(pool(frame, factor))
            for frame, factor in zip(placed.unbind(1), factors, strict=True)
        ]
        return torch.cat(parts, 1)
