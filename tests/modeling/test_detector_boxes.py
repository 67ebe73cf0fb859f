"""Raw outputs of detectors: both layouts read right, nonsense left out or refused, one box for each thing."""

from __future__ import annotations

import numpy as np
import pytest

from modeling.detector.boxes import MOST_FOUND, MOST_ROWS, Found, choose, read_outputs
from modeling.detector.config import DetectorConfig, parse_config
from modeling.detector.pictures import prepare

NAMES = ["person", "car", "dog"]


def config(layout: str = "yolo", **changes: object) -> DetectorConfig:
    return parse_config({"input_px": [100, 200], "layout": layout, "names": NAMES, **changes})


def found(outputs: dict[str, np.ndarray], rules: DetectorConfig, wanted: list[int] | None = None) -> Found:
    return choose(read_outputs(outputs, rules), rules, wanted)


def yolo(*rows: tuple[float, ...]) -> np.ndarray:
    """Rows of (cx, cy, w, h, scores...) as [1, 4 + C, N]."""
    return np.array(rows, np.float32).T[None]


ROW = (100, 50, 40, 20, 0.1, 0.9, 0.2)
BOX = [0.4, 0.4, 0.6, 0.6]


@pytest.mark.parametrize("turned", [False, True])
def test_yolo_rows_become_boxes(turned: bool) -> None:
    raw = yolo(ROW, (20, 20, 10, 10, 0.0, 0.1, 0.2))
    answer = found({"anything": raw.transpose(0, 2, 1) if turned else raw}, config())
    np.testing.assert_allclose(answer.boxes, [BOX], atol=1e-6)
    assert answer.scores.tolist() == [pytest.approx(0.9)] and answer.labels.tolist() == [1]


def test_objectness_counts_as_in_yolov5() -> None:
    raw = np.array([[[100, 50, 40, 20, 0.5, 0.1, 0.9, 0.2], [100, 50, 40, 20, 0.1, 0.9, 0, 0]]], np.float32)
    answer = found({"output": raw}, config(objectness=True))
    assert answer.scores.tolist() == [pytest.approx(0.45)] and answer.labels.tolist() == [1]


BOXES = np.array([[[80, 40, 120, 60], [10, 10, 30, 30]]], np.float32)


def test_boxes_scores_and_labels_become_boxes() -> None:
    outputs = {"boxes": BOXES, "scores": np.array([[0.9, 0.2]]), "labels": np.array([[2, 1]])}
    answer = found(outputs, config("boxes"))
    np.testing.assert_allclose(answer.boxes, [BOX], atol=1e-6)
    assert answer.labels.tolist() == [2]
    flat = {name: value[0] for name, value in outputs.items()}  # torchvision has no axis for the batch
    np.testing.assert_array_equal(found(flat, config("boxes")).boxes, answer.boxes)


def test_logits_with_nothing_as_the_last_class() -> None:
    outputs = {
        "pred_boxes": np.array([[[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9]]], np.float32),
        "logits": np.array([[[0, 5, 0, 0], [0, 0, 0, 9]]], np.float32),
    }
    names = {"boxes": "pred_boxes", "scores": "logits"}
    rules = config("boxes", outputs=names, scores="softmax", box="cxcywh", units="normalized")
    answer = found(outputs, rules)
    np.testing.assert_allclose(answer.boxes, [BOX], atol=1e-6)
    assert answer.labels.tolist() == [1] and answer.scores[0] == pytest.approx(np.exp(5) / (np.exp(5) + 3))
    sure = found(outputs, config("boxes", outputs=names, scores="sigmoid", box="cxcywh", units="normalized"))
    assert sure.labels.tolist() == [1] and sure.scores[0] == pytest.approx(1 / (1 + np.exp(-5)))


def test_one_box_stays_for_each_thing_of_a_class() -> None:
    raw = yolo(
        ROW, (101, 50, 40, 20, 0.0, 0.8, 0.0), (101, 50, 40, 20, 0.7, 0.0, 0.0), (20, 20, 9, 9, 0, 0.5, 0)
    )
    assert found({"o": raw}, config()).labels.tolist() == [1, 0, 1]
    assert len(found({"o": raw}, config(nms=1)).labels) == 4


def test_only_wanted_and_named_classes_stay() -> None:
    raw = yolo(ROW, (20, 20, 10, 10, 0.8, 0, 0))
    assert found({"o": raw}, config(), wanted=[0]).labels.tolist() == [0]
    outputs = {"boxes": BOXES, "scores": np.array([0.9, 0.9]), "labels": np.array([0, 7])}
    assert len(found(outputs, config("boxes", names={"1": "person"})).labels) == 0


