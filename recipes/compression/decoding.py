"""Greedy answers about all objects of a clip at once: their prompts share a scene, so it is read once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from modeling.pixelrefer.model import CaptionNetwork


@torch.inference_mode()
def speak_together(
    network: CaptionNetwork, prompts: Sequence[Tensor], shared: int, ends: Collection[int], limit: int
) -> list[list[int]]:
    """Token ids of an answer to each of P prompts, embeddings [S_p,C] that are the same in their first ``shared``.

    The same words as one by one: every answer sees its own prompt and itself. An answer ends before one of ``ends``,
    or after ``limit`` tokens.
    """
    branches = [prompt[shared:] for prompt in prompts]
    sizes = torch.tensor([len(branch) for branch in branches])
    owners = torch.cat(
        (torch.zeros(shared, dtype=torch.int64), torch.arange(1, len(sizes) + 1).repeat_interleave(sizes))
    )
    places = torch.cat([torch.arange(shared), *(shared + torch.arange(size) for size in sizes.tolist())])
    cache = network.new_cache(len(owners) + limit * len(sizes))
    past = torch.ones(len(owners), len(owners), dtype=torch.bool).tril()
    mask = past & ((owners == 0) | (owners == owners[:, None]))
    embeds = torch.cat((prompts[0][:shared], *branches))
    hidden = network.decode(embeds[None], places[None], mask[None, None], cache)[0]
    tokens = network.logits(hidden[shared + sizes.cumsum(0) - 1]).argmax(-1)
    numbers = torch.arange(1, len(sizes) + 1)
    spoken: list[list[int]] = [[] for _ in prompts]
    open_ = [True] * len(prompts)
    for step in range(limit):
        for at, token in enumerate(tokens.tolist()):
            open_[at] = open_[at] and token not in ends
            if open_[at]:
                spoken[at].append(token)
        if step == limit - 1 or not any(open_):
            break
        owners = torch.cat((owners, numbers))
        mask = (owners == 0) | (owners == numbers[:, None])
        states = network.decode(
            network.embed_tokens(tokens)[None], (shared + sizes + step)[None], mask[None, None], cache
        )
        tokens = network.logits(states[0]).argmax(-1)
    return spoken
