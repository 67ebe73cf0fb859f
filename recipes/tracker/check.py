"""A small fixed check during training: follow objects of unseen clips without gradient and compare with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from recipes.tracker import forward, prompts
from recipes.tracker.batches import PROMPTED_SHARE, Batch, whole_view
from recipes.tracker.forward import ABSENT_LOGIT
from recipes.tracker.store import ClipStore


@dataclass(frozen=True, slots=True)
class Followed:
    """Predicted masks bool [rows, T, S, S] and presence logits [rows, T]."""

    masks: np.ndarray
    presence: np.ndarray


@torch.no_grad()
def follow(model: nn.Module, batch: Batch, points: prompts.Points) -> Followed:
    """Prompt on the first picture, then track, as the serving session does."""
    bank: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
    size_px = batch.images.shape[-1]
    masks, presence = [], []
    for time in range(batch.length):
        seen = forward.encode(model, batch.images[time : time + 1]).rows(torch.zeros_like(batch.owner))
        coarse = forward.conditioned(model, seen, bank, time) if time else forward.unconditioned(model, seen)
        out = forward.decode(model, coarse, seen.maps[:2], None if time else points)
        present = out.presence.squeeze(1) > 0
        logits = torch.where(present[:, None, None, None], out.answer(), ABSENT_LOGIT)
        full = forward.upsampled(logits, size_px)
        memory = forward.remember(model, seen, full, present, forward.pointer(model, out.token(), present))
        bank["non_cond_frame_outputs" if time else "cond_frame_outputs"][time] = memory
        masks.append((full.squeeze(1) > 0).cpu().numpy())
        presence.append(out.presence.squeeze(1).cpu().numpy())
    return Followed(np.stack(masks, 1), np.stack(presence, 1))


def check(model: nn.Module, store: ClipStore, clips: int, length: int, size_px: int) -> dict[str, float]:
    """Figures over the first ``clips`` clips of a store: still and tracked J from clicks and boxes, J of copying the
    first true mask, absent frames called absent, background clicks rejected."""
    device = next(model.parameters()).device
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for index in range(min(clips, len(store))):
        frames, ids = store.frames[index][:length], store.ids[index][:length]
        areas = np.bincount(ids[0].ravel(), minlength=256)
        objects = [k for k in range(1, 256) if areas[k] >= PROMPTED_SHARE * ids[0].size]
        if not objects:
            continue
        batch = whole_view(frames, ids, size_px, objects)
        truth = batch.masks.numpy()
        deep = torch.tensor([prompts.deepest(mask[0]) for mask in truth], dtype=torch.float32)[:, None]
        click = prompts.Points(deep, torch.ones(len(truth), 1, dtype=torch.int32))
        by_click = follow(model, batch.to(device), click)
        by_box = follow(model, batch.to(device), prompts.boxes(truth[:, 0], rng, jitter=0.0))
        empty = prompts.background_clicks(np.repeat(batch.ids.numpy()[:1], 4, 0), rng)
        still = Batch(
            batch.images[:1], batch.ids[:1], batch.masks[:1, :1], torch.zeros(4, dtype=torch.long), 1
        )
        rejected = follow(model, still.to(device), empty).presence <= 0
        _add(found, "click_0", _ious(by_click.masks[:, :1], truth[:, :1]))
        _add(found, "click", _ious(by_click.masks[:, 1:], truth[:, 1:]))
        _add(found, "click_last", _ious(by_click.masks[:, -3:], truth[:, -3:]))
        _add(found, "box_0", _ious(by_box.masks[:, :1], truth[:, :1]))
        _add(found, "box", _ious(by_box.masks[:, 1:], truth[:, 1:]))
        _add(found, "copy", _ious(np.repeat(truth[:, :1], truth.shape[1] - 1, 1), truth[:, 1:]))
        gone = ~truth.any((2, 3))
        _add(found, "absent", (by_click.presence[gone] <= 0).tolist())
        _add(found, "present", (by_click.presence[~gone] > 0).tolist())
        _add(found, "background", rejected.ravel().tolist())
    return {name: round(float(np.mean(values)), 3) for name, values in found.items() if values}


def _ious(guess: np.ndarray, truth: np.ndarray) -> list[float]:
    """IoU of each row's frames on which the object shows."""
    shown = truth.any((2, 3))
    overlap = (guess & truth).sum((2, 3))[shown]
    return (overlap / np.maximum((guess | truth).sum((2, 3))[shown], 1)).tolist()


def _add(found: dict[str, list[float]], name: str, values: list[Any]) -> None:
    found.setdefault(name, []).extend(float(value) for value in values)
