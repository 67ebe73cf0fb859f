"""Score a captioner's words on real footage with hand-made boxes as regions.

    python -m recipes.evaluate_real_words FOLDER [--json] [--weights FOLDER]

FOLDER holds videos and ``boxes.json`` (:mod:`recipes.benchmarks.boxes`). Each subject is asked about on windows of at
most 4 s (:mod:`recipes.benchmarks.windows`), by the question of service, on pictures sized as in service, the filled
boxes as masks; other subjects near it are shown with it where service shows neighbours. Decoding is greedy. What a
sentence names: :mod:`recipes.benchmarks.sentences`. The exit code is 2 where nothing could be judged.

Keys of the JSON output; shares are over answers:

- ``wrong_class_rate``: share that name a class which is not among the subject's; naming none is not wrong;
- ``class_named``, ``class_right``: share that name any class, and a right one; ``class_judged`` answers;
- ``colour_right``: share whose colour is one of the subject's, an answer without a colour counts as not right;
  ``colour_named``: share that name one; ``colour_right_of_named``: the same over those; ``colour_judged`` answers;
- ``direction_right``: over windows in which the box's centre shifts by more than 5 % of the picture's width from the
  first to the last picture shown (``direction_judged`` of them), the share that name its main direction. Up may be
  called "away from the camera", down "toward the camera"; an answer without a direction is not right;
  ``direction_named``: share of those windows whose answer names one; ``per_direction``: the share by true direction;
- ``still_said``: of the windows with a smaller shift (``still_windows``), the share whose answer tells no direction;
- ``gone_wrongly``: of the windows on whose last judged picture the subject is seen (``gone_judged``), the share whose
  answer tells that it left, disappeared or was hidden;
- ``in_grammar``: share of sentences in the synthetic world's grammar; the rest is judged by word search;
- ``clips``, ``subjects``, ``answers``, ``seconds_per_answer``, ``weights``, ``prompt_version``: what was run;
- ``skipped``: what could not be used, a line each;
- ``per_subject``: counts for every subject; ``sentences``: every answer with what it was judged to name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.questions import LONG_SIDE_PX, PROMPT_VERSION
from modeling.pixelrefer.request import Request
from recipes.arguments import add_scoring, existing_folder, recipe_parser, told_in_one_line
from recipes.benchmarks.asking import request_for
from recipes.benchmarks.boxes import Annotated, Notes, Subject, check_folder, read_boxes
from recipes.benchmarks.film import Film, FilmError, read_film
from recipes.benchmarks.sentences import Told, alike, told
from recipes.benchmarks.windows import Way, Window, windows_of

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "captioner-embedded"
Describe = Callable[[Request], str]

ACCEPTED: dict[Way, frozenset[str]] = {
    "left": frozenset({"left"}),
    "right": frozenset({"right"}),
    "up": frozenset({"up", "away"}),
    "down": frozenset({"down", "toward"}),
}
"""What may be said of each shift in the picture."""


@dataclass(frozen=True)
class Judged:
    """One answer and its verdicts; None where the boxes have nothing to judge by."""

    clip: str
    subject: str
    window: Window
    text: str
    told: Told
    way: Way | None
    class_right: bool | None
    colour_right: bool | None
    direction_right: bool | None

    @property
    def class_wrong(self) -> bool | None:
        """Whether a class is named and it is none of the subject's."""
        return None if self.class_right is None else bool(self.told.class_name) and not self.class_right

    @property
    def moved(self) -> bool:
        """Whether the window shows a shift to be told."""
        return self.way is not None


def judge(clip: str, subject: Subject, window: Window, text: str, said: Told, aspect: float) -> Judged:
    """The verdicts on one sentence."""
    way = window.way(aspect)
    colours = {alike(colour) for colour in subject.colours}
    return Judged(
        clip=clip,
        subject=subject.name,
        window=window,
        text=text,
        told=said,
        way=way,
        class_right=said.class_name in subject.classes if subject.classes else None,
        colour_right=said.colour in colours if colours else None,
        direction_right=said.direction in ACCEPTED[way] if way else None,
    )


def evaluate(describe: Describe, folder: Path) -> dict:
    """The scores over a folder, by the keys described above. Raises ValueError when its boxes cannot be read."""
    notes, verdicts, begun = Notes(), [], time.perf_counter()
    clips = read_boxes(folder, notes)
    words = frozenset(word for clip in clips for subject in clip.subjects for word in subject.classes)
    for clip in clips:
        try:
            film = read_film(clip.path, clip.pictures, LONG_SIDE_PX)
        except FilmError as error:
            notes.add(str(error))
            continue
        verdicts.extend(_judge_clip(describe, clip, film, words, notes))
    seconds = time.perf_counter() - begun
    return report(verdicts) | {
        "seconds_per_answer": round(seconds / max(1, len(verdicts)), 3),
        "prompt_version": PROMPT_VERSION,
        "skipped": notes.lines,
        "per_subject": per_subject(verdicts),
        "sentences": [_row(verdict) for verdict in verdicts],
    }


