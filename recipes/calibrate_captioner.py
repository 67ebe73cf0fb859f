"""Find out how often a captioner's words are right, and write it into its folder as ``calibration.json``.

    python -m recipes.calibrate_captioner weights/captioner-embedded --worlds 120 --strangers 60

Worlds are new ones of the training split and new nameless things: nothing that was trained on, and nothing by which the
captioner is scored. Below ``--unsure-below`` of calibrated probability a class is not named (see
`modeling.pixelrefer.calibration`). A curve has up to 20 bins of at least 8 words each, so at least 160 class words and
160 colour words must have been said: at about three objects a world, and some of them not named, that takes 60 worlds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from modeling.pixelrefer.calibration import FILE, Calibration
from modeling.pixelrefer.checkpoint import GenerationSettings, load_model
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.processor import Processor
from modeling.pixelrefer.tokenizer import WordTokenizer, load_tokenizer
from recipes.arguments import (
    existing_folder,
    not_negative_int,
    positive_int,
    recipe_parser,
    share,
    told_in_one_line,
)
from recipes.captioner.certainty import LEAST_WORDS, calibration_error, rising_curve, word_certainties
from recipes.captioner.clips import FPS, FRAMES
from recipes.captioner.evidence import Outlines, whole_evidence
from recipes.evaluate_captioner import judged_objects, request_for
from synthetic.grammar import GERUNDS, OTHER_VERB, STRANGER, VERBS
from synthetic.palette import ALL_COLOURS
from synthetic.shapes import CLASSES
from synthetic.strangers import sample_stranger_clip
from synthetic.truth import SyntheticClip
from synthetic.world import sample_clip

SEED_BASE, STRANGER_BASE = 70_000_000, 71_000_000
UNSURE_BELOW = 0.5
LEAST_WORLDS = 60

Cases = dict[str, list[tuple[float, bool]]]


def gather_cases(captioner: Captioner, clips: list[SyntheticClip]) -> Cases:
    """Raw probability of each class and colour word said, and whether it was right."""
    cases: Cases = defaultdict(list)
    tokenizer = captioner.tokenizer
    assert isinstance(tokenizer, WordTokenizer)
    for number, clip in enumerate(clips):
        outlines = Outlines(clip, np.random.default_rng([number, 9]), exact_share=0.1)
        for k in judged_objects(clip):
            evidence = whole_evidence(clip, k, outlines)
            if evidence is None:
                continue
            said = word_certainties(captioner.describe(request_for(clip, evidence)), tokenizer)
            true = {"class": evidence.said.class_name, "colour": evidence.said.colour}
            for kind, (word, probability) in said.items():
                if word != STRANGER:
                    cases[kind].append((probability, word == true[kind]))
    return cases


def calibration_json(cases: Cases, unsure_below: float) -> dict:
    """The content of the file. Raises ValueError where too few words were said for a curve."""
    words = {"class": list(CLASSES), "colour": list(ALL_COLOURS)}
    for kind in words:
        if (said := len(cases.get(kind, ()))) < LEAST_WORDS:
            raise ValueError(
                f"only {said} {kind} words were said, a curve needs {LEAST_WORDS}: give more --worlds"
            )
    curves = [
        {"words": words[kind], "knots": rising_curve(*zip(*cases[kind], strict=True))} for kind in words
    ]
    caution = {
        "names": list(CLASSES),
        "articles": ["a", "an", "the"],
        "qualifiers": list(ALL_COLOURS),
        "unsure_below": unsure_below,
        "instead": STRANGER,
        "verbs": _plain_verbs(),
    }
    return {"curves": curves, "caution": caution}


def _plain_verbs() -> dict[str, str]:
    """For every verb form that gives a name away, what nameless things do."""
    plain = VERBS[STRANGER]
    telling = [verb for verb in dict.fromkeys((*VERBS.values(), OTHER_VERB)) if verb != plain]
    return dict.fromkeys(telling, plain) | dict.fromkeys([GERUNDS[it] for it in telling], GERUNDS[plain])


def uncalibrated(weights: Path) -> Captioner:
    """The captioner of a folder as it speaks by itself, whatever calibration lies there.

    Raises ValueError or OSError for a folder that holds no captioner of words.
    """
    network, tokenizer = load_model(weights), load_tokenizer(weights)
    if not isinstance(tokenizer, WordTokenizer):
        raise ValueError(f"{weights} has a tokenizer of pieces, not of words: its words cannot be calibrated")
    processor = Processor(network.config, PatchSettings.load(weights), tokenizer)
    return Captioner(network, processor, tokenizer, GenerationSettings(), Calibration())


def main() -> None:
    """Command line."""
    parser = recipe_parser("calibrate_captioner", __doc__)
    parser.add_argument("weights", type=existing_folder)
    parser.add_argument("--worlds", type=positive_int, default=120)
    parser.add_argument("--strangers", type=not_negative_int, default=60, help="clips of nameless things")
    parser.add_argument("--unsure-below", type=share, default=UNSURE_BELOW)
    chosen = parser.parse_args()
    if chosen.worlds < LEAST_WORLDS:
        why = f"its curves need {LEAST_WORDS} words of each kind, a world gives about three"
        parser.exit(2, f"{parser.prog}: {chosen.worlds} worlds are too few, at least {LEAST_WORLDS}: {why}\n")
    torch.set_num_threads(1)
    with told_in_one_line(parser):
        raw = uncalibrated(chosen.weights)
    clips = [
        sample_clip(SEED_BASE + number, "train", frames=FRAMES, fps=FPS) for number in range(chosen.worlds)
    ]
    clips += [sample_stranger_clip(STRANGER_BASE + number) for number in range(chosen.strangers)]
    cases = gather_cases(raw, clips)
    with told_in_one_line(parser):
        content = calibration_json(cases, chosen.unsure_below)
        (chosen.weights / FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for kind, found in cases.items():
        sure, right = zip(*found, strict=True)
        error = calibration_error(sure, right)
        print(f"{kind}: {len(found)} words, {np.mean(right):.3f} right, raw calibration error {error:.3f}")


if __name__ == "__main__":
    main()
