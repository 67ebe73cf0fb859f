"""One training step's loss: prompts on single pictures, or a prompted picture followed through a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from recipes.tracker import forward, losses, prompts
from recipes.tracker.batches import VISIBLE_SHARE, Batch
from recipes.tracker.forward import Decoded, Encoded
from recipes.tracker.losses import Helpers, Truth

CLICK, BOX, MASK = 0, 1, 2
DENSE, TRACKED = 0.5, 0.7


@dataclass(frozen=True, slots=True)
class PromptMix:
    """How often each prompt is drawn. ``background`` is the part of the clicks on single pictures that hit nothing;
    ``correction`` the part of single pictures on which a second click corrects the first answer."""

    click: float = 0.5
    box: float = 0.32
    mask: float = 0.18
    background: float = 0.32
    correction: float = 0.25
    absent_weight: float = 3.0  # of a picture of a clip without the object, in the loss of its presence


def stills_loss(
    model: nn.Module, helpers: Helpers, batch: Batch, mix: PromptMix, rng: np.random.Generator
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of prompting single pictures (a batch of length 1), and figures for the log."""
    encoded = forward.encode(model, batch.images)
    seen = encoded.rows(batch.owner)
    coarse, fine = forward.unconditioned(model, seen), seen.maps[:2]
    masks = batch.masks[:, 0]
    total, ious = coarse.new_zeros(()), []
    boxed = torch.from_numpy(rng.random(len(masks)) < mix.box / (mix.box + mix.click))
    for kind, rows in ((CLICK, ~boxed), (BOX, boxed)):
        index = rows.nonzero().squeeze(1).to(coarse.device)
        if not len(index):
            continue
        pick = [level[index] for level in (coarse, *fine)]
        background = rng.random(len(index)) < (mix.background if kind == CLICK else 0)
        wanted = masks[index] & ~torch.from_numpy(background).to(coarse.device)[:, None, None]
        points = _points(kind, masks[index], batch.ids[batch.owner[index]], background, rng)
        truth = losses.truth_of(wanted, VISIBLE_SHARE)
        out = forward.decode(model, pick[0], pick[1:], points)
        total = total + losses.decoder_loss(out, truth).sum()
        if rng.random() < mix.correction:
            total = total + _correction(model, pick, out, points, wanted, truth, rng)
        ious += _answer_ious(out, truth)
    loss = total / len(masks) + DENSE * helpers.dense_loss(encoded.maps, batch.ids)
    return loss, {"still_iou": float(np.mean(ious)) if ious else 0.0}


def clip_loss(
    model: nn.Module,
    helpers: Helpers,
    batch: Batch,
    mix: PromptMix,
    true_memory: float,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of following objects through a clip from a prompt on its first picture.

    Each memory is made from the true mask with probability ``true_memory``, else from the prediction, cut off
    from its gradient: a weak network learns to use memories from clean ones first.
    """
    encoded = forward.encode(model, batch.images)
    kind = int(rng.choice(3, p=np.array([mix.click, mix.box, mix.mask]) / (mix.click + mix.box + mix.mask)))
    bank: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    first, later, helped, ious, absent = [], [], [], [], []
    for time in range(batch.length):
        seen = encoded.rows(batch.owner * batch.length + time)
        fine = seen.maps[:2]
        masks = batch.masks[:, time]
        truth = losses.truth_of(masks, VISIBLE_SHARE, mix.absent_weight)
        if time == 0:
            coarse = forward.unconditioned(model, seen)
            if kind == MASK:
                memory = _mask_memory(model, seen, coarse, fine, masks)
                bank["cond_frame_outputs"][0] = memory
                continue
            out = forward.decode(model, coarse, fine, _points(kind, masks, None, None, rng))
            first.append(losses.decoder_loss(out, truth))
        else:
            coarse = forward.conditioned(model, seen, bank, time)
            out = forward.decode(model, coarse, fine, None)
            later.append(losses.decoder_loss(out, truth))
            helped.append(helpers.tracked_loss(coarse, truth))
            ious += _answer_ious(out, truth)
            absent += (out.presence[truth.clear & ~truth.present, 0] <= 0).tolist()
        if time + 1 < batch.length:
            clean = torch.from_numpy(rng.random(len(masks)) < true_memory).to(coarse.device)
            where = "non_cond_frame_outputs" if time else "cond_frame_outputs"
            bank[where][time] = _memory(model, seen, out, masks, truth, clean)
    loss = torch.stack(later).mean() + TRACKED * torch.stack(helped).mean()
    loss = loss + DENSE * helpers.dense_loss(encoded.maps, batch.ids)
    if first:
        loss = loss + first[0].mean()
    figures = {"clip_iou": float(np.mean(ious)) if ious else 0.0}
    return loss, figures | ({"absent_right": float(np.mean(absent))} if absent else {})


def _points(
    kind: int,
    masks: torch.Tensor,
    ids: torch.Tensor | None,
    background: np.ndarray | None,
    rng: np.random.Generator,
) -> prompts.Points:
    true_masks = masks.cpu().numpy()
    if kind == BOX:
        return prompts.boxes(true_masks, rng)
    points = prompts.clicks(true_masks, rng)
    if background is not None and ids is not None and background.any():
        rows = np.flatnonzero(background)
        points.coords[rows] = prompts.background_clicks(ids.cpu().numpy()[rows], rng).coords
    return points


def _correction(
    model: nn.Module,
    maps: list[torch.Tensor],
    out: Decoded,
    points: prompts.Points,
    wanted: torch.Tensor,
    truth: Truth,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Loss of a second click where the first answer is wrong, given that answer's logits (clamped as upstream)."""
    logits = out.answer().detach()
    guess = forward.upsampled(logits, wanted.shape[-1]).squeeze(1) > 0
    click = prompts.corrections(wanted.cpu().numpy(), guess.cpu().numpy(), rng)
    both = points.joined(click)
    again = forward.decode(model, maps[0], maps[1:], both, logits.clamp(-32, 32))
    return losses.decoder_loss(again, truth).sum()


def _memory(
    model: nn.Module, seen: Encoded, out: Decoded, masks: torch.Tensor, truth: Truth, clean: torch.Tensor
) -> dict[str, Any]:
    """The memory of one frame; rows where ``clean`` is true are made from the truth."""
    predicted = out.presence.detach().squeeze(1) > 0
    present = torch.where(clean, truth.present, predicted)
    logits = forward.upsampled(out.answer().detach(), masks.shape[-1])
    logits = torch.where(predicted[:, None, None, None], logits, forward.ABSENT_LOGIT)
    logits = torch.where(clean[:, None, None, None], masks.unsqueeze(1).float() * 20 - 10, logits)
    return forward.remember(model, seen, logits, present, forward.pointer(model, out.token(), present))


def _mask_memory(
    model: nn.Module, seen: Encoded, coarse: torch.Tensor, fine: list[torch.Tensor], masks: torch.Tensor
) -> dict[str, Any]:
    """The memory of a frame prompted by the true mask, which the decoder passes through."""
    mask = masks.unsqueeze(1).float()
    present = masks.flatten(1).any(1)
    ptr = forward.pointer(model, forward.mask_token(model, coarse, fine, mask), present)
    return forward.remember(model, seen, mask * 20 - 10, present, ptr)


@torch.no_grad()
def _answer_ious(out: Decoded, truth: Truth) -> list[float]:
    ious = losses.true_ious(out.answer().squeeze(1), truth.targets)
    return ious[truth.present].tolist()
