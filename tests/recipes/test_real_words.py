"""Words on real footage: what is asked, what a sentence names, how it is judged, and folders with faults."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modeling.pixelrefer.questions import MAX_FRAMES, question
from modeling.pixelrefer.request import Request
from recipes import evaluate_real_words
from recipes.benchmarks.asking import filled, request_for
from recipes.benchmarks.boxes import Notes, check_folder, read_boxes
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


def test_endings_that_did_not_happen_are_counted(tmp_path: Path) -> None:
    film(tmp_path / "a.mkv", 2.5)
    stays = {"boxes": {"0": [0, 40, 32, 72], "8": [32, 40, 64, 72], "16": [80, 40, 112, 72]}}
    leaves = {"boxes": {"0": [64, 8, 80, 40], "8": [96, 8, 112, 40], "16": None}}
    where = folder(tmp_path, [{"clip": "a.mkv", "subjects": [stays, leaves]} | SIZE])
    scores = evaluate(lambda request: "something red moves to the right and leaves the view", where)
    assert (scores["gone_wrongly"], scores["gone_judged"], scores["answers"]) == (1.0, 1, 2)
    assert [row["gone_wrong"] for row in scores["sentences"]] == [True, False]
    assert evaluate(lambda request: "something red moves to the right", where)["gone_wrongly"] == 0.0


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("a red ball rolls to the left and leaves the view", True),
        ("a red ball rolls to the left and disappears behind the blue box", True),
        ("a red ball rolls to the left and stops", False),
        ("a red ball enters from the left and rolls to the right", False),
        ("The dog runs across the lawn and disappears.", True),
        ("The bird flies up and exits the frame.", True),
        ("The ball is hidden by the table.", True),
        ("The dog walks out of the picture.", True),
        ("The dog sits beside a plant with green leaves on the left.", False),
        ("A man with a hidden face stands still.", False),
    ],
)
def test_that_a_thing_is_gone_is_told(text: str, gone: bool) -> None:
    assert told(text).gone is gone


@pytest.mark.parametrize(
    "name", ["../a.mkv", "/etc/passwd", "below/../../a.mkv", "", ".", "a\nb.mkv", "a\0b", "n" * 5000]
)
def test_clips_outside_the_folder_are_not_looked_at(tmp_path: Path, name: str) -> None:
    film(tmp_path / "a.mkv", 1)
    inside = tmp_path / "inside"
    inside.mkdir()
    notes = Notes()
    entry = {"clip": name, "subjects": [{"boxes": {"0": [0, 0, 9, 9]}}]} | SIZE
    assert read_boxes(folder(inside, [entry]), notes) == []
    (line,) = notes.lines
    assert line.startswith("entry 0 of boxes.json: ") and "no file inside the folder" in line
    with pytest.raises(ValueError, match="nothing to judge"):
        check_folder(inside)


def test_clips_may_lie_in_folders_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    film(tmp_path / "below" / "a.mkv", 1)
    entry = {"clip": "below/a.mkv", "subjects": [{"boxes": {"0": [0, 0, 9, 9]}}]} | SIZE
    (clip,) = read_boxes(folder(tmp_path, [entry]), Notes())
    assert clip.path == tmp_path / "below" / "a.mkv"


def test_values_of_other_types_are_told_in_a_line_each(tmp_path: Path) -> None:
    box = {"0": [0, 0, 64, 64]}
    subjects = [
        {"name": "two\nlines ", "boxes": box},
        {"name": ["x"], "boxes": box, "classes": "ball", "colours": [1, None, "red"]},
        {"name": "list", "boxes": [[0, 0, 9, 9]]},
        {"name": "far", "boxes": box | {"9" * 5000: [0, 0, 9, 9], "-1": None, "1": [0, 0, float("inf"), 9]}},
        {"name": "point", "boxes": box, "first_point": {"frame": True, "xy": [1, 1]}},
        {"name": "null", "boxes": box, "classes": None, "colours": None, "first_point": None},
    ]
    notes = Notes()
    entries = [{"clip": "a.mkv", "subjects": subjects} | SIZE, {"clip": "b.mkv", "subjects": 3} | SIZE]
    (clip,) = read_boxes(folder(tmp_path, entries), notes)
    named = ["two lines", "subject 1", "far", "point", "null"]
    assert [subject.name for subject in clip.subjects] == named
    assert clip.subjects[1].colours == {"red"} and clip.subjects[2].boxes.keys() == {0}
    assert all("\n" not in line for line in notes.lines)
    for part in (
        "subject 1: classes must be a list, not str",
        "subject 1: colours must be words",
        "list: boxes must be an object",
        "point: first_point is no frame",
        "b.mkv: subjects must be a list, not int",
    ):
        assert part in "\n".join(notes.lines)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "\xff", "7"])
def test_boxes_that_are_no_json_list_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "boxes.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match="boxes.json: "):
        read_boxes(tmp_path, Notes())


def test_a_run_that_judged_nothing_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path / "short.mkv", 1)
    subject = {"name": "late", "boxes": {"99": [0, 0, 64, 96]}}
    where = folder(tmp_path, [{"clip": "short.mkv", "subjects": [subject]} | SIZE])
    monkeypatch.setattr("sys.argv", ["evaluate_real_words", str(where)])
    with pytest.raises(SystemExit, match="2"):
        evaluate_real_words.main()
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    assert "nothing could be judged" in shown.err and "no pictures [99]" in shown.err


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
