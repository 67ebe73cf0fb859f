"""Words on real footage: what is asked, what a sentence names, how it is judged, and folders with faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modeling.pixelrefer.questions import MAX_FRAMES, question
from modeling.pixelrefer.request import Request
from recipes.benchmarks.asking import filled, request_for
from recipes.benchmarks.boxes import Notes, read_boxes
from recipes.benchmarks.film import FilmError, read_film
from recipes.benchmarks.sentences import Told, told
from recipes.benchmarks.windows import Window, windows_of
from recipes.evaluate_real_words import evaluate
from tests.fakes.video import encode

SIZE = {"width": 128, "height": 96}


def film(path: Path, seconds: float, fps: int = 8) -> None:
    """A film of 128 x 96 whose picture ``i`` is all of the grey value ``i``."""
    count = round(seconds * fps)
    pictures = [np.full((96, 128, 3), i, np.uint8) for i in range(count)]
    path.write_bytes(encode(pictures, [i / fps for i in range(count)]))


def folder(path: Path, entries: object) -> Path:
    (path / "boxes.json").write_text(json.dumps(entries), encoding="utf-8")
    return path


def test_windows_are_short_share_their_border_and_show_judged_pictures_only() -> None:
    box = (0.2, 0.2, 0.4, 0.4)
    boxes = {number: box for number in range(0, 100, 10)} | {20: None}
    times = {number: number / 10 for number in boxes}
    windows = windows_of(boxes, times)
    assert [window.pictures for window in windows] == [(0, 10, 30, 40), (40, 50, 60, 70, 80), (80, 90)]
    assert [window.end_s for window in windows] == pytest.approx([4.25, 4.25, 1.25])
    assert windows[1].times_s == pytest.approx((0, 1, 2, 3, 4))


def test_windows_show_no_more_than_service_does_and_survive_long_gaps() -> None:
    boxes = {number: (0.0, 0.0, 0.5, 0.5) for number in (0, 100, *range(200, 240, 2))}
    windows = windows_of(boxes, {number: number / 10 for number in boxes})
    assert [len(window.pictures) for window in windows] == [1, 1, MAX_FRAMES]
    assert windows[2].pictures[0] == 200 and windows[2].pictures[-1] == 238
    speck = {0: (0.5, 0.5, 0.501, 0.501)}
    assert windows_of(speck, {0: 0.0}) == [] == windows_of(boxes, {})


@pytest.mark.parametrize(
    ("shift", "way"),
    [
        ((0.06, 0.0), "right"),
        ((-0.06, 0.05), "left"),
        ((0.04, 0.06), None),
        ((0.04, 0.1), "down"),
        ((0, -0.2), "up"),
    ],
)
def test_a_shift_is_measured_in_widths(shift: tuple[float, float], way: str | None) -> None:
    last = (0.4 + shift[0], 0.4 + shift[1], 0.6 + shift[0], 0.6 + shift[1])
    window = Window((0, 1), ((0.4, 0.4, 0.6, 0.6), last), (0.0, 1.0), 1.25)
    assert window.way(aspect=0.75) == way


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a red ball rolls slowly to the left and stops", ("ball", "red", "left")),
        ("a white car stays still", ("car", "white", None)),
        ("In the video, a woman in a white shirt walks to the right.", ("woman", "white", "right")),
        ("A brown and white dog runs across the lawn toward the camera.", ("dog", "brown", "toward")),
        ("The table tennis paddle held by the man moves quickly up.", ("paddle", None, "up")),
        ("A grey SUV enters from the left and drives on in the right lane.", ("suv", "gray", None)),
        ("An orange bowl lies on the left of the plate.", ("bowl", "orange", None)),
        ("The object moves leftward, then a dog appears.", (None, None, "left")),
        ("The object in this video appears to be a black dog.", ("dog", "black", None)),
        ("Something black drifts to the far right.", (None, "black", "right")),
        ("A long widget with a green stripe.", (None, "green", None)),
        ("", (None, None, None)),
    ],
)
def test_what_a_sentence_names(text: str, expected: tuple) -> None:
    said = told(text)
    assert (said.class_name, said.colour, said.direction) == expected


def test_classes_of_the_folder_are_words_too() -> None:
    assert told("A pole vaulter runs.").class_name == "vaulter"
    assert told("A pole vaulter runs.", frozenset({"pole vaulter"})).class_name == "pole vaulter"
    assert told("A long widget turns.", frozenset({"widget"})).class_name == "widget"


def test_stillness_is_told() -> None:
    assert told("The dog remains stationary.") == Told("dog", None, None, still=True, in_grammar=False)
    assert told("a red box stays still").still


def test_a_folder_is_scored(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", 2.5)
    subjects = [
        {
            "name": "ball",
            "classes": ["Ball"],
            "colours": ["grey"],
            "boxes": {"0": [0, 40, 32, 72], "8": [32, 40, 64, 72], "16": [80, 40, 112, 72]},
        },
        {
            "name": "post",
            "classes": ["post"],
            "colours": [],
            "boxes": {"0": [8, 8, 24, 90], "16": [9, 8, 25, 90]},
        },
    ]
    said = {0: "A gray ball rolls to the right.", 8: "The ball on the post stays still."}
    asked: list[Request] = []

    def describe(request: Request) -> str:
        asked.append(request)
        return said[int(np.flatnonzero(request.masks[0].any(0))[0])]

    scores = evaluate(describe, folder(tmp_path, [{"clip": "a.mkv", "subjects": subjects} | SIZE]))
    assert (scores["wrong_class_rate"], scores["colour_right"], scores["direction_right"]) == (0.5, 1.0, 1.0)
    assert (scores["class_named"], scores["class_right"], scores["answers"]) == (1.0, 0.5, 2)
    assert (scores["direction_judged"], scores["still_windows"], scores["still_said"]) == (1, 1, 1.0)
    assert [row["wrong_class"] for row in scores["per_subject"]] == [0, 1]
    assert scores["skipped"] == []
    assert asked[0].frames.mean(axis=(1, 2, 3)).tolist() == [0, 8, 16]
    assert asked[0].masks[1].sum() == 32 * 32 and asked[0].times_s.tolist() == [0, 1, 2]
    assert asked[0].instruction.startswith("<region>") and "2.2" in asked[0].instruction


def test_an_unnamed_or_unknown_class_is_not_a_wrong_one(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", 1)
    subject = {"boxes": {"0": [0, 0, 64, 96]}, "classes": ["dog"], "colours": ["red"]}
    where = folder(tmp_path, [{"clip": "a.mkv", "subjects": [subject]} | SIZE])
    scores = evaluate(lambda request: "The object moves to the left.", where)
    assert (scores["wrong_class_rate"], scores["class_named"], scores["colour_right"]) == (0.0, 0.0, 0.0)
    assert scores["direction_right"] is None and scores["colour_right_of_named"] is None


def test_faults_of_a_folder_are_told_and_left_out(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", 1)
    (tmp_path / "broken.mkv").write_bytes(b"no video")
    good = {"name": None, "boxes": {"0": [-5, 0, 64, 300], "4": None, "99": [0, 0, 9, 9]}}
    bad = {"name": "bad", "classes": None, "boxes": {"0": [1, 2, 3], "1": ["a", 0, 1, 1], "2": None}}
    entries = [
        {"clip": "a.mkv", "subjects": [good, bad, None, {"name": "x", "boxes": None}]} | SIZE,
        {"clip": "broken.mkv", "subjects": [good]} | SIZE,
        {"clip": "missing.mkv", "subjects": [good]} | SIZE,
        {"clip": "a.mkv", "subjects": [good]},
        {"subjects": []},
        7,
    ]
    scores = evaluate(lambda request: "a red ball stays still", folder(tmp_path, entries))
    assert scores["answers"] == 1 and scores["wrong_class_rate"] is None and scores["colour_right"] is None
    told_of = "\n".join(scores["skipped"])
    for part in (
        "picture 0",
        "x: no boxes",
        "broken.mkv",
        "missing.mkv: no such",
        "no pictures [99]",
        "entry 5",
    ):
        assert part in told_of


def test_a_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_boxes(tmp_path, Notes())
    with pytest.raises(ValueError, match="list"):
        read_boxes(folder(tmp_path, {"clip": "a"}), Notes())
    with pytest.raises(FilmError, match="no such file"):
        read_film(tmp_path / "none.mp4", [0], 64)


def test_subjects_near_by_are_shown_as_service_shows_neighbours(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", 2)
    boxes = {0: (0.0, 0.4, 0.2, 0.6), 8: (0.2, 0.4, 0.4, 0.6)}
    near, far = {8: (0.4, 0.4, 0.6, 0.6), 0: None}, {0: (0.9, 0.0, 1.0, 0.1), 8: (0.9, 0.0, 1.0, 0.1)}
    pictures = read_film(tmp_path / "a.mkv", [0, 8], 128)
    (window,) = windows_of(boxes, {number: still.time_s for number, still in pictures.stills.items()})
    asked = request_for(window, pictures, [far, near], most_neighbours=2)
    assert asked.objects.tolist() == [0, 0, 1] and asked.mask_frames.tolist() == [0, 1, 1]
    assert asked.instruction == question("detail", 1.25, 1)
    assert np.flatnonzero(asked.masks[2].any(0))[[0, -1]].tolist() == [51, 76]
    assert request_for(window, pictures, [far, near], most_neighbours=0).object_count == 1


def test_boxes_are_filled_to_their_borders() -> None:
    masks = filled([(0.0, 0.0, 0.5, 0.5), (0.95, 0.95, 1.0, 1.0)], 10, 10)
    assert masks.sum(axis=(1, 2)).tolist() == [25, 1]
    assert masks[1, 9, 9] == 1
