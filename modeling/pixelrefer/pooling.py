"""VideoRefer's region encoder: the mean of a mask's features in each frame, then similar neighbours in time merged.

Follows VideoRefer (arXiv 2501.00599). Its stored tensors are those of the output layers, `feat_linear.0` and
`feat_linear.2`, under the published name `model.region_encoder`. Frames are encoded whole; there is no crop, no
position code and no clustering, so it needs no infusion and no first centroids.
"""

import torch
from torch import Tensor, nn

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.region import pad_tokens

MOST_TOKENS = 4
"""Tokens of one object, however many frames show it."""
TINY = 1e-8
"""Keeps the mean of an empty mask at zero."""


def pool_mask(features: Tensor, mask: Tensor) -> Tensor:
    """Mean of `features` [fh,fw,C] over a mask [h,w], float32 [C]; zeros where the mask covers no cell.

    The mask is resized bilinearly to the grid of the features; a cell with any weight then counts as inside. An
    object much smaller than a cell may fall between the samples and be lost, as published.
    """
    cover = mask.to(features.device, torch.float32)
    if cover.shape != features.shape[:2]:
        size = tuple(features.shape[:2])
        cover = nn.functional.interpolate(cover[None, None], size=size, mode="bilinear", align_corners=False)[
            0, 0
        ]
    inside = (cover > 0).float()[..., None]
    return (features.float() * inside).sum((0, 1)) / (inside.sum() + TINY)


def merge_in_time(vectors: Tensor, most: int = MOST_TOKENS) -> Tensor:
    """One object's vectors in time order [n,C] -> at most `most` means of runs of neighbours [m,C].

    The n - `most` strongest links between neighbours (cosine similarity) hold; the sequence is cut at all weaker
    ones. Links that tie with the weakest one held also hold, so that equal frames give fewer runs than `most`.
    """
    links = len(vectors) - most
    if links <= 0:
        return vectors
    likeness = nn.functional.cosine_similarity(vectors[:-1], vectors[1:], dim=-1, eps=1e-12)
    weakest_held = likeness.topk(links).values[-1]
    run = torch.cat((likeness.new_zeros(1), (likeness < weakest_held).to(likeness.dtype))).cumsum(0).long()
    member = nn.functional.one_hot(run).to(vectors.dtype)
    return member.T @ vectors / member.sum(0)[:, None]


def token_count(masks: int) -> int:
    """Tokens in the prompt of an object with that many masks."""
    return min(MOST_TOKENS, masks)


def fill_run(tokens: Tensor, count: int, wanted: int) -> Tensor:
    """The first `count` rows of `tokens`, the last one repeated up to `wanted` rows.

    Ties merge an object to fewer vectors than its prompt has places for, which is known only after encoding.
    """
    return tokens[torch.arange(wanted, device=tokens.device).clamp(max=count - 1)]


class PooledRegionEncoder(nn.Module):
    """The third region encoder, with the calls of `ObjectTokenizer`; `merge` takes objects where that takes masks."""

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        width, out = config.vision.width, config.language.width
        self.feat_linear = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))

    def select(self, features: Tensor, position_xy: Tensor, mask: Tensor) -> Tensor:
        """The one vector of a mask: features [fh,fw,Cv] of the whole frame -> float32 [1,Cv]. No position code."""
        del position_xy
        return pool_mask(features, mask)[None]

    def group(self, vectors: list[Tensor], objects: list[int]) -> list[Tensor]:
        """The vectors [1,Cv] of all masks gathered by object, in the order given: [n_i,Cv] each."""
        together = torch.cat(vectors)
        number = torch.tensor(objects, device=together.device)
        return [together[number == wanted] for wanted in range(max(objects) + 1)]

    def merge(self, pieces: list[Tensor], start: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Each object's vectors in time order [n_i,Cv] -> (tokens [O,4,Cv], zero-padded; how many are real [O])."""
        if start is not None:
            raise ValueError("VideoRefer's region encoder clusters nothing and takes no first centroids")
        merged = [merge_in_time(piece) for piece in pieces]
        padded, counts = pad_tokens(merged)
        return nn.functional.pad(padded, (0, 0, 0, MOST_TOKENS - padded.shape[1])), counts
