"""Compare compressions of a clip's scene by the quality of captions on the synthetic world, and by scene tokens.

    python -m recipes.compare_compression --run RUN_FOLDER [--start weights/captioner-embedded] [--json]

Four steps, each of which goes on where it was interrupted: clips of the synthetic world, cut in two so that the second
half has a past; features of the frozen encoder; training of a small captioner with scene tokens (PixelRefer), begun
with the parts of the embedded one, on a mixture of all settings, so that each is judged on a network that knows it;
greedy sentences about the same held-out objects in each setting. ``--alone`` trains another network on ``none`` only
(rows ``(none alone)``), to see what the mixture costs, and what 4 x 4 does to a network that never saw it.

Settings: :mod:`recipes.compression.settings`. Measures are those of `recipes.evaluate_captioner`, with 95% intervals
from resampling clips, and the change against ``none``. Objects are shown by up to three masks, and again by their first
alone (rows ``, 1 mask``), so that the scene must tell the rest. Keys of the JSON output: ``clips``, ``objects``,
``train_clips``, ``steps`` (of training), ``seed``, ``start``; ``rows``: of each setting ``scene_tokens`` and
``prompt_tokens`` (means of an answer), the measures of ``all`` objects, of the ``past`` ones (that moved or did
something before the clip began) and of the ``cut`` ones (whose motion ends soon after that besides), and ``misled``:
what wrong names in the last sentence did (`recipes.compression.scores.misled`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.arguments import (
    existing_folder,
    new_folder,
    not_negative_int,
    positive_float,
    positive_int,
    recipe_parser,
    told_in_one_line,
)
from recipes.captioner.clips import make_clips
from recipes.captioner.progress import load_state
from recipes.compression.answers import Answerer, answer_all
from recipes.compression.cache import Features, write_features
from recipes.compression.network import new_scene_network, scene_tokenizer
from recipes.compression.scores import JUDGED, SUBSETS, costs, misled, report
from recipes.compression.settings import MOST_MASKS, OWN_PROJECTOR, SETTINGS, Setting, named
from recipes.compression.training import Trainee, train_scene_captioner

START = Path(__file__).resolve().parents[1] / "weights" / "captioner-embedded"
HELD_OUT_SEED = 910_000
SINGLE = ("none", "4x4", "4x4+carry")
"""Settings asked again with one mask an object."""


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    train_clips: int = 850
    held_out_clips: int = 300
    steps: int = 1500
    minutes: float | None = None
    seed: int = 0
    alone: bool = False
    own_projector: bool = False


def compare(run: Path, start: Path | None, plan: Plan, clips: Path | None = None) -> dict:
    """All steps, from clips to the table."""
    run.mkdir(parents=True, exist_ok=True)
    folder, tokenizer = clips or run / "clips", scene_tokenizer()
    train = make_clips(folder, "train", plan.seed, plan.train_clips)
    held_out = make_clips(folder, "held_out", HELD_OUT_SEED, plan.held_out_clips)
    network = new_scene_network(tokenizer, start, plan.seed)
    write_features(network, train, run / "features_train", plan.seed)
    write_features(network, held_out, run / "features_held_out", plan.seed, held_out=True)
    answers: dict[str, list[dict]] = {}
    for name, (learned, asked) in _networks(plan).items():
        answerer = _trained(run, start, plan, tokenizer, name, learned)
        for setting, masks, title in _asked(asked):
            path = run / "answers" / f"{name} {title}.jsonl"
            label = title if name == "mixture" else f"{title} ({name})"
            answers[label] = answer_all(answerer, setting, masks, path)
    return {
        "clips": len({record["clip"] for record in answers["none"]}),
        "objects": len(answers["none"]),
        "train_clips": plan.train_clips,
        "steps": steps_done(run / "mixture.safetensors"),
        "seed": plan.seed,
        "start": str(start),
        "rows": rows(answers),
    }


def steps_done(state: Path) -> int:
    """Steps behind a training state."""
    with safe_open(state, "pt") as file:
        return json.loads(file.metadata()["step"])


def _networks(plan: Plan) -> dict[str, tuple[tuple[Setting, ...], tuple[Setting, ...]]]:
    """Which networks are trained: the settings each learns, and those it is asked in."""
    mixture = (*SETTINGS, *OWN_PROJECTOR) if plan.own_projector else SETTINGS
    networks = {"mixture": (mixture, mixture)}
    if plan.alone:
        networks["none alone"] = (named("none"),), tuple(named(name) for name in SINGLE)
    return networks


def _trained(
    run: Path,
    start: Path | None,
    plan: Plan,
    tokenizer: WordTokenizer,
    name: str,
    settings: tuple[Setting, ...],
) -> Answerer:
    """A network trained on these settings, ready to answer."""
    network, state = new_scene_network(tokenizer, start, plan.seed), run / f"{name}.safetensors"
    done = run / f"{name}.done"
    if done.exists():
        trainee = Trainee(network, tokenizer)
        load_state(state, trainee)
        projection = trainee.projection
    else:
        features = Features(run / "features_train")
        projection = train_scene_captioner(
            network, features, tokenizer, settings, state, plan.steps, plan.seed, plan.minutes
        )
        done.touch()
    return Answerer(network, projection, Features(run / "features_held_out"), tokenizer)


def _asked(settings: tuple[Setting, ...]) -> list[tuple[Setting, int, str]]:
    """Each setting with its number of masks and its title in the table."""
    single = [(setting, 1, f"{setting.name}, 1 mask") for setting in settings if setting.name in SINGLE]
    return [(setting, MOST_MASKS, setting.name) for setting in settings] + single


def rows(answers: dict[str, list[dict]]) -> dict[str, dict]:
    """The table: each set of answers against ``none`` with as many masks."""
    table = {}
    for title, records in answers.items():
        base = answers["none, 1 mask" if ", 1 mask" in title else "none"]
        table[title] = costs(records) | {subset: report(records, base, subset) for subset in SUBSETS}
        table[title]["misled"] = misled(records, base)
    return table


def lines(found: dict) -> list[str]:
    """The JSON as a table: shares in percent, and changes against ``none`` where they are beyond chance (*)."""
    head = ["setting", "objects", "scene", "prompt", *JUDGED]
    out = [
        f"{found['objects']} objects of {found['clips']} held-out clips, {found['steps']} steps of training"
    ]
    for subset in SUBSETS:
        out += ["", f"[{subset}]", " | ".join(head)]
        for title, row in found["rows"].items():
            cells = [_cell(row[subset].get(measure)) for measure in JUDGED]
            count = max((entry["cases"] for entry in row[subset].values()), default=0)
            out.append(
                " | ".join(
                    [title, str(count), f"{row['scene_tokens']:g}", f"{row['prompt_tokens']:g}", *cells]
                )
            )
    return out


def _cell(entry: dict | None) -> str:
    if entry is None:
        return "-"
    low, high = entry["interval"]
    below, above = entry["change_interval"]
    star = "*" if below > 0 or above < 0 else ""
    return f"{100 * entry['share']:.1f} ({100 * low:.0f}-{100 * high:.0f}){star}"


def main() -> None:
    parser = recipe_parser("compare_compression", __doc__)
    parser.add_argument(
        "--run", type=new_folder, required=True, help="folder for features, states and answers"
    )
    parser.add_argument(
        "--clips", type=new_folder, help="folder of stored clips (default: in the run folder)"
    )
    parser.add_argument("--start", type=existing_folder, default=START, help="model folder to begin with")
    parser.add_argument("--train-clips", type=positive_int, default=Plan.train_clips)
    parser.add_argument("--held-out-clips", type=positive_int, default=Plan.held_out_clips)
    parser.add_argument("--steps", type=positive_int, default=Plan.steps)
    parser.add_argument("--minutes", type=positive_float, help="end a training after this time at the latest")
    parser.add_argument("--seed", type=not_negative_int, default=0)
    parser.add_argument("--alone", action="store_true", help="also train a network on `none` only")
    parser.add_argument("--own-projector", action="store_true", help="also 4 x 4 with a projector of its own")
    parser.add_argument("--threads", type=positive_int, default=1, help="CPU threads")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    plan = Plan(
        chosen.train_clips,
        chosen.held_out_clips,
        chosen.steps,
        chosen.minutes,
        chosen.seed,
        chosen.alone,
        chosen.own_projector,
    )
    with told_in_one_line(parser, SafetensorError):
        found = compare(chosen.run, chosen.start, plan, chosen.clips)
    print(json.dumps(found, indent=1) if chosen.json else "\n".join(lines(found)))


if __name__ == "__main__":
    main()
