"""Score a captioner on freshly made held-out worlds, through the same code that answers in production.

    python -m recipes.evaluate_captioner --worlds 40 --seed 1 --json

Judged are objects that show at least 100 pixels in at least half of the frames; masks go to the captioner as
production sends them: up to six, evenly over the frames on which the object is seen, exact (``--masks true``) or as
rough as a tracker's (``--masks rough``, the default). Decoding is greedy. Keys of the JSON output:

- ``worlds``, ``seed``, ``split``, ``masks``, ``weights``: what was run;
- ``objects``: how many were judged;
- ``class``, ``colour``, ``event``: share of objects for which the sentence tells it right;
- ``direction``, ``speed``: the same, over objects that move (``moving`` of them);
- ``other``: the partner's colour and class right, over sentences whose truth names one (``partners``);
- ``entered``: the side of entrance right, over objects that enter (``entering``);
- ``exact``: share of sentences that say exactly the truth; ``in_grammar``: share that can be parsed at all;
- ``per_event``: event accuracy by true event; ``seconds_per_object``: mean time of an answer;
- ``samples``: the first ten answers with their truths.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.questions import question
from modeling.pixelrefer.request import Request
from recipes.captioner.clips import FPS, FRAMES
from recipes.captioner.evidence import Evidence, exact_evidence
from synthetic.grammar import Attributes, render
from synthetic.language import ATTRIBUTES, parse, score
from synthetic.truth import SyntheticClip
from synthetic.world import sample_clip

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "captioner-embedded"
SEED_BASE = 50_000_000
"""Far from any seed that training uses; held-out floors, walls and lights differ besides."""
JUDGED_PX = 100
SHOWN = 10
LONGEST_ANSWER = 40


@dataclass
class Tally:
    """Verdicts so far."""

    verdicts: list[dict[str, bool | None]] = field(default_factory=list)
    events: list[tuple[str, bool]] = field(default_factory=list)
    parsed: list[bool] = field(default_factory=list)
    samples: list[dict[str, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, text: str, true: Attributes) -> None:
        """Judge one sentence."""
        said = parse(text)
        self.verdicts.append(score(said, true))
        self.events.append((true.event, said is not None and said.event == true.event))
        self.parsed.append(said is not None)
        if len(self.samples) < SHOWN:
            self.samples.append({"said": text, "true": render(true)})

    def report(self) -> dict:
        """The scores, by the keys described above."""

        def judged(name: str) -> list[bool]:
            return [right for verdict in self.verdicts if (right := verdict[name]) is not None]

        kinds = sorted({kind for kind, _ in self.events})
        return {
            "objects": len(self.verdicts),
            "moving": len(judged("direction")),
            "partners": len(judged("other")),
            "entering": len(judged("entered")),
            **{name: _share(judged(name)) for name in (*ATTRIBUTES, "exact")},
            "in_grammar": _share(self.parsed),
            "per_event": {kind: _share([right for k, right in self.events if k == kind]) for kind in kinds},
            "seconds_per_object": round(self.seconds / max(1, len(self.verdicts)), 3),
            "samples": self.samples,
        }


def _share(values: list[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def judged_objects(clip: SyntheticClip) -> list[int]:
    """Objects seen well enough to be judged."""
    enough = len(clip.frames) / 2
    return [k for k, it in enumerate(clip.objects) if (it.visible_px >= JUDGED_PX).sum() >= enough]


def request_for(clip: SyntheticClip, evidence: Evidence) -> Request:
    """What the narrator would ask about one object."""
    return Request(
        frames=clip.frames[evidence.frames],
        times_s=np.array(evidence.times_s),
        masks=evidence.masks,
        mask_frames=np.arange(len(evidence.frames)),
        objects=np.zeros(len(evidence.frames), np.int64),
        instruction=question("detail", evidence.end_s),
        max_new_tokens=LONGEST_ANSWER,
    )


def evaluate(captioner: Captioner, worlds: int, seed: int, masks: str, split: str = "held_out") -> dict:
    """Scores over ``worlds`` clips of fresh seeds."""
    tally = Tally()
    for number in range(worlds):
        clip = sample_clip(SEED_BASE + seed * 100_000 + number, split, frames=FRAMES, fps=FPS)
        rng = np.random.default_rng([seed, number]) if masks == "rough" else None
        for k in judged_objects(clip):
            evidence = exact_evidence(clip, k, rng)
            if evidence is None:
                continue
            begun = time.perf_counter()
            answer = captioner.describe(request_for(clip, evidence))
            tally.seconds += time.perf_counter() - begun
            tally.add(answer.text, evidence.said)
    return {"worlds": worlds, "seed": seed, "split": split, "masks": masks} | tally.report()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--masks", choices=("true", "rough"), default="rough")
    parser.add_argument("--split", choices=("held_out", "train"), default="held_out")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    try:
        captioner = Captioner.load(chosen.weights, chosen.device)
    except (ValueError, OSError) as error:
        parser.exit(2, f"evaluate_captioner: {error}\n")
    scores = evaluate(captioner, chosen.worlds, chosen.seed, chosen.masks, chosen.split)
    scores["weights"] = str(chosen.weights)
    if chosen.json:
        print(json.dumps(scores, indent=1))
        return
    for name, value in scores.items():
        if name != "samples":
            print(f"{name:20} {value}")
    for sample in scores["samples"]:
        print(f"\nsaid {sample['said']}\ntrue {sample['true']}")


if __name__ == "__main__":
    main()