NONSENSE = {
    "not numbers": (np.nan, 50, 40, 20, 0.1, 0.9, 0.2),
    "infinite": (100, np.inf, 40, 20, 0.1, 0.9, 0.2),
    "negative size": (100, 50, -40, 20, 0.1, 0.9, 0.2),
    "no size": (100, 50, 0, 0, 0.1, 0.9, 0.2),
    "no score": (100, 50, 40, 20, np.nan, np.nan, np.nan),
    "infinite score": (100, 50, 40, 20, np.inf, 0.1, 0.1),
    "huge": (3e38, 50, 3e38, 20, 0.1, 0.9, 0.2),
}


@pytest.mark.parametrize("row", NONSENSE.values(), ids=NONSENSE.keys())
@pytest.mark.parametrize("scores", ["probabilities", "sigmoid", "softmax"])
def test_rows_that_mean_nothing_are_left_out(row: tuple[float, ...], scores: str) -> None:
    good = (20, 20, 10, 10, 0.1, 0.2, 9.0)
    answer = found({"o": yolo(row, good)}, config(scores=scores))
    assert answer.labels.tolist() == [2] and answer.scores[0] <= 1 and np.isfinite(answer.boxes).all()


def test_a_million_boxes_become_a_few() -> None:
    rng = np.random.default_rng(2)
    raw = np.concatenate(
        [rng.random((1, 4, 1_000_000), np.float32) * 90, rng.random((1, 3, 1_000_000), np.float32)], 1
    )
    answer = found({"o": raw}, config())
    assert 0 < len(answer.scores) <= MOST_FOUND and (np.diff(answer.scores) <= 0).all()
    assert len(found({"o": raw[:, :, :0]}, config()).scores) == 0


REFUSED = {
    "other classes": ("yolo", {"o": np.zeros((1, 84, 10))}, r"\(1, 84, 10\), not \[1, 7, N\]"),
    "one axis": ("yolo", {"o": np.zeros(7)}, "has the shape"),
    "two pictures": ("yolo", {"o": np.zeros((2, 7, 10))}, "has the shape"),
    "texts": ("yolo", {"o": np.array(["a"])}, "not numbers"),
    "too many": ("yolo", {"o": np.zeros((7, MOST_ROWS + 1), np.uint8)}, "more than"),
    "two outputs": ("yolo", {"a": np.zeros(1), "b": np.zeros(1)}, 'name one in "outputs" of a, b'),
    "five numbers": ("boxes", {"boxes": np.zeros((1, 3, 5))}, r"not \[1, N, 4\]"),
    "no scores": ("boxes", {"boxes": np.zeros((1, 3, 4)), "x": np.zeros(3)}, "no output scores"),
    "few scores": ("boxes", {"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 2))}, "has the shape"),
    "no labels": ("boxes", {"boxes": np.zeros((1, 3, 4)), "scores": np.zeros((1, 3))}, "no output labels"),
    "few labels": (
        "boxes",
        {"boxes": np.zeros((3, 4)), "scores": np.zeros(3), "labels": np.zeros(2)},
        "output labels has the shape",
    ),
}


@pytest.mark.parametrize(("layout", "outputs", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_shapes_that_do_not_fit_are_refused_in_one_line(layout: str, outputs: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_outputs(outputs, config(layout))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(300, 200), (50, 400), (100, 200), (7, 3)])
def test_a_box_of_the_input_is_put_back_into_the_picture(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 9, np.uint8)
    rules = config(value_range=255)
    values, view = prepare(picture, rules)
    assert values.shape == (3, 100, 200) and values.dtype == np.float32
    rows, columns = np.nonzero(values[0] == 9)
    whole = [columns.min() / 200, rows.min() / 100, (columns.max() + 1) / 200, (rows.max() + 1) / 100]
    np.testing.assert_allclose(view.restore(np.array([whole], np.float32)), [[0, 0, 1, 1]], atol=1e-6)
    stretched, all_of_it = prepare(picture, config(resize="stretch", value_range=255))
    assert (stretched == 9).all() and all_of_it == (0, 0, 1, 1)


def test_pixels_are_scaled_as_the_network_was_taught() -> None:
    picture = np.full((100, 200, 3), (255, 0, 51), np.uint8)
    values, _ = prepare(picture, config(mean=[0.5, 0, 0], std=[0.5, 1, 2], channels="rgb"))
    assert values[:, 0, 0].tolist() == [pytest.approx(x) for x in (1.0, 0.0, 0.1)]
    values, _ = prepare(picture, config(channels="bgr", value_range=255))
    assert values[:, 0, 0].tolist() == [51.0, 0.0, 255.0]
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="RGB uint8"):
            prepare(wrong, config())
