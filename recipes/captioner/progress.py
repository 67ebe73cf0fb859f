"""Training state on disk (safetensors, written whole or not at all) and the learning-rate curve."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

SAVE_EVERY_S = 300.0
Parts = dict[str, float]
"""Named figures of one step: parts of its loss, shares of right answers."""


def rate_at(done: float, peak: float, warm: float = 0.03, floor: float = 0.02) -> float:
    """Learning rate at a share ``done`` (0..1) of a stage: short warm-up, then a cosine down to a small rest."""
    if done < warm:
        return peak * max(done, 1e-4) / warm
    part = min(1.0, (done - warm) / (1 - warm))
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * part)))


def make_optimizer(module: nn.Module, decay: float) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices only."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), fused=True)


def save_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimizer moments and the step number."""
    tensors = {f"module.{name}": value.contiguous() for name, value in module.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    partial = path.with_suffix(".partial")
    save_file({k: v.detach().cpu().clone() for k, v in tensors.items()}, partial, {"step": json.dumps(step)})
    partial.rename(path)


def load_state(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Read what :func:`save_state` wrote into ``module`` and ``optimizer``; returns the step number.

    Raises ValueError naming a file that is no such state.
    """
    try:
        with safe_open(path, "pt") as file:
            step = json.loads(file.metadata()["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, KeyError, TypeError) as fault:
        raise ValueError(f"{path} is no training state ({fault}): delete it to begin anew") from None
    module.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("module.")})
    if optimizer is not None:
        optimizer.load_state_dict(optimizer.state_dict() | {"state": _moments(tensors)})
    return step


def _moments(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            state.setdefault(int(number), {})[key] = value
    return state


class Stage:
    """One stage's clock, steps and saves: it ends after ``steps`` steps or ``minutes`` of training, if given."""

    def __init__(
        self,
        path: Path,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        peak: float,
        steps: int,
        minutes: float | None = None,
    ) -> None:
        self.path, self.module, self.optimizer, self.peak, self.steps = path, module, optimizer, peak, steps
        self.minutes = minutes
        self.step = load_state(path, module, optimizer) if path.exists() else 0
        self.first, self.started = self.step, time.monotonic()
        self._saved = self.started

    @property
    def done(self) -> float:
        """Share of the stage behind us, 0..1, by steps or by time, whichever is further."""
        shares = [self.step / self.steps]
        if self.minutes is not None:
            shares.append((time.monotonic() - self.started) / 60 / self.minutes)
        return min(1.0, max(shares))

    def apply(self, loss: Tensor) -> None:
        """One optimizer step; saves when it is time. Raises FloatingPointError for a loss that is no number."""
        if not torch.isfinite(loss):
            raise FloatingPointError(f"{self.path.stem}: the loss is {loss.item()} at step {self.step}")
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.done, self.peak)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        if time.monotonic() - self._saved > SAVE_EVERY_S:
            self.save()

    def run(self, learn: Callable[[int], tuple[Tensor, Parts]], name: str, log_every: int) -> None:
        """Step until the stage is over, then save. ``learn`` gives the loss of a step and figures for the log."""
        recent: list[Parts] = []
        while self.done < 1:
            loss, parts = learn(self.step)
            self.apply(loss)
            recent.append(parts)
            if self.step % log_every == 0:
                means = " ".join(f"{key} {fmean(part[key] for part in recent):.3f}" for key in parts)
                print(f"{name} step {self.step} {means} {self.seconds_a_step:.2f} s/step", flush=True)
                recent.clear()
        if self.step > self.first:
            self.save()

    def save(self) -> None:
        """Write the state now."""
        save_state(self.path, self.module, self.optimizer, self.step)
        self._saved = time.monotonic()

    @property
    def seconds_a_step(self) -> float:
        """Mean duration of a step of this run."""
        return (time.monotonic() - self.started) / max(1, self.step - self.first)
