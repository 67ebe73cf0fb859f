"""Save and load a training in one safetensors file: weights, helpers, running mean, optimiser, step.

Written beside and moved into place, so that an interrupted write leaves the earlier file whole.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

State = dict[str, torch.Tensor]


def save_training(
    path: Path,
    model: nn.Module,
    helpers: nn.Module,
    mean: State,
    optimiser: torch.optim.Optimizer,
    about: dict,
) -> None:
    """Write everything a resumed run needs; ``about`` is plain JSON (step, minutes, plan)."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"helpers.{name}": value for name, value in helpers.state_dict().items()}
    tensors |= {f"mean.{name}": value for name, value in mean.items()}
    for number, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{slot}": value for slot, value in slots.items()}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    _replace(path, tensors, {"about": json.dumps(about)})


def load_training(
    path: Path, model: nn.Module, helpers: nn.Module, mean: State, optimiser: torch.optim.Optimizer
) -> dict:
    """Restore what :func:`save_training` wrote, in place; returns ``about``."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        about = json.loads(file.metadata()["about"])
    model.load_state_dict(_part(tensors, "model."))
    helpers.load_state_dict(_part(tensors, "helpers."))
    for name, value in _part(tensors, "mean.").items():
        mean[name].copy_(value)
    state: dict[int, State] = {}
    for key, value in _part(tensors, "optimiser.").items():
        number, slot = key.split(".")
        state.setdefault(int(number), {})[slot] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return about


def warm_start(model: nn.Module, path: Path) -> list[str]:
    """Take over the tensors of exported weights whose names and shapes agree; returns the names left as they were."""
    if not path.is_file():
        raise FileNotFoundError(f"warm start: {path} is not there")
    wanted, found = model.state_dict(), load_file(path)
    agreeing = {name: x for name, x in found.items() if name in wanted and x.shape == wanted[name].shape}
    model.load_state_dict({name: x.float() for name, x in agreeing.items()}, strict=False)
    return sorted(set(wanted) - set(agreeing))


def export_weights(folder: Path, mean: State, config: dict) -> None:
    """``weights.safetensors`` (half precision) and ``config.json`` as the serving code loads them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().half().contiguous().clone() for name, value in mean.items()}
    _replace(folder / "weights.safetensors", tensors, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _part(tensors: State, prefix: str) -> State:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _replace(path: Path, tensors: State, metadata: dict[str, str]) -> None:
    fresh = path.with_suffix(".new")
    save_file(tensors, fresh, metadata)
    fresh.chmod(0o644)
    fresh.replace(path)
