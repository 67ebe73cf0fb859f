"""Following on real footage: what is judged, the classical baseline, and folders with faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modeling.sam2.segmenter import opener
from recipes.benchmarks.boxes import Notes, Subject, read_boxes
from recipes.evaluate_real import Start, evaluate, judge, report, sampled
from recipes.real.flow import follow_box
from tests.fakes.video import encode
from tests.modeling.sam2_models import tiny_network

HEIGHT, WIDTH, SIDE = 96, 128, 24


def pictures(count: int) -> list[np.ndarray]:
    """A textured square that moves 3 pixels to the right and 1 down on every picture of a textured ground."""
    rng = np.random.default_rng(3)
    ground = rng.integers(60, 110, (HEIGHT // 4, WIDTH // 4, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    thing = rng.integers(120, 255, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    made = []
    for at in range(count):
        picture = ground.copy()
        x, y = corner(at)
        picture[y : y + SIDE, x : x + SIDE] = thing
        made.append(picture)
    return made


def corner(at: int) -> tuple[int, int]:
    return 20 + 3 * at, 30 + at


def square(at: int) -> list[int]:
    x, y = corner(at)
    return [x, y, x + SIDE, y + SIDE]


def folder(path: Path, subjects: list[dict], name: str = "a.mkv", count: int = 12) -> Path:
    (path / name).write_bytes(encode(pictures(count), [at / 8 for at in range(count)]))
    entry = {"clip": name, "width": WIDTH, "height": HEIGHT, "subjects": subjects}
    missing = {"clip": "missing.mkv", "width": 4, "height": 4, "subjects": [{"boxes": {"0": [0, 0, 2, 2]}}]}
    (path / "boxes.json").write_text(json.dumps([entry, missing]), encoding="utf-8")
    return path


def test_flow_follows_what_moves_and_copying_does_not() -> None:
    shown = pictures(9)
    box = follow_box(shown, np.array(square(0), float))[-1]
    assert np.abs(box - square(8)).max() < 1.5
    still = follow_box([shown[0]] * 3, np.array(square(0), float))[-1]
    assert np.abs(still - square(0)).max() < 0.01


def test_points_that_are_lost_do_not_count_as_still() -> None:
    """A textured thing on plain ground: most points of its box have nothing to hold on to."""
    texture = np.random.default_rng(1).integers(0, 255, (18, 18, 3), np.uint8)
    pictures = [np.full((120, 160, 3), 128, np.uint8) for _ in range(6)]
    for at, picture in enumerate(pictures):
        picture[50:68, 50 + 3 * at : 68 + 3 * at] = texture
    first, *_, last = follow_box(pictures, np.array([30.0, 35.0, 90.0, 85.0]))
    assert (last - first)[[0, 2]].mean() == pytest.approx(15, abs=3)


def test_flow_keeps_the_place_of_what_has_left() -> None:
    outside = np.array([-30.0, 10, -2, 30])
    assert (follow_box(pictures(2), outside)[-1] == outside).all()


def test_a_larger_thing_has_a_larger_box() -> None:
    small = pictures(1)[0][30:54, 20:44]
    shown = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8) for _ in range(2)]
    shown[0][30:54, 40:64] = small
    shown[1][27:57, 37:67] = small[np.arange(30) * 24 // 30][:, np.arange(30) * 24 // 30]
    box = follow_box(shown, np.array([40.0, 30, 64, 54]))[-1]
    assert 26 < box[2] - box[0] < 33


def test_a_folder_is_scored_by_the_serving_session(tmp_path: Path) -> None:
    subject = {
        "name": "square",
        "first_point": {"frame": 0, "xy": [32, 42]},
        "boxes": {str(at): square(at) for at in (0, 4, 8)} | {"10": None},
    }
    late = {"name": "late", "boxes": {"0": None, "99": [0, 0, 9, 9], "6": square(6), "11": square(11)}}
    scores = evaluate(opener(tiny_network()), folder(tmp_path, [subject, late]))
    assert {"mean_iou_box", "mean_iou_point", "discovery_recall", "absent_right"} <= set(scores)
    assert scores["subjects"] == 2 and scores["judged"] == 3 and scores["absent_judged"] == 1
    assert scores["mean_iou_flow"] > 0.85 > 0.5 > scores["mean_iou_copy"]
    assert "missing.mkv" in "\n".join(scores["skipped"])
    assert [row["subject"] for row in scores["rows"]] == ["square", "late"]


def test_pictures_are_the_grid_and_the_annotated_ones(tmp_path: Path) -> None:
    boxes = {"0": square(0), "7": square(7)}
    point = {"frame": 3, "xy": [40, 40]}
    (clip, _) = read_boxes(folder(tmp_path, [{"boxes": boxes, "first_point": point}]), Notes())
    assert sampled(clip, 2.0) == {0, 3, 4, 7}
    assert clip.subjects[0].first_point == pytest.approx((3, 40 / WIDTH, 40 / HEIGHT))


@pytest.mark.parametrize(
    "point", [None, {"frame": 0}, {"frame": 0, "xy": [500, 2]}, {"frame": -1, "xy": [5, 2]}]
)
def test_without_a_usable_point_the_middle_of_the_first_box_is_taken(tmp_path: Path, point: object) -> None:
    (clip, _) = read_boxes(
        folder(tmp_path, [{"boxes": {"2": [0, 0, 64, 48]}, "first_point": point}]), Notes()
    )
    start = Start.of(clip.subjects[0])
    assert (start.number, start.point_number) == (2, 2)
    assert start.point.tolist() == [0.25, 0.25]


def test_what_is_not_shown_scores_nothing_and_is_right_only_where_it_is_gone() -> None:
    box = (0.1, 0.1, 0.3, 0.3)
    subject = Subject("x", frozenset(), frozenset(), {0: box, 1: box, 2: box, 3: None, 4: None})
    here = np.array(box, np.float32)
    shown = {0: here, 1: here, 2: None, 3: None, 4: here}
    row = judge(subject, Start.of(subject), shown, shown, shown, {1: [here], 2: []})
    assert (row["iou_box"], row["iou_copy"], row["first_iou"]) == (0.5, 1.0, 1.0)
    assert (row["absent"], row["absent_right"], row["discovered"], row["judged"]) == (2, 1, 1, 2)
    scores = report([row, row | {"iou_box": None, "discovered": 0, "area": 0.0}])
    assert scores["mean_iou_box"] == 0.5 and scores["discovery_recall"] == 0.25
    assert scores["discovery_subjects"] == 0.5 and scores["absent_right"] == 0.5
    assert scores["small_iou_box"] is None
