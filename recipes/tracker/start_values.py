"""Start values with which an untrained tracker looks where it is asked to from the first step on.

With the package's own values the decoder ignores its prompt for hundreds of steps.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def set_start_values(model: nn.Module, attention_gain: float = 2.5) -> None:
    """Overwrite some weights of a freshly built tracker in place."""
    for block in model.sam_mask_decoder.transformer.layers:
        for attention in (block.cross_attn_token_to_image, block.cross_attn_image_to_token):
            _match(attention.q_proj, attention.k_proj, attention_gain)
    final = model.sam_mask_decoder.transformer.final_attn_token_to_image
    _match(final.q_proj, final.k_proj, attention_gain)
    _match_memories(model)
    # The random code of place is a buffer: what training sees must survive the export in half precision.
    code = model.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    code.copy_(code.half().float())


def _match(query: nn.Linear, key: nn.Linear, gain: float) -> None:
    """Both sides of an attention carry the same code of place; equal matrices make like attend to like."""
    query.weight.copy_(key.weight * gain)
    key.weight.copy_(key.weight * gain)
    query.bias.zero_()
    key.bias.zero_()


def _match_memories(model: nn.Module) -> None:
    """A memory is the image map, projected; key = query x pseudo-inverse of the projection matches contents."""
    encoder = model.memory_encoder
    width = encoder.pix_feat_proj.weight.shape[0]
    encoder.pix_feat_proj.weight.copy_(torch.eye(width)[:, :, None, None])
    encoder.pix_feat_proj.bias.zero_()
    inverse = torch.linalg.pinv(encoder.out_proj.weight[:, :, 0, 0])  # [image width, memory width]
    for layer in model.memory_attention.layers:
        attention = layer.cross_attn_image
        attention.k_proj.weight.copy_(attention.q_proj.weight @ inverse)
        attention.q_proj.bias.zero_()
        attention.k_proj.bias.zero_()
