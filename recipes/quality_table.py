"""Measure the embedded models and write the README's table of what they know.

    python -m recipes.quality_table [--real FOLDER] [--write README.md] [--worlds 40] [--seed 1]

Runs :mod:`recipes.evaluate_tracker` and :mod:`recipes.evaluate_captioner` on held-out worlds and, with ``--real``,
:mod:`recipes.evaluate_real_words` on clips with hand-made boxes. Prints Markdown; ``--write`` puts it between the
file's lines :data:`BEGIN` and :data:`END`. Two to ten minutes on one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from modeling.pixelrefer.generate import Captioner
from modeling.sam2.segmenter import load_segmenter
from operators.discover import DiscoverSettings
from recipes import evaluate_captioner, evaluate_real_words, evaluate_tracker

BEGIN, END = "<!-- quality table: begin -->", "<!-- quality table: end -->"
Scores = dict[str, Any]
Row = tuple[str, str]


def tracker_rows(scores: Scores) -> list[Row]:
    """What the tracker's scores say; see :mod:`recipes.evaluate_tracker` for the keys."""
    what = f"{scores['worlds']} worlds, {scores['moving']} objects"
    return [
        (
            f"tracker, J&F of what moves, from one click, 16 frames at 4 a second ({what})",
            f"{_figure(scores['jf'])} (copying the first true mask: {_figure(scores['jf_copy'])})",
        ),
        ("tracker, the same from a box", _figure(scores["jf_box"])),
        (
            "tracker, frames without the object called absent / frames with it called present",
            f"{_figure(scores['absent_accuracy'])} / {_figure(scores['present_accuracy'])}",
        ),
        (
            "discovery, objects of one picture found by clicks / false finds a picture",
            f"{_figure(scores['discovery_recall'])} / {_figure(scores['discovery_false_per_frame'])}",
        ),
    ]


def captioner_rows(scores: Scores) -> list[Row]:
    """What the captioner's scores say; see :mod:`recipes.evaluate_captioner` for the keys."""
    rows = [
        (
            f"captioner, class ({scores['worlds']} worlds, {scores['objects']} objects, rough masks)",
            _figure(scores["class"]),
        ),
        (
            f"captioner, class of {scores['unseen_pairs']} objects in a colour never seen on that class",
            _figure(scores["class_of_unseen_pairs"]),
        ),
        ("captioner, colour", _figure(scores["colour"])),
        (f"captioner, direction of {scores['moving']} movers", _figure(scores["direction"])),
        ("captioner, event / speed", f"{_figure(scores['event'])} / {_figure(scores['speed'])}"),
        (f"captioner, the other object of {scores['partners']} bumps", _figure(scores["other"])),
        ("captioner, calibration error of the classes it names", _figure(scores["class_error"])),
    ]
    if scores.get("strangers"):
        what = f"captioner, {scores['strangers']} nameless things: given a name / colour / direction right"
        keys = ("strangers_named", "strangers_colour", "strangers_direction")
        rows.append((what, " / ".join(_figure(scores[key]) for key in keys)))
    return rows


def real_rows(scores: Scores) -> list[Row]:
    """What the scores on real footage say; see :mod:`recipes.evaluate_real_words` for the keys."""
    what = f"{scores['clips']} real clips, {scores['subjects']} boxed subjects, {scores['answers']} answers"
    named, wrong = _figure(scores["class_named"]), _figure(scores["wrong_class_rate"])
    return [
        (f"{what}: a class named / a wrong one", f"{named} / {wrong}"),
        ("the same, colour right", _figure(scores["colour_right"])),
        (
            f"the same, direction right ({scores['direction_judged']} that move)",
            _figure(scores["direction_right"]),
        ),
    ]


def _figure(value: float | None) -> str:
    return "not judged" if value is None else f"{value:.2f}"


def table(rows: list[Row]) -> str:
    """Markdown of two columns."""
    lines = ["| held-out worlds (new seeds, floors and lights) and real footage | score |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {what} | {figure} |" for what, figure in rows)])


def put_between(text: str, new: str) -> str:
    """``text`` with what stands between the two marks replaced. Raises ValueError when they are not there once."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise ValueError(f"it needs the lines {BEGIN!r} and {END!r}, once each, in this order")
    return f"{text.split(BEGIN)[0]}{BEGIN}\n{new}\n{END}{text.split(END)[1]}"


def measure(worlds: int, tracker_worlds: int, seed: int, real: Path | None) -> list[Row]:
    """All rows. Raises ValueError or OSError for weights or a folder that cannot be used."""
    opened = load_segmenter(evaluate_tracker.WEIGHTS, "cpu")
    captioner = Captioner.load(evaluate_captioner.WEIGHTS, "cpu")
    rows = tracker_rows(
        evaluate_tracker.evaluate(opened, tracker_worlds, seed + 6, "held_out", DiscoverSettings())
    )
    rows += captioner_rows(
        evaluate_captioner.evaluate(captioner, worlds, seed, "rough", strangers=max(1, worlds // 4))
    )
    if real is not None:
        rows += real_rows(
            evaluate_real_words.evaluate(lambda request: captioner.describe(request).text, real)
        )
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder of clips with their boxes.json")
    parser.add_argument("--write", type=Path, help="file whose table is to be replaced")
    parser.add_argument("--worlds", type=int, default=40, help="for the captioner")
    parser.add_argument("--tracker-worlds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    try:
        if chosen.write is not None:
            put_between(chosen.write.read_text(), "")  # a wrong file is told before the long work
        new = table(measure(chosen.worlds, chosen.tracker_worlds, chosen.seed, chosen.real))
        if chosen.write is not None:
            chosen.write.write_text(put_between(chosen.write.read_text(), new))
    except (ValueError, OSError) as error:
        parser.exit(2, f"quality_table: {error}\n")
    print(new)


if __name__ == "__main__":
    main()
