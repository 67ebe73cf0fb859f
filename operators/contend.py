"""Contend: whose are pixels that several tracks claim on one frame.

A segmenter follows each object by itself, so that two of them may end up on the same thing: when one goes behind the
other, or when they look alike. One pixel shows one object; here it is decided whose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

KEEPS = 0.5
"""A claim of which less than this is left was a claim on somebody else."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the segmenter says a track's pixels are, bool [h, w], and how well that fits what is known of it.

    ``fit`` is a sum of likenesses, each 0..1: of colours, of place, of size, and whether it was in view just before.
    """

    key: int
    mask: np.ndarray
    fit: float


def contend(claims: Sequence[Claim], rivals: Callable[[int, int], bool]) -> dict[int, np.ndarray]:
    """The pixels that each track gets, by key; tracks whose claim fell to others are left out.

    Shared pixels go to the track that they fit better, or that needs them more: what is small before something large
    keeps them, of two claims on one thing the better wins. Only pairs that are ``rivals`` (key, key) contend; others
    may be one object.
    """
    standing = {claim.key: claim for claim in claims}
    while True:
        left = _parted(list(standing.values()), rivals)
        kept = {key: left[key].sum() / max(claim.mask.sum(), 1) for key, claim in standing.items()}
        least = min(kept, key=lambda key: (kept[key], standing[key].fit, -key), default=None)
        if least is None or kept[least] >= KEEPS:
            return left
        # One at a time: what it had won of others is theirs again.
        del standing[least]


def _parted(claims: Sequence[Claim], rivals: Callable[[int, int], bool]) -> dict[int, np.ndarray]:
    masks = {claim.key: claim.mask for claim in claims}
    for at, a in enumerate(claims):
        for b in claims[at + 1 :]:
            shared = masks[a.key] & masks[b.key]
            if not shared.any() or not rivals(a.key, b.key):
                continue
            needs = (one.fit + shared.sum() / max(one.mask.sum(), 1) for one in (a, b))
            loser = b if next(needs) >= next(needs) else a
            masks[loser.key] = masks[loser.key] & ~shared
    return masks
