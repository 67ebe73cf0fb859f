"""Score the embedded tracker on real footage with hand-made boxes, beside doing without a network.

    python -m recipes.evaluate_real FOLDER [--json] [--weights FOLDER] [--fps 8]

FOLDER holds videos and ``boxes.json`` (:mod:`recipes.benchmarks.boxes`). Subjects are followed by the serving session
at ``--fps`` pictures a second and on the annotated ones, kept as large as in service. Judged is the box of what is
shown, without its crumbs, on the annotated pictures after the prompt; a score is a mean over pictures, then over
subjects. Nothing shown where the subject is scores 0. Keys of the JSON output:

- ``mean_iou_box``, ``mean_iou_point``: mean IoU from the subject's first box, from its first point;
- ``mean_iou_copy``, ``mean_iou_flow``: baselines from the same first box: leaving it where it is, and moving it with
  the median optical flow in it (:mod:`recipes.real.flow`);
- ``discovery_recall``: nobody points at anything; share of the boxes judged above, over all subjects, on which some
  track's box has an IoU of at least 0.5; ``discovery_subjects``: share of the subjects so found at least once;
- ``absent_right``: of the pictures after the first box on which the subject is known to be out of view, the share on
  which nothing is shown (followed from the box; ``absent_judged`` of them), ``absent_right_point`` from the point.
  The baselines have no such answer;
- ``small_iou_box``, ``small_iou_flow``: the same means over subjects whose first box is under 1 % of the picture;
- ``rows``: one a subject, with the same figures, ``area`` (share of the picture of its first box) and ``first_iou``,
  the box of the first answer against the box that was given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from modeling.sam2.segmenter import load_segmenter
from operators.masks import box_area, box_overlap
from operators.types import Prompt
from recipes.arguments import add_scoring, existing_folder, positive_float, recipe_parser, told_in_one_line
from recipes.benchmarks.boxes import Annotated, Notes, Subject, check_folder, read_boxes
from recipes.benchmarks.film import TRACKED_SIDE_PX, Film, FilmError, film_facts, read_film
from recipes.real.flow import follow_box
from recipes.real.following import Boxes, Open, discover, follow

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "tracker-embedded"
FOUND_IOU, SMALL_AREA = 0.5, 0.01
MEANS = ("iou_box", "iou_point", "iou_copy", "iou_flow")


@dataclass(frozen=True)
class Start:
    """Where a subject is first seen: the picture's number, its box, and its point, which may be of another one."""

    number: int
    box: np.ndarray
    point_number: int
    point: np.ndarray

    @staticmethod
    def of(subject: Subject) -> Start:
        number, box = next((n, b) for n, b in sorted(subject.boxes.items()) if b is not None)
        corners = np.array(box, np.float32)
        if subject.first_point is None:
            return Start(number, corners, number, (corners[:2] + corners[2:]) / 2)
        at, x, y = subject.first_point
        return Start(number, corners, at, np.array([x, y], np.float32))


def evaluate(open_session: Open, folder: Path, fps: float = 8.0) -> dict:
    """The scores over a folder, by the keys described above. Raises ValueError when its boxes cannot be read."""
    notes, rows = Notes(), []
    for clip in read_boxes(folder, notes):
        try:
            film = read_film(clip.path, sampled(clip, fps), TRACKED_SIDE_PX)
        except FilmError as error:
            notes.add(str(error))
            continue
        rows += _judge_clip(open_session, clip, film, notes)
    return report(rows) | {"fps": fps, "skipped": notes.lines, "rows": rows}


def sampled(clip: Annotated, fps: float) -> set[int]:
    """Numbers of the pictures to follow on: those of the grid up to the last annotated one, and the annotated."""
    count, film_fps, _ = film_facts(clip.path)
    points = {s.first_point[0] for s in clip.subjects if s.first_point is not None}
    wanted = {number for number in clip.pictures | points if number < count}
    grid = np.arange(0, max(wanted, default=0), max(1.0, film_fps / fps))
    return wanted | {round(place) for place in grid}


def _judge_clip(open_session: Open, clip: Annotated, film: Film, notes: Notes) -> list[dict]:
    subjects = []
    for subject in clip.subjects:
        start = Start.of(subject)
        if start.number in film.stills and start.point_number in film.stills:
            subjects.append((subject, start))
        else:
            notes.add(f"{clip.path.name}, {subject.name}: the film has no picture {start.number}")
    if not subjects:
        return []
    starts = [start for _, start in subjects]
    by_box = follow(open_session, film.stills, [(s.number, Prompt(box=s.box)) for s in starts])
    one = np.ones(1, np.int32)
    points = [(s.point_number, Prompt(points=s.point[None], labels=one)) for s in starts]
    by_point = follow(open_session, film.stills, points)
    tracks = discover(open_session, film.stills)
    rows = []
    for (subject, start), box, point in zip(subjects, by_box, by_point, strict=True):
        flow = _by_flow(film, start)
        rows.append({"clip": clip.path.name, **judge(subject, start, box, point, flow, tracks)})
    return rows