def _judge_clip(
    describe: Describe, clip: Annotated, film: Film, words: frozenset[str], notes: Notes
) -> list[Judged]:
    name, aspect = clip.path.name, film.height_px / film.width_px
    times = {number: still.time_s for number, still in film.stills.items()}
    verdicts = []
    for subject in clip.subjects:
        if missing := sorted(set(subject.boxes) - set(times)):
            notes.add(f"{name}, {subject.name}: the film has no pictures {missing}")
        others = [other.boxes for other in clip.subjects if other is not subject]
        for window in windows_of(subject.boxes, times):
            text = describe(request_for(window, film, others))
            verdicts.append(judge(name, subject, window, text, told(text, words), aspect))
    return verdicts


def report(verdicts: list[Judged]) -> dict:
    """Shares and counts over the answers."""
    classes = [it for it in verdicts if it.class_right is not None]
    colours = [it for it in verdicts if it.colour_right is not None]
    moved = [it for it in verdicts if it.moved]
    still = [it for it in verdicts if not it.moved and len(it.window.pictures) > 1]
    in_sight = [it for it in verdicts if it.window.ends_in_sight]
    return {
        "wrong_class_rate": _share([bool(it.class_wrong) for it in classes]),
        "colour_right": _share([bool(it.colour_right) for it in colours]),
        "direction_right": _share([bool(it.direction_right) for it in moved]),
        "class_named": _share([it.told.class_name is not None for it in classes]),
        "class_right": _share([bool(it.class_right) for it in classes]),
        "class_judged": len(classes),
        "colour_named": _share([it.told.colour is not None for it in colours]),
        "colour_right_of_named": _share([bool(it.colour_right) for it in colours if it.told.colour]),
        "colour_judged": len(colours),
        "direction_named": _share([it.told.direction is not None for it in moved]),
        "direction_judged": len(moved),
        "per_direction": {
            way: _share([bool(it.direction_right) for it in moved if it.way == way]) for way in ACCEPTED
        },
        "still_said": _share([it.told.direction is None for it in still]),
        "still_windows": len(still),
        "gone_wrongly": _share([it.told.gone for it in in_sight]),
        "gone_judged": len(in_sight),
        "in_grammar": _share([it.told.in_grammar for it in verdicts]),
        "clips": len({it.clip for it in verdicts}),
        "subjects": len({(it.clip, it.subject) for it in verdicts}),
        "answers": len(verdicts),
    }


def per_subject(verdicts: list[Judged]) -> list[dict]:
    """One row a subject: answers, and how many of them are right or wrong in what."""
    rows = []
    for clip, subject in dict.fromkeys((it.clip, it.subject) for it in verdicts):
        mine = [it for it in verdicts if (it.clip, it.subject) == (clip, subject)]
        row = {
            "clip": clip,
            "subject": subject,
            "answers": len(mine),
            "wrong_class": sum(bool(it.class_wrong) for it in mine),
            "colour_right": sum(bool(it.colour_right) for it in mine),
            "moved": sum(it.moved for it in mine),
            "direction_right": sum(bool(it.direction_right) for it in mine),
        }
        rows.append(row)
    return rows


def _row(it: Judged) -> dict:
    return {
        "clip": it.clip,
        "subject": it.subject,
        "pictures": list(it.window.pictures),
        "said": it.text,
        "class": it.told.class_name,
        "class_wrong": it.class_wrong,
        "colour": it.told.colour,
        "colour_right": it.colour_right,
        "direction": it.told.direction,
        "true_direction": it.way,
        "direction_right": it.direction_right,
        "gone": it.told.gone,
        "gone_wrong": it.told.gone and it.window.ends_in_sight,
    }


def _share(values: list[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def show(scores: dict) -> str:
    """The scores as lines for a reader."""
    lines = [f"{name:22} {value}" for name, value in scores.items() if not isinstance(value, list)]
    lines += [f"skipped: {line}" for line in scores["skipped"]]
    for row in scores["sentences"]:
        marks = "".join(_mark(row[key]) for key in ("class_wrong", "colour_right", "direction_right"))
        lines.append(f"{marks}  {row['clip']:18} {row['subject'][:28]:28} {row['said']}")
    return "\n".join([*lines, "marks: wrong class, right colour, right direction (y, n, - not judged)"])


def _mark(verdict: bool | None) -> str:
    return "-" if verdict is None else "y" if verdict else "n"


def main() -> None:
    """Command line."""
    parser = recipe_parser("evaluate_real_words", __doc__)
    parser.add_argument("folder", type=existing_folder, help="videos with their boxes.json")
    add_scoring(parser, WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        check_folder(chosen.folder)
        captioner = Captioner.load(chosen.weights, chosen.device)
        scores = evaluate(lambda request: captioner.describe(request).text, chosen.folder)
        if not scores["answers"]:
            raise ValueError(f"{chosen.folder}: nothing could be judged: {'; '.join(scores['skipped'])}")
    scores["weights"] = str(chosen.weights)
    print(json.dumps(scores, indent=1) if chosen.json else show(scores))


if __name__ == "__main__":
    main()
