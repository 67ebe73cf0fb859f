"""Run a captioner on the public benchmarks of region captioning in video.

    python -m recipes.evaluate_videorefer --task TASK --data DIR --weights TIER [--limit N] [--json]

TIER is a name of ``streamrefer models list`` (``embedded``, ``pixelrefer-2b``, ...) or a model folder.

Tasks: ``bench-d`` and ``bench-q`` (VideoRefer-Bench), ``hc-stvg``, ``dlc`` (DLC-Bench), ``eoc`` (EOC-Bench),
``pam-streaming``. DIR is the data set as published; nothing is downloaded. The formats, and what of them could not be
checked, stand in the readers (``recipes/benchmarks``) and in docs/benchmarks.md.

Answers are written to OUT/TASK.jsonl as they come; the same command goes on where it was broken off. Where scores need
a judge (bench-d, dlc, the continuity of pam-streaming) give ``--judge-url`` and ``--judge-model``, an
OpenAI-compatible address; without them answers are written, and ``judged`` says so.

Keys of the JSON output: ``task``, ``run`` (weights, masks, how items are shown), ``answered``, ``failed`` with the
first ``faults``, ``judge``, ``judged`` and ``unjudged`` where a judge is needed, ``seconds_per_answer``, and the
task's ``scores``. Figures are comparable with published ones only if nothing failed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.history import previous_caption
from modeling.pixelrefer.questions import LONG_SIDE_PX, MAX_FRAMES
from modeling.pixelrefer.tokenizer import WordTokenizer
from modeling.weights import weights_id
from recipes.arguments import (
    add_machine,
    existing_file,
    existing_folder,
    new_folder,
    positive_float,
    positive_int,
    recipe_parser,
    told_in_one_line,
)
from recipes.benchmarks.answers import MOST_FAULTS_SHOWN, Record, answer_all
from recipes.benchmarks.bench_d_judge import description_scores, judge_description
from recipes.benchmarks.captions import caption_scores
from recipes.benchmarks.dlc_bench import dlc_scores, judge_dlc, read_dlc
from recipes.benchmarks.eoc_bench import eoc_scores, read_eoc
from recipes.benchmarks.hc_stvg import read_hc_stvg
from recipes.benchmarks.items import Framework, Item, Reading
from recipes.benchmarks.judge import Judge, JudgeError
from recipes.benchmarks.meteor_jar import MeteorError
from recipes.benchmarks.pam_streaming import by_video, judge_continuity, read_pam
from recipes.benchmarks.scenes import Showing, request_of
from recipes.benchmarks.videorefer_bench import choice_scores, read_bench_d, read_bench_q
from services.tiers import TIERS, TierUnusable, captioner_folder, find_tier

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
OUT = Path("runs/benchmarks")


@dataclass(frozen=True)
class Judging:
    """How a task is judged: units of records, the verdict on a unit, and the scores of all verdicts."""

    units: Callable[[list[Record]], list[Any]]
    verdict: Callable[[Judge, Any], Any]
    scores: Callable[[list[Any]], dict]


@dataclass(frozen=True)
class Task:
    """One benchmark: its reader, the scores that need no judge, and its judging."""

    read: Callable[[Path, Reading], Iterator[Item]]
    scores: Callable[[list[Record], Path | None], dict] | None = None
    judging: Judging | None = None


def _continuity(verdicts: list[float]) -> dict:
    return {"continuity": round(sum(verdicts) / len(verdicts), 4) if verdicts else None}


TASKS: dict[str, Task] = {
    "bench-d": Task(read_bench_d, judging=Judging(list, judge_description, description_scores)),
    "bench-q": Task(read_bench_q, lambda records, jar: choice_scores(records)),
    "hc-stvg": Task(read_hc_stvg, caption_scores),
    "dlc": Task(read_dlc, judging=Judging(list, judge_dlc, dlc_scores)),
    "eoc": Task(read_eoc, lambda records, jar: eoc_scores(records)),
    "pam-streaming": Task(read_pam, caption_scores, Judging(by_video, judge_continuity, _continuity)),
}


@dataclass(frozen=True)
class Speaker:
    """A captioner that answers items."""

    captioner: Captioner
    showing: Showing
    history: bool = False

    def __call__(self, item: Item, last: str) -> str:
        """The answer to an item; ``last`` is the one before it about the same video."""
        own = self.showing.own_words and item.describes
        showing = replace(self.showing, own_words=own)
        asked = item.question
        if self.history and not own:
            asked += f" {previous_caption(last)}"
        return self.captioner.describe(request_of(item, showing, None if own else asked)).text


def evaluate(
    task: Task, items: Iterator[Item], speaker: Speaker, path: Path, run: dict, jar: Path | None
) -> dict:
    """Answers and the scores that need no judge; ``records`` hold the answers."""
    answers = answer_all(items, speaker, path, run)
    seconds = [record["seconds"] for record in answers.records]
    return {
        "answered": len(answers.records),
        "failed": len(answers.faults),
        "faults": answers.faults[:MOST_FAULTS_SHOWN],
        "seconds_per_answer": round(sum(seconds) / len(seconds), 3) if seconds else None,
        "scores": task.scores(answers.records, jar) if task.scores else {},
        "records": answers.records,
    }


def judge_all(judging: Judging, records: list[Record], judge: Judge) -> dict:
    """Scores by the judge, and how many units it gave no usable reply on. Raises JudgeError."""
    verdicts = [judging.verdict(judge, unit) for unit in judging.units(records)]
    usable = [verdict for verdict in verdicts if verdict is not None]
    return {"judged": len(usable), "unjudged": len(verdicts) - len(usable), "scores": judging.scores(usable)}


def speaker_of(captioner: Captioner, chosen: argparse.Namespace) -> Speaker:
    """The captioner with the way things are shown to it."""
    small = isinstance(captioner.tokenizer, WordTokenizer)
    showing = Showing(
        framework=cast(Framework, captioner.network.config.framework),
        fps=chosen.fps,
        most_frames=chosen.max_frames,
        most_masks=MAX_FRAMES if small else 32,
        long_side_px=LONG_SIDE_PX if small else 8192,
        own_words=small if chosen.wording == "auto" else chosen.wording == "service",
        max_new_tokens=chosen.max_new_tokens,
    )
    return Speaker(captioner, showing, chosen.history == "text")


def folder_of(weights: str) -> Path:
    """The model folder of a tier, that folder itself, or the one of that name in weights/. Raises TierUnusable."""
    if find_tier(weights) is None and not Path(weights).is_dir():
        if (WEIGHTS / weights).is_dir():
            return WEIGHTS / weights
        tiers = ", ".join(tier.name for tier in TIERS)
        raise TierUnusable(f"'{weights}' is neither a model folder nor a captioner's name ({tiers})")
    return captioner_folder(weights, WEIGHTS)


def run_task(chosen: argparse.Namespace) -> dict:
    """One run of the command line. Raises ValueError, OSError, JudgeError, MeteorError."""
    task, folder = TASKS[chosen.task], folder_of(chosen.weights)
    captioner = Captioner.load(folder, chosen.device, getattr(torch, chosen.dtype) if chosen.dtype else None)
    speaker = speaker_of(captioner, chosen)
    framework = speaker.showing.framework
    masks = chosen.masks or ("all" if framework == "pixelreferlite" else "single")
    run = {"weights": weights_id(folder), "masks": masks, "history": chosen.history}
    run |= vars(speaker.showing)
    items = task.read(chosen.data, Reading(framework, masks, chosen.limit))
    result = evaluate(task, items, speaker, chosen.out / f"{chosen.task}.jsonl", run, chosen.meteor_jar)
    records = result.pop("records")
    if task.judging is not None:
        result |= {"judge": chosen.judge_model, "judged": 0, "unjudged": None}
        if chosen.judge_url:
            judge = Judge(chosen.judge_url, chosen.judge_model, chosen.out / "judge.jsonl")
            verdicts = judge_all(task.judging, records, judge)
            verdicts["scores"] = result["scores"] | verdicts["scores"]
            result |= verdicts
    return {"task": chosen.task, "run": run} | result


def _parser() -> argparse.ArgumentParser:
    parser = recipe_parser("evaluate_videorefer", __doc__)
    parser.add_argument("--task", choices=sorted(TASKS), required=True)
    parser.add_argument(
        "--data", type=existing_folder, required=True, help="the data set's folder, as published"
    )
    parser.add_argument(
        "--weights", default="embedded", help="a captioner of `streamrefer models list`, or a model folder"
    )
    parser.add_argument("--out", type=new_folder, default=OUT, help="folder of answers and judge's replies")
    parser.add_argument("--limit", type=positive_int, help="only so many items")
    parser.add_argument("--masks", choices=("single", "all"), help="as published: single, all for Lite")
    parser.add_argument("--wording", choices=("auto", "benchmark", "service"), default="auto")
    parser.add_argument(
        "--history", choices=("none", "text"), default="none", help="tell the answer before, as PAM does"
    )
    parser.add_argument("--fps", type=positive_float, default=1.0, help="pictures a second of the scene")
    parser.add_argument("--max-frames", type=positive_int, default=64, help="most pictures of the scene")
    parser.add_argument("--max-new-tokens", type=positive_int, default=256)
    parser.add_argument("--judge-url", help="OpenAI-compatible, up to and with /v1")
    parser.add_argument("--judge-model", default="")
    parser.add_argument(
        "--meteor-jar", type=existing_file, help="meteor-1.5.jar, for METEOR as papers report it"
    )
    add_machine(parser)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: as config.json says")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    return parser


def main() -> None:
    """Command line."""
    parser = _parser()
    chosen = parser.parse_args()
    if chosen.judge_url and not chosen.judge_model:
        parser.error("--judge-url needs --judge-model")
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser, JudgeError, MeteorError):
        result = run_task(chosen)
    if chosen.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:20} {value}")
    if TASKS[chosen.task].judging is not None and not chosen.judge_url:
        print("no judge was given: answers are written, what a judge scores is not scored")


if __name__ == "__main__":
    main()