def _by_flow(film: Film, start: Start) -> Boxes:
    numbers = [number for number in sorted(film.stills) if number >= start.number]
    pictures = [film.stills[number].pixels for number in numbers]
    height, width = pictures[0].shape[:2]
    scale = np.array([width, height, width, height], np.float64)
    boxes = [np.clip(box / scale, 0, 1) for box in follow_box(pictures, start.box * scale)]
    return dict(zip(numbers, boxes, strict=True))


def judge(
    subject: Subject, start: Start, box: Boxes, point: Boxes, flow: Boxes, tracks: dict[int, list[np.ndarray]]
) -> dict:
    """One subject's row."""
    later = {n: b for n, b in sorted(subject.boxes.items()) if n > start.number and n in box}
    truth = {n: np.array(b, np.float32) for n, b in later.items() if b is not None}
    of_point = {n: b for n, b in truth.items() if n > start.point_number}
    gone = [n for n, b in later.items() if b is None]
    found = [max((box_overlap(b, t) for t in tracks[n]), default=0.0) >= FOUND_IOU for n, b in truth.items()]
    first = box[start.number]
    return {
        "subject": subject.name,
        "area": round(box_area(start.box), 4),
        "judged": len(truth),
        "first_iou": 0.0 if first is None else _rounded(box_overlap(first, start.box)),
        "iou_box": _mean_iou(truth, box),
        "iou_point": _mean_iou(of_point, point),
        "iou_copy": _mean_iou(truth, dict.fromkeys(truth, start.box)),
        "iou_flow": _mean_iou(truth, flow),
        "discovered": int(sum(found)),
        "absent": len(gone),
        "absent_right": sum(box[n] is None for n in gone),
        "absent_right_point": sum(point.get(n) is None for n in gone),
    }


def _mean_iou(truth: dict[int, np.ndarray], boxes: Boxes) -> float | None:
    given = [(box, boxes.get(number)) for number, box in truth.items()]
    return _mean(box_overlap(box, found) if found is not None else 0.0 for box, found in given)


def report(rows: list[dict]) -> dict:
    """The means over subjects, and shares over pictures."""
    small = [row for row in rows if row["area"] < SMALL_AREA]
    judged, absent = sum(row["judged"] for row in rows), sum(row["absent"] for row in rows)
    means = {f"mean_{name}": _mean(row[name] for row in rows) for name in MEANS}
    return {
        **means,
        "discovery_recall": _share(sum(row["discovered"] for row in rows), judged),
        "discovery_subjects": _mean(row["discovered"] > 0 for row in rows if row["judged"]),
        "absent_right": _share(sum(row["absent_right"] for row in rows), absent),
        "absent_right_point": _share(sum(row["absent_right_point"] for row in rows), absent),
        "absent_judged": absent,
        "mean_first_iou": _mean(row["first_iou"] for row in rows),
        "small_iou_box": _mean(row["iou_box"] for row in small),
        "small_iou_flow": _mean(row["iou_flow"] for row in small),
        "subjects": len(rows),
        "judged": judged,
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return _rounded(float(np.mean(known))) if known else None


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(value, 4)


def show(scores: dict) -> str:
    """The scores as lines for a person."""
    lines = [f"{name:20} {value}" for name, value in scores.items() if name not in ("rows", "skipped")]
    for row in scores["rows"]:
        figures = " ".join(f"{name[4:]} {row[name]}" for name in MEANS)
        lines.append(f"{row['clip']}, {row['subject']}: first {row['first_iou']} {figures}")
    return "\n".join([*lines, *(f"skipped: {line}" for line in scores["skipped"])])


def main() -> None:
    """Command line."""
    parser = recipe_parser("evaluate_real", __doc__)
    parser.add_argument("folder", type=existing_folder, help="videos with their boxes.json")
    add_scoring(parser, WEIGHTS)
    parser.add_argument("--fps", type=positive_float, default=8.0, help="pictures a second")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        check_folder(chosen.folder)
        opened = load_segmenter(chosen.weights, chosen.device)
        scores = evaluate(opened, chosen.folder, chosen.fps)
        if not scores["subjects"]:
            raise ValueError(f"{chosen.folder}: nothing could be judged: {'; '.join(scores['skipped'])}")
    scores["weights"] = str(chosen.weights)
    print(json.dumps(scores, indent=1) if chosen.json else show(scores))


if __name__ == "__main__":
    main()
