"""Score a captioner on freshly made held-out worlds, through the same code that answers in production.

    python -m recipes.evaluate_captioner --worlds 40 --seed 1 --json

Judged are objects that show at least 100 pixels in at least half of the frames; masks go to the captioner as
production sends them: up to eight, evenly over the frames on which the object is seen, with some of the objects near
it, exact (``--masks true``) or as rough as a tracker's (``--masks rough``, the default). Decoding is greedy. Keys of
the JSON output:

- ``worlds``, ``seed``, ``split``, ``masks``, ``weights``: what was run;
- ``objects``: how many were judged;
- ``class``, ``colour``, ``event``: share of objects for which the sentence tells it right;
- ``direction``, ``speed``: the same, over objects that move (``moving`` of them);
- ``other``: the partner's colour and class right, over sentences whose truth names one (``partners``);
- ``entered``: the side of entrance right, over objects that enter (``entering``);
- ``class_of_unseen_pairs``: class right, over objects in a colour no training object of the class had;
- ``class_error``, ``colour_error``: expected calibration error of the probabilities given with class and colour words;
- ``strangers``: how many nameless things were asked about (``--strangers`` clips), ``strangers_named``: share of them
  that were given a class all the same, ``strangers_colour``, ``strangers_direction``: share told right;
- ``exact``: share of sentences that say exactly the truth; ``in_grammar``: share that can be parsed at all;
- ``per_event``: event accuracy by true event; ``seconds_per_object``: mean time of an answer;
- ``samples``: the first ten answers with their truths.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.questions import question
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.arguments import add_scoring, add_worlds, not_negative_int, recipe_parser, told_in_one_line
from recipes.captioner.certainty import calibration_error, word_certainties
from recipes.captioner.clips import FPS, FRAMES
from recipes.captioner.evidence import Evidence, Outlines, whole_evidence
from synthetic.casting import HELD_OUT_PAIRS
from synthetic.grammar import STRANGER, Attributes, render
from synthetic.language import ATTRIBUTES, parse, score
from synthetic.strangers import sample_stranger_clip
from synthetic.truth import SyntheticClip
from synthetic.world import sample_clip

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "captioner-embedded"
SEED_BASE, STRANGER_BASE = 50_000_000, 60_000_000
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
    unseen: list[bool] = field(default_factory=list)
    samples: list[dict[str, str]] = field(default_factory=list)
    certainties: dict[str, list[tuple[float, bool]]] = field(
        default_factory=lambda: {"class": [], "colour": []}
    )
    seconds: float = 0.0

    def judge(self, captioner: Captioner, clip: SyntheticClip, evidence: Evidence) -> None:
        """Ask about one object and judge the answer."""
        begun = time.perf_counter()
        answer = captioner.describe(request_for(clip, evidence))
        self.seconds += time.perf_counter() - begun
        self.add(answer.text, evidence.said)
        true = {"class": evidence.said.class_name, "colour": evidence.said.colour}
        assert isinstance(captioner.tokenizer, WordTokenizer)
        for kind, (word, probability) in word_certainties(answer, captioner.tokenizer).items():
            if word != STRANGER:
                self.certainties[kind].append((probability, word == true[kind]))

    def add(self, text: str, true: Attributes) -> None:
        """Judge one sentence."""
        said = parse(text)
        self.verdicts.append(score(said, true))
        self.events.append((true.event, said is not None and said.event == true.event))
        self.parsed.append(said is not None)
        if (true.colour, true.class_name) in HELD_OUT_PAIRS:
            self.unseen.append(said is not None and said.class_name == true.class_name)
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
            "unseen_pairs": len(self.unseen),
            "class_of_unseen_pairs": _share(self.unseen),
            "in_grammar": _share(self.parsed),
            "per_event": {kind: _share([right for k, right in self.events if k == kind]) for kind in kinds},
            **{f"{kind}_error": _error(cases) for kind, cases in self.certainties.items()},
            "seconds_per_object": round(self.seconds / max(1, len(self.verdicts)), 3),
            "samples": self.samples,
        }


def _error(cases: list[tuple[float, bool]]) -> float | None:
    error = calibration_error(*zip(*cases, strict=True)) if cases else None
    return None if error is None else round(error, 4)


def _share(values: list[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def judged_objects(clip: SyntheticClip) -> list[int]:
    """Objects seen well enough to be judged."""
    enough = len(clip.frames) / 2
    return [k for k, it in enumerate(clip.objects) if (it.visible_px >= JUDGED_PX).sum() >= enough]


def request_for(clip: SyntheticClip, evidence: Evidence) -> Request:
    """What the narrator would ask about one object."""
    frames = sorted({t for shown in evidence.shown for t in shown.frames})
    return Request(
        frames=np.stack([clip.frames[t] for t in frames]),
        times_s=np.array([t / clip.fps for t in frames]),
        masks=np.concatenate([shown.masks for shown in evidence.shown]),
        mask_frames=np.array([frames.index(t) for shown in evidence.shown for t in shown.frames]),
        objects=np.array([number for number, shown in enumerate(evidence.shown) for _ in shown.frames]),
        instruction=question("detail", evidence.end_s, len(evidence.near)),
        max_new_tokens=LONGEST_ANSWER,
    )


def evaluate(
    captioner: Captioner, worlds: int, seed: int, masks: str, split: str = "held_out", strangers: int = 0
) -> dict:
    """Scores over ``worlds`` clips of fresh seeds, and as many clips of ``strangers``."""
    tally = Tally()
    for number in range(worlds):
        clip = sample_clip(SEED_BASE + seed * 100_000 + number, split, frames=FRAMES, fps=FPS)
        for evidence in _asked(clip, np.random.default_rng([seed, number]) if masks == "rough" else None):
            tally.judge(captioner, clip, evidence)
    scores = {"worlds": worlds, "seed": seed, "split": split, "masks": masks} | tally.report()
    return scores | (_meet_strangers(captioner, strangers, seed) if strangers else {})


def _asked(clip: SyntheticClip, rng: np.random.Generator | None) -> Iterator[Evidence]:
    outlines = Outlines(clip, rng, exact_share=0.0)
    found = (whole_evidence(clip, k, outlines) for k in judged_objects(clip))
    return (evidence for evidence in found if evidence is not None)


def _meet_strangers(captioner: Captioner, clips: int, seed: int) -> dict:
    """Scores on nameless things."""
    tally = Tally()
    for number in range(clips):
        clip = sample_stranger_clip(STRANGER_BASE + seed * 100_000 + number)
        for evidence in _asked(clip, np.random.default_rng([seed, number])):
            tally.judge(captioner, clip, evidence)
    report = tally.report()
    return {
        "strangers": report["objects"],
        "strangers_named": None if report["class"] is None else round(1 - report["class"], 4),
        "strangers_colour": report["colour"],
        "strangers_direction": report["direction"],
    }


def main() -> None:
    """Command line."""
    parser = recipe_parser("evaluate_captioner", __doc__)
    add_worlds(parser, worlds=40, seed=1)
    add_scoring(parser, WEIGHTS)
    parser.add_argument("--masks", choices=("true", "rough"), default="rough")
    parser.add_argument(
        "--strangers", type=not_negative_int, default=0, help="clips of nameless things to ask about besides"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        captioner = Captioner.load(chosen.weights, chosen.device)
    scores = evaluate(captioner, chosen.worlds, chosen.seed, chosen.masks, chosen.split, chosen.strangers)
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
