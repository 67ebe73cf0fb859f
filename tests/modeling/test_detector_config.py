"""What stands in a detector.json: usual values, and one clear line for every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modeling.detector.config import parse_config, read_config
from modeling.detector.words import match, quoted

PLAIN = {"input_px": 640, "layout": "yolo", "names": ["person", "car"]}


def test_little_needs_to_be_said() -> None:
    yolo = parse_config(PLAIN)
    assert (yolo.input_px, yolo.box, yolo.units, yolo.resize, yolo.nms) == (
        (640, 640),
        "cxcywh",
        "pixels",
        "letterbox",
        0.6,
    )
    boxes = parse_config({**PLAIN, "layout": "boxes", "input_px": [480, 640], "names": {"1": "person"}})
    assert (boxes.input_px, boxes.box, boxes.nms, boxes.classes) == ((480, 640), "xyxy", 1.0, 2)


WRONG = {
    "a list": ([], "must hold one JSON object"),
    "no layout": ({"input_px": 64, "names": ["a"]}, "layout is missing"),
    "typo": ({**PLAIN, "min_scores": 1}, "unknown key 'min_scores': there are box, channels"),
    "layout": ({**PLAIN, "layout": "ssd"}, "layout: one of yolo, boxes, not 'ssd'"),
    "layout of another kind": ({**PLAIN, "layout": ["yolo"]}, "layout: one of"),
    "size": (
        {**PLAIN, "input_px": 8},
        r"input_px: a side, or \[height, width\], of 16 to 4096 pixels, not \(8, 8\)",
    ),
    "three sizes": ({**PLAIN, "input_px": [64, 64, 3]}, "input_px"),
    "huge": ({**PLAIN, "input_px": 10**9}, "input_px"),
    "no names": ({**PLAIN, "names": []}, "names: a list of names"),
    "names with numbers": ({**PLAIN, "names": [1, 2]}, "names"),
    "name that breaks lines": ({**PLAIN, "names": ["a\nb"]}, "names"),
    "class of a huge number": ({**PLAIN, "names": {"9999999": "a"}}, "names"),
    "class of no number": ({**PLAIN, "names": {"first": "a"}}, "names"),
    "mean": ({**PLAIN, "mean": 0.5}, "mean: three numbers, not 0.5"),
    "std": ({**PLAIN, "std": [1, 1, 0]}, "std: three numbers other than 0"),
    "infinite mean": ({**PLAIN, "mean": [float("inf"), 0, 0]}, "mean"),
    "score": ({**PLAIN, "min_score": 0}, "min_score: a number between 0 and 1, not 0"),
    "overlap": ({**PLAIN, "nms": None}, "nms: a number above 0 and up to 1, not None"),
    "outputs": ({**PLAIN, "outputs": {"box": "x"}}, "outputs: an object with the model's names"),
    "range": ({**PLAIN, "value_range": 2}, "value_range: 1 or 255, not 2"),
    "box": ({**PLAIN, "box": "yxyx"}, "box: one of xyxy, xywh, cxcywh"),
}


@pytest.mark.parametrize(("tree", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_one_line_that_names_it(tmp_path: Path, tree: object, words: str) -> None:
    (tmp_path / "detector.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=words) as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path / "detector.json") in str(caught.value)


@pytest.mark.parametrize("text", ["{", "", '{"names": ' + "[" * 100_000, " " * 4_000_001])
def test_a_file_that_is_no_json_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "detector.json").write_text(text)
    with pytest.raises(ValueError, match="cannot be read as JSON") as caught:
        read_config(tmp_path)
    assert "\n" not in str(caught.value)


def test_words_are_matched_but_for_case_plural_and_joints() -> None:
    names = ["person", "fire hydrant", "Traffic_Light", "bus", "scissors"]
    found = match(["PERSONS", " fire-hydrant", "traffic light", "bus", "scissor", "dragon"], names)
    assert found.names == ("person", "fire hydrant", "Traffic_Light", "bus", "scissors")
    assert found.unknown == ("dragon",)
    assert match(["s", ""], ["person"]) == ((), ("s", ""))


def test_of_many_names_the_first_are_quoted() -> None:
    assert quoted(["a", "b"]) == "a, b"
    assert quoted([str(n) for n in range(80)], 3) == "0, 1, 2 ... (80 in all)"
