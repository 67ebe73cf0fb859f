"""What a detector's ``detector.json`` says: how pictures go in, what its outputs mean, and the names of its classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

CONFIG, MODEL = "detector.json", "model.onnx"
FILES = (MODEL, CONFIG)
"""What a detector's folder must hold."""
MOST_CLASSES = 20_000
LARGEST_SIDE_PX = 4096
_FILE_LIMIT_BYTES = 4_000_000

Layout = Literal["yolo", "boxes"]
Resize = Literal["letterbox", "stretch"]
Corners = Literal["xyxy", "xywh", "cxcywh"]
Units = Literal["pixels", "normalized"]
Scores = Literal["probabilities", "sigmoid", "softmax"]
Channels = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class DetectorConfig:
    """One detector's ways. Raises ValueError, in one line, for values that mean nothing.

    Attributes:
        input_px: height and width of the picture it takes.
        names: class number to name; numbers without a name are no objects (a background, say).
        layout: ``yolo``, one output [1, 4 + C, N] (or [1, N, 4 + C]); ``boxes``, boxes [1, N, 4] with scores [1, N] and
            labels [1, N], or scores [1, N, C]. The leading 1 may be missing.
        outputs: the model's names for ``boxes``, ``scores`` and ``labels``; for ``yolo`` only ``boxes``. Without them
            the layout's own words, or a model's only output.
        resize: ``letterbox`` keeps the picture's shape and fills up with ``pad``; ``stretch`` does not.
        value_range: what white is before mean and std, 1 or 255.
        mean, std: taken off and divided by, for each channel, in terms of ``value_range``.
        box: what the four numbers of a box are, in ``units`` of the input.
        scores: what a score is: a probability, or a logit for ``sigmoid`` or for ``softmax`` over the classes.
        objectness: ``yolo`` only: a fifth number says whether there is anything, as in YOLOv5.
        min_score: what is less sure is dropped.
        nms: overlap from which two boxes of one class are the same thing; 1 keeps both.
        size_input: name of a second input for height and width or width and height of the picture, as RT-DETR's export
            has; it is given those of ``input_px`` as [[width, height]].
    """

    input_px: tuple[int, int]
    names: Mapping[int, str]
    layout: Layout
    outputs: Mapping[str, str] = field(default_factory=dict)
    resize: Resize = "letterbox"
    pad: int = 114
    channels: Channels = "rgb"
    value_range: int = 1
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    box: Corners = "cxcywh"
    units: Units = "pixels"
    scores: Scores = "probabilities"
    objectness: bool = False
    min_score: float = 0.3
    nms: float = 1.0
    size_input: str = ""

    def __post_init__(self) -> None:
        for name, rule, words in _RULES:
            if not rule(getattr(self, name)):
                raise ValueError(f"{name}: {words}, not {_short(getattr(self, name))}")

    @property
    def classes(self) -> int:
        """How many scores a box has, where it has one for each class."""
        return max(self.names) + 1


def read_config(folder: Path) -> DetectorConfig:
    """The folder's configuration. Raises ValueError, in one line, when it cannot be used."""
    path = folder / CONFIG
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_LIMIT_BYTES + 1)
        if len(text) > _FILE_LIMIT_BYTES:
            raise ValueError(f"more than {_FILE_LIMIT_BYTES // 1_000_000} MB")
        tree = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {' '.join(str(error).split())}") from None
    try:
        return parse_config(tree)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_config(tree: Any) -> DetectorConfig:
    """The configuration in a JSON object. Raises ValueError naming the key that is wrong."""
    if not isinstance(tree, dict):
        raise ValueError("must hold one JSON object")
    known = {item.name for item in fields(DetectorConfig)}
    if strange := sorted(tree.keys() - known):
        raise ValueError(f"unknown key {_short(strange[0])}: there are {', '.join(sorted(known))}")
    if lacking := [name for name in ("input_px", "names", "layout") if name not in tree]:
        raise ValueError(f"{lacking[0]} is missing")
    values = {**_usual(tree["layout"]), **tree}
    values["input_px"] = _pair(values["input_px"])
    values["names"] = _names(values["names"])
    for name in ("mean", "std"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    return DetectorConfig(**values)


def _usual(layout: object) -> dict[str, Any]:
    """What is usual for a layout, where a file does not say."""
    if layout == "yolo":
        return {"box": "cxcywh", "nms": 0.6}
    return {"box": "xyxy"}


def _pair(given: object) -> object:
    """Height and width; one number stands for both."""
    if isinstance(given, list):
        return tuple(given)
    return (given, given)


def _names(given: object) -> object:
    """Class number to name, of a list or of an object with numbers as keys."""
    if isinstance(given, list):
        return dict(enumerate(given))
    if isinstance(given, dict) and all(key.isascii() and key.isdecimal() and len(key) < 8 for key in given):
        return {int(key): name for key, name in given.items()}
    return given


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _are_names(names: object) -> bool:
    if not isinstance(names, dict) or not 1 <= len(names) <= MOST_CLASSES:
        return False
    if not all(isinstance(number, int) and number < MOST_CLASSES for number in names):
        return False
    return all(
        isinstance(name, str) and 0 < len(name.strip()) <= 100 and name.isprintable()
        for name in names.values()
    )


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _one_of(name: str) -> tuple[str, Any, str]:
    choices = get_args(get_type_hints(DetectorConfig)[name])
    return name, lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}"


def _triple(name: str, least: float, words: str) -> tuple[str, Any, str]:
    def right(value: object) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == 3
            and all(_is_number(x) and abs(x) >= least for x in value)
        )

    return name, right, words


_RULES = (
    (
        "input_px",
        lambda pair: (
            isinstance(pair, tuple)
            and len(pair) == 2
            and all(
                isinstance(side, int) and not isinstance(side, bool) and 16 <= side <= LARGEST_SIDE_PX
                for side in pair
            )
        ),
        f"a side, or [height, width], of 16 to {LARGEST_SIDE_PX} pixels",
    ),
    ("names", _are_names, "a list of names, or an object from class number to name"),
    *(_one_of(name) for name in ("layout", "resize", "channels", "box", "units", "scores")),
    (
        "outputs",
        lambda given: (
            isinstance(given, dict)
            and given.keys() <= {"boxes", "scores", "labels"}
            and all(isinstance(name, str) and name for name in given.values())
        ),
        "an object with the model's names for boxes, scores and labels",
    ),
    ("pad", lambda value: isinstance(value, int) and 0 <= value <= 255, "a grey level of 0 to 255"),
    ("value_range", lambda value: value in (1, 255), "1 or 255"),
    _triple("mean", 0.0, "three numbers"),
    _triple("std", 1e-6, "three numbers other than 0"),
    ("objectness", lambda value: isinstance(value, bool), "true or false"),
    ("min_score", lambda value: _is_number(value) and 0 < value < 1, "a number between 0 and 1"),
    ("nms", lambda value: _is_number(value) and 0 < value <= 1, "a number above 0 and up to 1"),
    ("size_input", lambda value: isinstance(value, str), "the name of an input"),
)
