"""The parts of a network that every picture needs, compiled: for GPUs, where starting small kernels costs most.

Compiled are the image encoder, and for objects whose memory is full (one to four anchors, all recent steps) memory
attention, the heads without a prompt, and the memory encoder. Everything else stays as it is: prompts, and objects in
their first fifteen steps, come in too many shapes. Batches are padded to a few sizes, so that all graphs can be made
before the first picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from sam2.modeling.sam2_base import SAM2Base

from modeling.sam2.memory import MAX_ANCHORS, ObjectMemory

BATCHES = (1, 2, 4, 8, 16)
GRAPHS = 64
"""Shapes of one function that are compiled; torch's own limit of 8 is less than batches times anchors."""

Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]


class Steady:
    """Compiled functions of one network; made on first use, or all at once by :meth:`Network.warm_up`."""

    def __init__(self, model: SAM2Base, compiler: Compiler | None = None) -> None:
        """``compiler`` turns a function into a quicker one, ``torch.compile`` unless told otherwise."""
        compiler = compiler or compile_whole()
        self._model = model
        self._image = compiler(model.forward_image)
        self._attend = compiler(self._attention)
        self._decode = compiler(self._heads)
        self._remember = compiler(self._memory)

    def image(self, pixels: torch.Tensor) -> dict[str, Any]:
        """What the model's ``forward_image`` gives for [n, 3, S, S]; maps may have more rows than n."""
        return self._image(_padded(pixels, 0, padded_size(len(pixels))))

    def attend(
        self,
        current: torch.Tensor,
        position: torch.Tensor,
        memory: torch.Tensor,
        memory_position: torch.Tensor,
        pointer_tokens: int,
    ) -> torch.Tensor:
        """Memory attention of [L, B, c] sequences: [f * f, B, d]."""
        count = memory.shape[1]
        given = (current, position, memory, memory_position)
        padded = (_padded(tensor, 1, padded_size(count)) for tensor in given)
        return self._attend(*padded, pointer_tokens)[:, :count]

    def heads(self, seen: torch.Tensor, sharp: Sequence[torch.Tensor], multimask: bool) -> tuple[Any, ...]:
        """What the model's ``_forward_sam_heads`` gives without a prompt for a conditioned map [B, d, f, f]."""
        count = len(seen)
        padded = (_padded(tensor, 0, padded_size(count)) for tensor in (seen, *sharp))
        return tuple(each[:count] for each in self._decode(*padded, multimask))

    def remember(self, coarse: torch.Tensor, high_res: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
        """Memory features [B, c, f, f] of masks [B, 1, S, S] on maps [B, d, f, f]."""
        count = len(coarse)
        given = (coarse, high_res, presence)
        return self._remember(*(_padded(tensor, 0, padded_size(count)) for tensor in given))[:count]

    def _attention(
        self,
        current: torch.Tensor,
        position: torch.Tensor,
        memory: torch.Tensor,
        memory_position: torch.Tensor,
        pointer_tokens: int,
    ) -> torch.Tensor:
        return self._model.memory_attention(
            curr=[current],
            curr_pos=[position],
            memory=memory,
            memory_pos=memory_position,
            num_obj_ptr_tokens=pointer_tokens,
        )

    def _heads(
        self, seen: torch.Tensor, fine: torch.Tensor, middle: torch.Tensor, multimask: bool
    ) -> tuple[Any, ...]:
        return self._model._forward_sam_heads(
            backbone_features=seen, high_res_features=[fine, middle], multimask_output=multimask
        )

    def _memory(self, coarse: torch.Tensor, high_res: torch.Tensor, presence: torch.Tensor) -> torch.Tensor:
        features, _ = self._model._encode_new_memory(
            current_vision_feats=[coarse.flatten(2).permute(2, 0, 1)],
            feat_sizes=[tuple(coarse.shape[-2:])],
            pred_masks_high_res=high_res,
            object_score_logits=presence,
            is_mask_from_pts=False,
        )
        return features


def compile_whole(backend: str = "inductor") -> Compiler:
    """``torch.compile`` of whole functions, a graph for each shape."""
    torch._dynamo.config.recompile_limit = max(GRAPHS, torch._dynamo.config.recompile_limit)
    return lambda function: torch.compile(function, backend=backend, dynamic=False, fullgraph=True)


def padded_size(count: int) -> int:
    """How many rows are computed for ``count``: the next of a few sizes; more than the largest stay as they are."""
    return next((size for size in BATCHES if size >= count), count)


def sizes_up_to(most: int) -> list[int]:
    """All sizes of batches that occur with at most so many rows."""
    return sorted({padded_size(count) for count in range(1, most + 1)})


def full_memories(new_memory: Callable[[], ObjectMemory], entry: Callable[[], Any]) -> list[ObjectMemory]:
    """One memory of each full layout, of the same entry over and over."""
    found = []
    for anchors in range(1, MAX_ANCHORS + 1):
        memory = new_memory()
        for step in range(anchors):
            memory.anchor(step, entry())
        for step in range(anchors, anchors + memory.recent_pointers):
            memory.record(step, entry())
        found.append(memory.ahead_of(anchors + memory.recent_pointers))
    return found


def _padded(tensor: torch.Tensor, dim: int, size: int) -> torch.Tensor:
    """The last row again and again until there are ``size``; contiguous, as one layout is one graph."""
    missing = size - tensor.shape[dim]
    if missing <= 0:
        return tensor.contiguous()
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat(
        [tensor, tensor.narrow(dim, tensor.shape[dim] - 1, 1).expand(shape)], dim=dim
    ).contiguous()
