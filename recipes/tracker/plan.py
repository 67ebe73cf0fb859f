"""What the training does and for how long: phases from single pictures to longer and larger clips."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from recipes.tracker.batches import Draw
from recipes.tracker.steps import PromptMix


@dataclass(frozen=True, slots=True)
class Phase:
    """``steps`` steps on clips drawn as ``clips``, except for ``still_share`` of them on single pictures.

    The learning rate goes from ``rate`` to ``end_rate`` along half a cosine; the probability that a memory is
    made from the true mask goes linearly from ``true_memory[0]`` to ``true_memory[1]``.
    """

    name: str
    steps: int
    clips: Draw
    stills: Draw
    rate: float
    end_rate: float
    still_share: float = 0.22
    true_memory: tuple[float, float] = (1.0, 1.0)
    warm_up: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate at ``step`` of this phase."""
        fall = 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0)))
        rate = self.end_rate + (self.rate - self.end_rate) * fall
        return rate * min(1.0, (step + 1) / self.warm_up) if self.warm_up else rate

    def true_memory_at(self, step: int) -> float:
        """Probability of a memory from the true mask at ``step`` of this phase."""
        start, end = self.true_memory
        return start + (end - start) * min(step / self.steps, 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Phases in order, the optimiser's settings and how much of each kind of clip is drawn."""

    phases: tuple[Phase, ...]
    mix: PromptMix = field(default_factory=PromptMix)
    weight_decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.98)
    clip_norm: float = 1.0
    mean_decay: float = 0.99  # of the running mean of the weights that is evaluated and exported
    texture_share: float = 0.3  # part of class-agnostic clips, when there are any
    wide_share: float = 0.0  # part of clips of the widened world, when there are any
    cutout_share: float = 0.0  # part of clips of cut-out pictures, when there are any

    @property
    def steps(self) -> int:
        """Steps of all phases together."""
        return sum(phase.steps for phase in self.phases)

    def shares(self, rendered: Collection[str]) -> dict[str, float]:
        """How much of each kind of clip is drawn; what was not rendered is stood in for by the next kind before it."""
        wanted = {"cutout": self.cutout_share, "wide": self.wide_share, "texture": self.texture_share}
        found, missing = {"world": 1 - sum(wanted.values())}, 0.0
        for name, share in wanted.items():
            share += missing
            missing = 0.0 if name in rendered else share
            if name in rendered and share > 0:
                found[name] = share
        return found

    def at(self, step: int) -> tuple[Phase, int]:
        """The phase of a step and the step's number inside it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise ValueError("plan: the step lies behind the last phase")


def _clips(size_px: int, clips: int, length: int, objects: int = 2) -> Draw:
    return Draw(size_px, clips, length, objects)


def _views(size_px: int, clips: int, length: int) -> Draw:
    return Draw(size_px, clips, length, 2, window_share=0.55)


def _windows(size_px: int, clips: int, length: int) -> Draw:
    return Draw(size_px, clips, length, 2, window_share=0.75)


def _stills(size_px: int, clips: int) -> Draw:
    return Draw(size_px, clips, 1, 3, window_share=0.55)


FOOTAGE_MIX = PromptMix(click=0.4, box=0.52, mask=0.08, background=0.35)

PLANS = {
    "embedded": Plan(
        (
            Phase("stills", 900, _clips(128, 1, 1), _clips(128, 10, 1, 3), 1e-3, 7e-4, 1.0, warm_up=60),
            Phase("pairs", 600, _clips(128, 5, 2), _clips(128, 8, 1, 3), 6e-4, 6e-4, 0.25, (1.0, 0.8), 30),
            Phase("fours", 900, _clips(128, 3, 4), _clips(128, 8, 1, 3), 6e-4, 5e-4, 0.22, (0.8, 0.4)),
            Phase("large", 1150, _clips(160, 3, 4), _clips(160, 6, 1, 3), 5e-4, 1.5e-4, 0.25, (0.4, 0.2)),
            Phase("sixes", 600, _clips(160, 2, 6), _clips(160, 6, 1, 3), 1.5e-4, 0.0, 0.2, (0.2, 0.1)),
        )
    ),
    # Goes on from the weights of "embedded": half of the views are search windows, things are cut out of pictures.
    "footage": Plan(
        (
            Phase("quick", 1900, _views(128, 4, 4), _stills(128, 8), 5e-4, 4e-4, 0.35, (0.8, 0.4), 60),
            Phase("eights", 600, _views(128, 2, 8), _stills(128, 8), 4e-4, 3e-4, 0.25, (0.4, 0.2)),
            Phase("large", 850, _views(160, 2, 6), _stills(160, 6), 3e-4, 0.0, 0.25, (0.2, 0.1)),
        ),
        mix=FOOTAGE_MIX,
        texture_share=0.0,
        wide_share=0.2,
        cutout_share=0.5,
    ),
    # Goes on from the weights of "footage": most views are search windows, as in service, and who is gone weighs more.
    "polish": Plan(
        (Phase("polish", 480, _windows(160, 2, 6), _stills(160, 6), 2.5e-4, 0.0, 0.2, (0.15, 0.05), 30),),
        mix=replace(FOOTAGE_MIX, absent_weight=6.0),
        texture_share=0.0,
        wide_share=0.2,
        cutout_share=0.45,
    ),
    "smoke": Plan(
        (
            Phase("stills", 2, _clips(64, 1, 1), _clips(64, 2, 1), 1e-3, 1e-3, 1.0),
            Phase("pairs", 2, _clips(64, 2, 2), _clips(64, 2, 1), 6e-4, 0.0, 0.0, (0.5, 0.5)),
        )
    ),
}
