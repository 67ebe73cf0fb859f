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

from dataclasses import dataclass
from pathlib import Path

import torch

from modeling.pixelrefer.model import PixelReferLite
from recipes.arguments import (
    add_machine,
    existing_folder,
    new_folder,
    not_negative_int,
    positive_float,
    positive_int,
    recipe_parser,
    told_in_one_line,
)
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


def begin(plan: Plan, device: torch.device) -> PixelReferLite:
    """The network before its first step. Raises ValueError or OSError for a start that is no captioner of words."""
    tokenizer = build_tokenizer()
    network = new_network(len(tokenizer), plan.seed).to(device)
    if plan.start is not None:
        warm_start(network, tokenizer, plan.start)
    return network


def train(network: PixelReferLite, run: Path, out: Path, plan: Plan, device: torch.device) -> None:
    """All steps, from clips to the model folder."""
    run.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
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


def main() -> None:
    """Command line."""
    parser = recipe_parser("train_captioner", __doc__)
    parser.add_argument(
        "--run", type=new_folder, required=True, help="folder for clips, caches and training states"
    )
    parser.add_argument("--out", type=new_folder, required=True, help="model folder to write")
    parser.add_argument("--clips", type=positive_int, default=2000)
    parser.add_argument("--strangers", type=not_negative_int, default=700, help="clips of nameless things")
    parser.add_argument("--seed", type=not_negative_int, default=0)
    parser.add_argument("--start", type=existing_folder, help="folder of an earlier captioner to begin with")
    add_machine(parser)
    parser.add_argument("--encoder-steps", type=positive_int, default=1500)
    parser.add_argument("--language-steps", type=positive_int, default=3000)
    parser.add_argument(
        "--encoder-minutes", type=positive_float, help="end stage 1 after this time at the latest"
    )
    parser.add_argument(
        "--language-minutes", type=positive_float, help="end stage 2 after this time at the latest"
    )
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
    with told_in_one_line(parser):
        network = begin(plan, chosen.device)
    train(network, chosen.run, chosen.out, plan, chosen.device)


if __name__ == "__main__":
    main()
