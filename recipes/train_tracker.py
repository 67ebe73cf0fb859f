"""Train the embedded tracker, a SAM 2 of 4.0 M parameters, from scratch on the synthetic world.

    python -m recipes.train_tracker --run RUN                  # CPU, one thread: an hour and a half on a crowded core
    python -m recipes.train_tracker --run RUN --device cuda
    python -m recipes.train_tracker --run RUN --plan footage --warm W --cutouts 1300 --pictures FOLDER --wide 500
    python -m recipes.train_tracker --run RUN --export weights/tracker-embedded --windows

The run folder holds rendered clips (``data/``), the training state (``training.safetensors``, every few minutes)
and ``curve.jsonl``. Started again on the same folder it goes on where it was, step for step as if never stopped.
Losses, start values and phases follow the notes in ``recipes/tracker``; the network is ``modeling.sam2``.
"""

from __future__ import annotations

import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from modeling.sam2.build import at_image_size, build_tracker, tracker_config
from modeling.sam2.window import FLOW
from recipes.arguments import (
    add_machine,
    existing_file,
    existing_folder,
    new_folder,
    not_negative_int,
    positive_float,
    positive_int,
    recipe_parser,
    told_in_one_line,
)
from recipes.tracker.batches import draw_batch
from recipes.tracker.check import check
from recipes.tracker.checkpoints import State, export_weights, load_training, save_training, warm_start
from recipes.tracker.clips import Amounts, open_data, render_data
from recipes.tracker.losses import Helpers
from recipes.tracker.plan import PLANS, Phase, Plan
from recipes.tracker.start_values import set_start_values
from recipes.tracker.steps import clip_loss, stills_loss
from recipes.tracker.store import ClipStore

SAVE_EVERY_S = 300
CONFIG = tracker_config(embed_dim=32, stages=(1, 1, 3, 1), d_model=128, mem_dim=64, image_size=128)


@dataclass
class Training:
    """Everything that changes while training. ``size_px`` is the input size the network is built for."""

    model: nn.Module
    helpers: Helpers
    mean: State
    optimiser: torch.optim.Optimizer
    size_px: int
    step: int = 0
    minutes: float = 0.0

    def resized(self, size_px: int, plan: Plan) -> Training:
        """The same training on a network built for another input size."""
        model = build_tracker(at_image_size(CONFIG, size_px)).to(next(self.model.parameters()).device)
        model.load_state_dict(self.model.state_dict())
        optimiser = _optimiser(model, self.helpers, plan)
        optimiser.load_state_dict(self.optimiser.state_dict())
        return Training(model, self.helpers, self.mean, optimiser, size_px, self.step, self.minutes)


