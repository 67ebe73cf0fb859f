"""The tracker's forward pass with gradients, step by step as the package's ``track_step`` but with raw outputs.

The package gates masks by the predicted object score (-1024 where it is not positive) and hides raw masks and
scores, which leaves an untrained network without a gradient. Here the same modules are called in the same order,
raw outputs are kept for the losses, and presence for the memory is chosen by the caller (truth or prediction).
SAM 2: https://arxiv.org/abs/2408.00714; module names as in ``sam2`` 1.1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from recipes.tracker.prompts import Points

ENDLESS = 10**9  # the stream's "number of frames": pointers of all recent frames count
ABSENT_LOGIT = -1024.0


@dataclass(frozen=True, slots=True)
class Encoded:
    """Image features of N pictures: three levels [N, C, H, W], finest first, and the code of place of the
    coarsest level, [1, C, h, w]."""

    maps: list[torch.Tensor]
    place: torch.Tensor

    def rows(self, index: torch.Tensor) -> Encoded:
        """The pictures named by ``index``, int64 [rows]; a picture may be named more than once."""
        return Encoded([level.index_select(0, index) for level in self.maps], self.place)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the coarsest level."""
        return self.place.shape[2], self.place.shape[3]

    @property
    def tokens(self) -> torch.Tensor:
        """The coarsest level as the memory modules want it, [h * w, N, C]."""
        return self.maps[-1].flatten(2).permute(2, 0, 1)

    @property
    def place_tokens(self) -> torch.Tensor:
        """The code of place for every picture, [h * w, N, C]."""
        return self.place.expand(len(self.maps[-1]), -1, -1, -1).flatten(2).permute(2, 0, 1)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Raw decoder outputs: masks [rows, 4, s, s] (the single one, then three), ious [rows, 4] in 0..1,
    tokens [rows, 4, C], presence logits [rows, 1], and whether the three or the single one answer."""

    masks: torch.Tensor
    ious: torch.Tensor
    tokens: torch.Tensor
    presence: torch.Tensor
    multimask: bool

    def best(self) -> torch.Tensor:
        """int64 [rows]: the mask that answers, by the network's own IoU estimate."""
        if not self.multimask:
            return torch.zeros(len(self.ious), dtype=torch.long, device=self.ious.device)
        return 1 + self.ious[:, 1:].argmax(1)

    def answer(self) -> torch.Tensor:
        """Mask logits that answer, [rows, 1, s, s]."""
        return self.masks[torch.arange(len(self.masks), device=self.masks.device), self.best()].unsqueeze(1)

    def token(self) -> torch.Tensor:
        """The token behind the answer, [rows, C]."""
        return self.tokens[torch.arange(len(self.tokens), device=self.tokens.device), self.best()]


def encode(model: nn.Module, images: torch.Tensor) -> Encoded:
    """Image features of normalised pictures [N, 3, S, S]."""
    out = model.forward_image(images)
    return Encoded(list(out["backbone_fpn"]), out["vision_pos_enc"][-1][:1])


def unconditioned(model: nn.Module, seen: Encoded) -> torch.Tensor:
    """The coarsest map for a frame without memory, [rows, C, h, w]."""
    return seen.maps[-1] + model.no_mem_embed.reshape(1, -1, 1, 1)


def conditioned(model: nn.Module, seen: Encoded, bank: dict[str, dict[int, Any]], time: int) -> torch.Tensor:
    """The coarsest map after attention to the memories in ``bank``, [rows, C, h, w]."""
    return model._prepare_memory_conditioned_features(
        frame_idx=time,
        is_init_cond_frame=False,
        current_vision_feats=[seen.tokens],
        current_vision_pos_embeds=[seen.place_tokens],
        feat_sizes=[seen.size],
        output_dict=bank,
        num_frames=ENDLESS,
    )


def decode(
    model: nn.Module,
    coarse: torch.Tensor,
    fine: list[torch.Tensor],
    points: Points | None,
    mask_logits: torch.Tensor | None = None,
) -> Decoded:
    """Decode prompts (none while tracking) on the coarse map; ``fine`` are the two finer levels as maps."""
    rows = len(coarse)
    if points is None:
        coords = torch.zeros(rows, 1, 2, device=coarse.device)
        labels = -torch.ones(rows, 1, dtype=torch.int32, device=coarse.device)
    else:
        coords, labels = points.coords.to(coarse.device), points.labels.to(coarse.device)
    sparse, dense = model.sam_prompt_encoder(points=(coords, labels), boxes=None, masks=mask_logits)
    masks, ious, tokens, presence = model.sam_mask_decoder.predict_masks(
        image_embeddings=coarse,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        repeat_image=False,
        high_res_features=fine,
    )
    return Decoded(masks.float(), ious.float(), tokens, presence.float(), points is None or points.multimask)


def pointer(model: nn.Module, token: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Object pointer [rows, C]; the fixed "not there" pointer where ``present`` (bool [rows]) is false."""
    there = present.float().unsqueeze(1)
    return there * model.obj_ptr_proj(token) + (1 - there) * model.no_obj_ptr


def remember(
    model: nn.Module, seen: Encoded, mask_logits: torch.Tensor, present: torch.Tensor, ptr: torch.Tensor
) -> dict[str, Any]:
    """The memory of one frame from mask logits at input size, [rows, 1, S, S]."""
    features, positions = model._encode_new_memory(
        current_vision_feats=[seen.tokens],
        feat_sizes=[seen.size],
        pred_masks_high_res=mask_logits,
        object_score_logits=present.float().unsqueeze(1) * 20 - 10,
        is_mask_from_pts=False,
    )
    return {"maskmem_features": features, "maskmem_pos_enc": positions, "obj_ptr": ptr}


def upsampled(mask_logits: torch.Tensor, size_px: int) -> torch.Tensor:
    """Mask logits [rows, 1, s, s] at input size."""
    return F.interpolate(mask_logits, size=(size_px, size_px), mode="bilinear", align_corners=False)


def mask_token(
    model: nn.Module, coarse: torch.Tensor, fine: list[torch.Tensor], mask: torch.Tensor
) -> torch.Tensor:
    """The token [rows, C] the package reads from a mask prompt, float [rows, 1, S, S] of 0 and 1."""
    small = model.mask_downsample(mask)
    if small.shape[-2:] != model.sam_prompt_encoder.mask_input_size:
        raise ValueError(f"mask prompt: {tuple(mask.shape[-2:])} is not the model's input size")
    return decode(model, coarse, fine, None, small).tokens[:, 0]
