"""Whose word counts on a new picture, the network's or that of optical flow (:mod:`modeling.sam2.carry`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modeling.sam2.boxes import box_iou
from modeling.sam2.carry import Carried, CarrySettings, take_patch
from modeling.sam2.followed import Followed
from modeling.sam2.network import Network
from modeling.sam2.policy import Policy
from modeling.sam2.sight import Sight
from modeling.sam2.values import Step
from modeling.sam2.window import extent

CARRIED_PRESENCE = 5.0
"""Presence logit of what is only carried: surely in view, if not by the network's own word."""


def settle(network: Network, held: Followed, sight: Sight, now: int, policy: Policy, step: Step) -> Step:
    """The step as it is to be told, and kept for the next picture.

    Where most points of the object moved on together, but the network has its mask elsewhere or none, the mask is
    carried; it is shown to the network as this picture's answer, so that what follows is looked for by its looks.
    """
    settings = sight.carrying
    if settings is None:
        return step
    ahead, patch = held.ahead, held.patch
    box, times = shown_box(step), 0
    if ahead is not None and patch is not None and _is_trusted(ahead, box, patch.carried, settings):
        mask = ahead.mask(patch, sight.shape, step.mask.shape)
        if mask.any():
            step, times = replace(step, mask=mask, presence=CARRIED_PRESENCE), patch.carried + 1
            box = shown_box(step)
            _remember(network, held, sight, now, policy, mask)
    keep(held, sight, step, box, times)
    return step


def keep(held: Followed, sight: Sight, step: Step, box: np.ndarray | None, times: int = 0) -> None:
    """Keep what the object looks like here, for the flow to the next picture."""
    held.ahead = None
    held.patch = None if box is None else take_patch(sight.grey, step.mask, box, times)


def shown_box(step: Step) -> np.ndarray | None:
    """The box of a step's mask without its strays, None for what is out of view."""
    return extent(step.mask) if step.presence > 0 else None


def _is_trusted(ahead: Carried, box: np.ndarray | None, times: int, settings: CarrySettings) -> bool:
    if ahead.agreeing < settings.trust or times >= settings.patience or not ahead.is_in_view:
        return False
    return box is None or box_iou(ahead.box, box) < settings.agreement


def _remember(
    network: Network, held: Followed, sight: Sight, now: int, policy: Policy, mask: np.ndarray
) -> None:
    """Put the carried mask into the place of what the network has seen on this picture."""
    view = sight.view_of(held)
    outcome = network.prompt(sight.maps(view), sight.mask(mask, view))
    if policy.is_official or now in held.memory.features:
        held.memory.record(now, outcome.entry(0))
    held.note(outcome, 0, now)
    sight.refocus(held, outcome, 0)
