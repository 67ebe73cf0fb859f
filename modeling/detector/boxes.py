"""A detector's raw outputs as boxes: their layout read, what means nothing left out, one box for each thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from modeling.detector.config import DetectorConfig

MOST_ROWS = 2_000_000
"""Rows of an output; a larger one is no detector's answer."""
MOST_CANDIDATES = 1000
"""Boxes compared with each other, the surest first."""
MOST_FOUND = 64


class Found(NamedTuple):
    """Boxes float32 [n, 4] as (x0, y0, x1, y1), scores float32 [n], class numbers int [n]; the surest first."""

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def read_outputs(outputs: Mapping[str, np.ndarray], config: DetectorConfig) -> Found:
    """All boxes of an answer in units of the input's sides, unsorted. Raises ValueError for shapes that do not fit."""
    boxes, scores, labels = _yolo(outputs, config) if config.layout == "yolo" else _boxes(outputs, config)
    height, width = config.input_px
    boxes = _corners(boxes.astype(np.float32), config.box)
    if config.units == "pixels":
        boxes = boxes / np.array((width, height, width, height), np.float32)
    return Found(boxes, scores.astype(np.float32), labels)


def choose(found: Found, config: DetectorConfig, wanted: Collection[int] | None = None) -> Found:
    """At most MOST_FOUND boxes that mean something: sure enough, of a named (and wanted) class, each thing once."""
    named = np.array(sorted(config.names.keys() if wanted is None else wanted), dtype=np.int64)
    with np.errstate(invalid="ignore"):
        sizes = found.boxes[:, 2:] - found.boxes[:, :2]
    good = (found.scores >= config.min_score) & np.isfinite(found.scores) & np.isin(found.labels, named)
    good &= np.isfinite(found.boxes).all(axis=1) & (sizes > 0).all(axis=1)
    at = np.flatnonzero(good)
    at = at[np.argsort(-found.scores[at], kind="stable")][:MOST_CANDIDATES]
    sure = Found(found.boxes[at], found.scores[at], found.labels[at])
    kept = _distinct(sure, config.nms)
    return Found(sure.boxes[kept], np.minimum(sure.scores[kept], 1.0), sure.labels[kept])


def _yolo(
    outputs: Mapping[str, np.ndarray], config: DetectorConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    name, raw = _output(outputs, config, "boxes")
    extra = 5 if config.objectness else 4
    columns = extra + config.classes
    rows = _unbatched(raw, 2)
    if rows is not None and rows.shape[0] == columns:
        rows = rows.T
    if rows is None or rows.shape[1] != columns:
        parts = f"4 for the box, {'1 for objectness, ' if config.objectness else ''}{config.classes} for the classes"
        raise ValueError(f"output {name} has the shape {raw.shape}, not [1, {columns}, N]: {parts}")
    _check_rows(name, rows)
    scores, labels = _best_class(rows[:, extra:], config)
    if config.objectness:
        scores = scores * _likely(rows[:, 4], config)
    return rows[:, :4], scores, labels


def _boxes(
    outputs: Mapping[str, np.ndarray], config: DetectorConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    name, raw = _output(outputs, config, "boxes")
    boxes = _unbatched(raw, 2)
    if boxes is None or boxes.shape[1] != 4:
        raise ValueError(f"output {name} has the shape {raw.shape}, not [1, N, 4]")
    _check_rows(name, boxes)
    name, raw = _output(outputs, config, "scores")
    of_classes = _unbatched(raw, 2)
    if of_classes is not None and of_classes.shape[0] == len(boxes) and of_classes.shape[1] >= config.classes:
        return boxes, *_best_class(of_classes, config)
    scores = _unbatched(raw, 1)
    if scores is None or len(scores) != len(boxes):
        count = f"[1, {len(boxes)}] or [1, {len(boxes)}, {config.classes} or more]"
        raise ValueError(f"output {name} has the shape {raw.shape}, not {count}")
    name, raw = _output(outputs, config, "labels")
    labels = _unbatched(raw, 1)
    if labels is None or len(labels) != len(boxes):
        raise ValueError(f"output {name} has the shape {raw.shape}, not [1, {len(boxes)}]")
    return (
        boxes,
        _likely(scores, config),
        np.nan_to_num(labels, nan=-1, posinf=-1, neginf=-1).astype(np.int64),
    )


def _output(outputs: Mapping[str, np.ndarray], config: DetectorConfig, part: str) -> tuple[str, np.ndarray]:
    """The output that holds a part, and its name."""
    name = config.outputs.get(part, part)
    if part not in config.outputs and part not in outputs and len(outputs) == 1 and part == "boxes":
        name = next(iter(outputs))
    if name not in outputs:
        there = ", ".join(sorted(outputs))
        raise ValueError(f'there is no output {name} for the {part}: name one in "outputs" of {there}')
    raw = np.asarray(outputs[name])
    if raw.dtype.kind not in "fiu":
        raise ValueError(f"output {name} holds {raw.dtype}, not numbers")
    return name, raw


def _unbatched(raw: np.ndarray, axes: int) -> np.ndarray | None:
    """The array without the axis of a batch of one, if it has as many axes as are wanted."""
    if raw.ndim == axes + 1 and raw.shape[0] == 1:
        raw = raw[0]
    return raw if raw.ndim == axes else None


def _check_rows(name: str, rows: np.ndarray) -> None:
    if len(rows) > MOST_ROWS:
        raise ValueError(f"output {name} has {len(rows)} boxes, more than {MOST_ROWS}")


def _best_class(scores: np.ndarray, config: DetectorConfig) -> tuple[np.ndarray, np.ndarray]:
    """Of every row the likeliest class and its probability; not a number where any score of the row is none."""
    scores = scores.astype(np.float32)
    broken = ~(scores < np.inf).all(
        axis=1
    )  # a class can be ruled out by minus infinity, but not made certain
    scores[broken] = 0
    labels = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), labels]
    if config.scores == "softmax":
        with np.errstate(invalid="ignore"):  # a row that rules out every class
            likely = 1 / np.exp(scores - best[:, None]).sum(axis=1)
    else:
        likely = _likely(best, config)
    return np.where(broken, np.nan, likely), labels


def _likely(scores: np.ndarray, config: DetectorConfig) -> np.ndarray:
    scores = scores.astype(np.float32)
    if config.scores != "sigmoid":
        return scores
    return 1 / (1 + np.exp(-np.clip(scores, -80, 80)))


def _corners(boxes: np.ndarray, kind: str) -> np.ndarray:
    """Boxes [n, 4] of any kind as (x0, y0, x1, y1)."""
    if kind == "xyxy":
        return boxes
    first, sizes = boxes[:, :2], boxes[:, 2:]
    with np.errstate(invalid="ignore", over="ignore"):
        if kind == "cxcywh":
            first = first - sizes / 2
        return np.concatenate([first, first + sizes], axis=1)


def _distinct(found: Found, most_overlap: float) -> np.ndarray:
    """Positions of boxes that overlap no surer one of their class too much; sorted input, at most MOST_FOUND."""
    kept: list[int] = []
    for at in range(len(found.scores)):
        if len(kept) == MOST_FOUND:
            break
        rivals = np.array([k for k in kept if found.labels[k] == found.labels[at]], dtype=np.int64)
        if (
            most_overlap >= 1
            or not len(rivals)
            or _overlaps(found.boxes[at], found.boxes[rivals]).max() < most_overlap
        ):
            kept.append(at)
    return np.array(kept, dtype=np.int64)


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with each of others, none of them empty."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return shared / np.maximum(areas - shared, 1e-12)