def begin(plan: Plan, seed: int, device: torch.device, warm: Path | None = None) -> Training:
    """A training at step 0; from the exported weights ``warm`` where there are any."""
    torch.manual_seed(seed)
    size_px = plan.phases[0].stills.size_px
    model = build_tracker(at_image_size(CONFIG, size_px))
    set_start_values(model)
    if warm is not None and (left := warm_start(model, warm)):
        raise ValueError(f"warm start: {warm} has not {len(left)} of the network's tensors: {left[:3]}")
    model.to(device)
    helpers = Helpers(model.hidden_dim, model.hidden_dim // 8).to(device)
    mean = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return Training(model, helpers, mean, _optimiser(model, helpers, plan), size_px)


def train_step(training: Training, plan: Plan, data: dict[str, ClipStore], seed: int) -> dict[str, float]:
    """One step of the plan; returns figures for the log. Draws depend on the seed and the step alone."""
    phase, inner = plan.at(training.step)
    rng = np.random.default_rng((seed, training.step))
    still = rng.random() < phase.still_share
    shares = plan.shares(data)
    stores = [data[name] for name in shares]
    batch = draw_batch(stores, list(shares.values()), phase.stills if still else phase.clips, rng)
    batch = batch.to(next(training.model.parameters()).device)
    if still:
        loss, figures = stills_loss(training.model, training.helpers, batch, plan.mix, rng)
    else:
        chance = phase.true_memory_at(inner)
        loss, figures = clip_loss(training.model, training.helpers, batch, plan.mix, chance, rng)
    norm = _descend(training, loss, phase.rate_at(inner), plan)
    return {"still_loss" if still else "clip_loss": float(loss.detach()), "norm": norm, **figures}


def _descend(training: Training, loss: torch.Tensor, rate: float, plan: Plan) -> float:
    """One optimiser step and the running mean of the weights; returns the gradient's norm before clipping."""
    for group in training.optimiser.param_groups:
        group["lr"] = rate
    training.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in training.optimiser.param_groups for p in group["params"]]
    norm = float(nn.utils.clip_grad_norm_(parameters, plan.clip_norm))
    if not np.isfinite(norm):
        raise FloatingPointError(f"training: the gradient is not finite at step {training.step}")
    training.optimiser.step()
    training.step += 1
    keep = min(plan.mean_decay, training.step / (training.step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(
            list(training.mean.values()), list(training.model.state_dict().values()), 1 - keep
        )
    return norm


def _optimiser(model: nn.Module, helpers: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    parameters = [*model.parameters(), *helpers.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3, betas=plan.betas, fused=True)


def save(training: Training, run: Path, plan_name: str) -> None:
    """Write the training state into the run folder."""
    about = {
        "step": training.step,
        "minutes": training.minutes,
        "size_px": training.size_px,
        "plan": plan_name,
    }
    save_training(
        run / "training.safetensors",
        training.model,
        training.helpers,
        training.mean,
        training.optimiser,
        about,
    )


def resume(run: Path, plan: Plan, seed: int, device: torch.device, warm: Path | None = None) -> Training:
    """The training saved in the run folder, or a new one."""
    training, path = begin(plan, seed, device, warm), run / "training.safetensors"
    if not path.is_file():
        return training
    about = load_training(path, training.model, training.helpers, training.mean, training.optimiser)
    training.step, training.minutes = about["step"], about["minutes"]
    return training if about["size_px"] == training.size_px else training.resized(about["size_px"], plan)


def mean_model(training: Training) -> nn.Module:
    """A network with the running mean of the weights, at the training's input size."""
    model = build_tracker(at_image_size(CONFIG, training.size_px)).to(
        next(training.model.parameters()).device
    )
    model.load_state_dict(training.mean)
    return model


def train(
    run: Path,
    plan_name: str,
    seed: int,
    device: torch.device,
    stop_after_min: float,
    check_every: int,
    warm: Path | None = None,
) -> None:
    """Train until the plan or the time is over, or SIGTERM asks to save and end."""
    plan, data = PLANS[plan_name], open_data(run / "data")
    training = resume(run, plan, seed, device, warm)
    stop_s, saved_s = time.monotonic() + 60 * stop_after_min, time.monotonic()
    seen: dict[str, list[float]] = {}
    asked = _stop_when_asked()
    while training.step < plan.steps and time.monotonic() < stop_s and not asked:
        phase, _ = plan.at(training.step)
        if phase.clips.size_px != training.size_px:
            training = training.resized(phase.clips.size_px, plan)
        began_s = time.monotonic()
        for name, value in train_step(training, plan, data, seed).items():
            seen.setdefault(name, []).append(value)
        training.minutes += (time.monotonic() - began_s) / 60
        if training.step % 50 == 0:
            seen = _log(run, training, phase, seen)
        if training.step % check_every == 0:
            figures = check(mean_model(training), data["check"], 8, 16, training.size_px)
            _log(run, training, phase, {name: [value] for name, value in figures.items()}, "check")
        if time.monotonic() - saved_s > SAVE_EVERY_S:
            save(training, run, plan_name)
            saved_s = time.monotonic()
    save(training, run, plan_name)


def _stop_when_asked() -> list[int]:
    """A list that is empty until the process is asked to end."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    return asked


def _log(
    run: Path, training: Training, phase: Phase, seen: dict[str, list[float]], kind: str = "train"
) -> dict[str, list[float]]:
    """Append one line to ``curve.jsonl`` and print it; returns an empty collection for the next lines."""
    line = {"kind": kind, "phase": phase.name, "step": training.step, "minutes": round(training.minutes, 2)}
    line |= {name: round(float(np.mean(values)), 4) for name, values in seen.items()}
    with (run / "curve.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(" ".join(f"{key}={value}" for key, value in line.items()), flush=True)
    return {}


def main() -> None:
    """Command line."""
    parser = recipe_parser("train_tracker", __doc__)
    parser.add_argument("--run", type=new_folder, required=True, help="run folder")
    parser.add_argument("--plan", choices=sorted(PLANS), default="embedded")
    parser.add_argument("--warm", type=existing_file, help="weights.safetensors to begin a new run with")
    parser.add_argument("--seed", type=not_negative_int, default=1)
    add_machine(parser)
    parser.add_argument("--clips", type=positive_int, default=2400, help="clips of the world to render")
    parser.add_argument(
        "--textures", type=not_negative_int, default=1000, help="class-agnostic clips to render"
    )
    parser.add_argument(
        "--wide", type=not_negative_int, default=0, help="clips of the widened world to render"
    )
    parser.add_argument(
        "--cutouts", type=not_negative_int, default=0, help="clips of cut-out pictures to render"
    )
    parser.add_argument(
        "--pictures", type=existing_folder, help="folder of cut-outs and photographs for --cutouts"
    )
    parser.add_argument(
        "--stop-after-min", type=positive_float, default=1e9, help="minutes after which this call ends"
    )
    parser.add_argument("--check-every", type=positive_int, default=800, help="steps between checks")
    parser.add_argument(
        "--export", type=new_folder, help="write the saved training's weights here, and train no further"
    )
    parser.add_argument(
        "--windows", action="store_true", help="export a configuration with search windows and optical flow"
    )
    parser.add_argument(
        "--export-size", type=positive_int, default=160, help="input size in the exported configuration"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    plan = PLANS[options.plan]
    with told_in_one_line(parser, SafetensorError):  # before the long work
        if options.export:
            training = resume(options.run, plan, options.seed, options.device)
            tree = at_image_size(CONFIG, options.export_size)
            windowed = {"model": tree, "search_window": {FLOW: {}}}
            export_weights(options.export, training.mean, windowed if options.windows else tree)
            return
        begin(plan, options.seed, options.device, options.warm)
        amounts = Amounts(options.clips, options.textures, options.wide, options.cutouts, options.pictures)
        render_data(options.run / "data", amounts)
    train(
        options.run,
        options.plan,
        options.seed,
        options.device,
        options.stop_after_min,
        options.check_every,
        options.warm,
    )


if __name__ == "__main__":
    main()
