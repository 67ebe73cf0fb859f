"""Train the embedded captioner (PixelRefer-Lite, about 4.7 million parameters) from scratch on the synthetic world.

    python -m recipes.train_captioner --run RUN_FOLDER --out weights/captioner-embedded

Four steps, each of which goes on where it was interrupted: make clips, of the synthetic world and of nameless things;
stage 1, the vision encoder by dense labels; cache features of the frozen encoder; stage 2, region encoder and language
model on questions and answers. ``--start`` begins with what an earlier captioner knows. Afterwards
`recipes.calibrate_captioner` finds out how sure its words are.
One CPU thread by default; ``--device cuda`` trains on a GPU. The run folder holds clips, caches and training
states (safetensors) and may be deleted afterwards.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

from modeling.pixelrefer.model import PixelReferLite
from recipes.captioner.cache import CachedFeatures, read_cache, write_cache
from recipes.captioner.clips import STRANGERS, make_clips
from recipes.captioner.encoder_stage import DenseModel, train_encoder
from recipes.captioner.export import export_captioner
from recipes.captioner.language_stage import train_language
from recipes.captioner.network import new_network
from recipes.captioner.progress import load_state
from recipes.captioner.warm_start import warm_start
from recipes.captioner.words import build_tokenizer

FOREVER = 1_000_000
"""Steps of a stage that is bounded by time alone."""


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    clips: int
    strangers: int
    seed: int
    start: Path | None
    encoder_steps: int
    language_steps: int
    encoder_minutes: float | None
    language_minutes: float | None


def train(run: Path, out: Path, plan: Plan, device: torch.device) -> PixelReferLite:
    """All steps, from clips to the model folder."""
    run.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    network = new_network(len(tokenizer), plan.seed).to(device)
    if plan.start is not None:
        warm_start(network, tokenizer, plan.start)
    clips = make_clips(run / "clips", "train", plan.seed * FOREVER, plan.clips)
    strange = make_clips(run / "clips", STRANGERS, plan.seed * FOREVER, plan.strangers)
    if not (run / "encoder.done").exists():
        train_encoder(
            network,
            run / "clips",
            run / "encoder.safetensors",
            plan.encoder_steps,
            plan.seed,
            device,
            plan.encoder_minutes,
        )
        (run / "encoder.done").touch()
    load_state(run / "encoder.safetensors", DenseModel(network))
    write_cache(network, [*clips, *strange], run / "features", plan.seed)
    cached: CachedFeatures = read_cache(run / "features")
    train_language(
        network,
        cached,
        tokenizer,
        run / "language.safetensors",
        plan.language_steps,
        plan.seed,
        device,
        plan.language_minutes,
    )
    export_captioner(network, tokenizer, out)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder for clips, caches and training states"
    )
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--strangers", type=int, default=700, help="clips of nameless things")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder of an earlier captioner to begin with")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--encoder-steps", type=int, default=1500)
    parser.add_argument("--language-steps", type=int, default=3000)
    parser.add_argument("--encoder-minutes", type=float, help="end stage 1 after this time at the latest")
    parser.add_argument("--language-minutes", type=float, help="end stage 2 after this time at the latest")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    plan = Plan(
        clips=chosen.clips,
        strangers=chosen.strangers,
        seed=chosen.seed,
        start=chosen.start,
        encoder_steps=chosen.encoder_steps,
        language_steps=chosen.language_steps,
        encoder_minutes=chosen.encoder_minutes,
        language_minutes=chosen.language_minutes,
    )
    train(chosen.run, chosen.out, plan, torch.device(chosen.device))


if __name__ == "__main__":
    main()
