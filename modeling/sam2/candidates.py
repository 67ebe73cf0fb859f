"""All masks that the decoder offers, for those who do not always take the likeliest one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base

from modeling.sam2.encode import Maps


@dataclass(frozen=True, slots=True)
class Candidates:
    """Masks for B objects, M each: three of a tracked object, four of a prompt."""

    logits: torch.Tensor  # float32 [B, M, S/4, S/4]; -1024 everywhere when absent
    quality: torch.Tensor  # [B, M], IoU estimates
    tokens: torch.Tensor  # [B, M, d], what pointers are made of
    presence: torch.Tensor  # [B, 1], logit

    def rows(self) -> int:
        return len(self.logits)


def decode_candidates(model: SAM2Base, seen: torch.Tensor, maps: Maps) -> Candidates:
    """Candidates without a prompt from a conditioned map [B, d, f, f]; the model's own heads choose among the same."""
    count = len(seen)
    nowhere = torch.zeros(count, 1, 2, device=seen.device)
    padding = -torch.ones(count, 1, dtype=torch.int32, device=seen.device)
    sparse, dense = model.sam_prompt_encoder(points=(nowhere, padding), boxes=None, masks=None)
    logits, quality, tokens, presence = model.sam_mask_decoder(
        image_embeddings=seen,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=True,
        repeat_image=False,
        high_res_features=maps.sharp(count),
    )
    logits = torch.where(presence[:, :, None, None] > 0, logits, NO_OBJ_SCORE).float()
    return Candidates(logits, quality, tokens.expand(-1, logits.shape[1], -1), presence)


def offered(
    model: SAM2Base, seen: torch.Tensor, maps: Maps, coords: torch.Tensor, labels: torch.Tensor
) -> Candidates:
    """All four masks of points on a map [1, d, f, f]: the one for clear prompts, then the three for unclear ones.

    ``coords`` [1, p, 2] in model pixels, ``labels`` int32 [1, p]. Logits are given even where ``presence`` says that
    nothing is there.
    """
    sparse, dense = model.sam_prompt_encoder(points=(coords, labels), boxes=None, masks=None)
    logits, quality, tokens, presence = model.sam_mask_decoder.predict_masks(
        image_embeddings=seen,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=maps.sharp(1),
    )
    return Candidates(logits.float(), quality, tokens, presence)


def pointers_of(model: SAM2Base, found: Candidates, chosen: Sequence[int]) -> torch.Tensor:
    """Object pointers [B, d] of the chosen masks; absent objects point at nothing, softly if the model does so."""
    rows = torch.arange(found.rows(), device=found.tokens.device)
    pointers = model.obj_ptr_proj(found.tokens[rows, list(chosen)])
    there = found.presence.sigmoid() if model.soft_no_obj_ptr else (found.presence > 0).float()
    if model.fixed_no_obj_ptr:
        pointers = there * pointers
    return pointers + (1 - there) * model.no_obj_ptr
