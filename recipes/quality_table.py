"""Measure the embedded models and write the README's table of what they know.

    python -m recipes.quality_table [--real FOLDER] [--write README.md] [--worlds 40] [--seed 1]

Runs :mod:`recipes.evaluate_tracker` and :mod:`recipes.evaluate_captioner` on held-out worlds and, with ``--real``,
:mod:`recipes.evaluate_real_words` on clips with hand-made boxes; without it those rows say "not measured". Prints
Markdown; ``--write`` puts it between the file's lines :data:`BEGIN` and :data:`END`. Two to ten minutes on one core.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from modeling.pixelrefer.generate import Captioner
from modeling.sam2.segmenter import load_segmenter
from operators.discover import DiscoverSettings
from recipes import evaluate_captioner, evaluate_real_words, evaluate_tracker
from recipes.arguments import existing_file, existing_folder, not_negative_int, positive_int, recipe_parser
from recipes.benchmarks.boxes import check_folder

BEGIN, END = "<!-- quality table: begin -->", "<!-- quality table: end -->"
Scores = dict[str, Any]
Row = tuple[str, str]
NOT_MEASURED = "not measured"


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
    return [
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
        (
            f"captioner, {scores.get('strangers', 0)} nameless things: given a name / colour / direction right",
            _figures(scores, "strangers_named", "strangers_colour", "strangers_direction"),
        ),
    ]


def real_rows(scores: Scores) -> list[Row]:
    """What the scores on real footage say; see :mod:`recipes.evaluate_real_words` for the keys.

    Without scores every row is there and says that it was not measured.
    """

    def number(key: str) -> int:
        return scores.get(key, 0)

    what = f"{number('clips')} real clips, {number('subjects')} boxed subjects, {number('answers')} answers"
    return [
        (f"{what}: a class named / a wrong one", _figures(scores, "class_named", "wrong_class_rate")),
        ("the same, colour right", _figures(scores, "colour_right")),
        (
            f"the same, direction right ({number('direction_judged')} that move)",
            _figures(scores, "direction_right"),
        ),
        (
            f"the same, no direction told ({number('still_windows')} that rest)",
            _figures(scores, "still_said"),
        ),
        (
            f"the same, told to leave or disappear though still seen ({number('gone_judged')} that stay)",
            _figures(scores, "gone_wrongly"),
        ),
    ]


def _figures(scores: Scores, *keys: str) -> str:
    """Scores side by side, or that they were not measured."""
    if not all(key in scores for key in keys):
        return NOT_MEASURED
    return " / ".join(_figure(scores[key]) for key in keys)


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
    scores: Scores = {}
    if real is not None:
        scores = evaluate_real_words.evaluate(lambda request: captioner.describe(request).text, real)
    return rows + real_rows(scores)


def read_marked(path: Path) -> str:
    """The text of a file whose table can be replaced. Raises ValueError, naming it, for any other."""
    try:
        text = path.read_text(encoding="utf-8")
        put_between(text, "")
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from None
    return text


def main() -> None:
    """Command line."""
    parser = recipe_parser("quality_table", __doc__)
    parser.add_argument("--real", type=existing_folder, help="folder of clips with their boxes.json")
    parser.add_argument("--write", type=existing_file, help="file whose table is to be replaced")
    parser.add_argument("--worlds", type=positive_int, default=40, help="for the captioner")
    parser.add_argument("--tracker-worlds", type=positive_int, default=30)
    parser.add_argument("--seed", type=not_negative_int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    new = None
    try:
        # What cannot be used is told before the long work.
        if chosen.write is not None:
            read_marked(chosen.write)
        if chosen.real is not None:
            check_folder(chosen.real)
        new = table(measure(chosen.worlds, chosen.tracker_worlds, chosen.seed, chosen.real))
        if chosen.write is not None:
            chosen.write.write_text(put_between(read_marked(chosen.write), new), encoding="utf-8")
    except (ValueError, OSError) as error:
        if new is not None:
            print(new)  # measured for minutes: not to be lost with the file
        parser.exit(2, f"quality_table: {error}\n")
    print(new)


if __name__ == "__main__":
    main()
