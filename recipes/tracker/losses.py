"""Losses of the tracker: masks, IoU estimates, presence, and the dense ones that are thrown away afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from recipes.tracker.forward import Decoded

MASK_BCE, MASK_DICE, ALL_MASKS = 4.0, 1.0, 0.2
IOU, PRESENCE = 0.5, 0.5


@dataclass(frozen=True, slots=True)
class Truth:
    """What a decoder output is held against: soft targets float [rows, s, s] in 0..1; ``present`` bool [rows];
    ``clear`` bool [rows], false where too few pixels show to call the object present or absent; how much a picture
    without the object weighs for its presence."""

    targets: torch.Tensor
    present: torch.Tensor
    clear: torch.Tensor
    absent_weight: float = 3.0


def truth_of(masks: torch.Tensor, visible_share: float, absent_weight: float = 3.0) -> Truth:
    """Targets at a quarter of the size from true masks, bool [rows, S, S]."""
    area = masks.float().mean((1, 2))
    targets = F.avg_pool2d(masks.float().unsqueeze(1), 4).squeeze(1)
    return Truth(targets, area >= visible_share, (area == 0) | (area >= visible_share), absent_weight)


def mask_cost(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and dice of each mask: logits and targets [..., s, s] to [...]."""
    cross = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((-2, -1))
    share = logits.sigmoid()
    overlap = (share * targets).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (share.sum((-2, -1)) + targets.sum((-2, -1)) + 1)
    return MASK_BCE * cross + MASK_DICE * dice


def true_ious(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of the thresholded masks, [..., s, s] to [...]; 0 where both are empty."""
    guess, truth = logits > 0, targets > 0.5
    union = (guess | truth).sum((-2, -1))
    return (guess & truth).sum((-2, -1)) / union.clamp(min=1)


def decoder_loss(out: Decoded, truth: Truth) -> torch.Tensor:
    """Loss of each row, [rows]: the best of the answering masks, a little of all, IoU estimates, presence."""
    targets = truth.targets.unsqueeze(1).expand_as(out.masks)
    costs = mask_cost(out.masks, targets)
    answering = costs[:, 1:].min(1).values if out.multimask else costs[:, 0]
    with torch.no_grad():
        ious = true_ious(out.masks, targets)
    estimates = F.binary_cross_entropy(out.ious.clamp(1e-6, 1 - 1e-6), ious, reduction="none").mean(1)
    seen = truth.present.float()
    score = F.binary_cross_entropy_with_logits(out.presence.squeeze(1), seen, reduction="none")
    score = score * torch.where(truth.present, 1.0, truth.absent_weight) * truth.clear
    return seen * (answering + ALL_MASKS * costs.mean(1) + IOU * estimates) + PRESENCE * score


class Helpers(nn.Module):
    """Heads that exist only in training: object and border maps from two encoder levels, and the object from
    the memory-conditioned map. They make the maps carry what the decoder needs before the decoder can ask."""

    def __init__(self, width: int, fine_width: int) -> None:
        super().__init__()
        self.coarse = nn.Conv2d(width, 2 * 16, 1)
        self.fine = nn.Conv2d(fine_width, 2, 1)
        self.tracked = nn.Conv2d(width, 16, 1)

    def dense_loss(self, maps: list[torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
        """Objects and their borders on every picture; ids uint8 [N, S, S]. Returns the mean loss."""
        targets = _dense_targets(ids)
        guesses = (F.pixel_shuffle(self.coarse(maps[-1]), 4), self.fine(maps[0]))
        return sum(mask_cost(guess, targets).mean() for guess in guesses)

    def tracked_loss(self, coarse: torch.Tensor, truth: Truth) -> torch.Tensor:
        """The followed object on the conditioned map [rows, C, h, w]; loss of each row, [rows]."""
        guess = F.pixel_shuffle(self.tracked(coarse), 4).squeeze(1)
        return mask_cost(guess, truth.targets) * truth.present


def _dense_targets(ids: torch.Tensor) -> torch.Tensor:
    """Soft targets [N, 2, S / 4, S / 4]: share of object pixels, share of pixels beside another id."""
    border = torch.zeros_like(ids, dtype=torch.float32)
    across, down = ids[:, :, 1:] != ids[:, :, :-1], ids[:, 1:] != ids[:, :-1]
    border[:, :, 1:] += across
    border[:, 1:] += down
    planes = torch.stack([(ids > 0).float(), border.clamp(max=1)], 1)
    pooled = F.avg_pool2d(planes, 4)
    return torch.stack([pooled[:, 0], (pooled[:, 1] * 4).clamp(max=1)], 1)
