"""Is a tracker's folder whole and right? Configuration and every tensor judged by the network the former makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open

from modeling.report import Report
from modeling.sam2.build import read_config
from modeling.sam2.official import CONFIG, WEIGHTS, origin_of
from modeling.sam2.on_paper import build_on_paper
from modeling.sam2.segmenter import read_window
from modeling.stored import NUMBER_FORMATS, StoredTensor, quote_names
from modeling.weights import compare_shapes

FRAMEWORK = "SAM 2.1 tracker"
Shapes = dict[str, tuple[int, ...]]
T = TypeVar("T")


def verify_tracker(folder: Path, values: bool = False) -> Report:
    """Judge ``config.json`` and each tensor's name, shape and number format; with `values` also NaN and infinity.

    A folder that is wrong raises nothing: the report says what is wrong.
    """
    report = Report(folder, framework=FRAMEWORK, number_format="float32")
    wanted = _tried(report, lambda: _wanted(folder / CONFIG))
    found = _tried(report, lambda: _stored(folder / WEIGHTS))
    _tried(report, lambda: read_window(folder / CONFIG) if wanted is not None else None)
    if found is not None:
        _judge_formats(found, report)
    if wanted is not None and found is not None:
        missing, unknown, odd = compare_shapes(wanted, {name: x.shape for name, x in found.items()})
        kinds = (("missing", missing), ("unknown", unknown), ("wrong shape", odd))
        report.faults += [f"{len(names)} {kind}: {quote_names(names)}" for kind, names in kinds if names]
    if values and found is not None:
        report.faults += _value_faults(folder / WEIGHTS)
    if origin := origin_of(folder):
        report.notes.append("made from " + ", ".join(f"{key} {value}" for key, value in origin.items()))
    return report


def _tried(report: Report, read: Callable[[], T]) -> T | None:
    """What `read` returns, or None and a fault in the report."""
    try:
        return read()
    except (ValueError, OSError) as fault:
        report.faults.append(" ".join(str(fault).split()))
        return None


def _wanted(config: Path) -> Shapes:
    """Names and shapes of the network that ``config.json`` describes."""
    tree = read_config(config)
    size = tree.get("image_size")
    if not isinstance(size, int) or size <= 0 or size % 32:
        raise ValueError(f"tracker configuration: {config}: image_size {size} is no multiple of 32")
    return {name: tuple(tensor.shape) for name, tensor in build_on_paper(tree).state_dict().items()}


def _stored(weights: Path) -> dict[str, StoredTensor]:
    """Names, shapes and number formats of the stored tensors; none is loaded."""
    if not weights.is_file():
        raise FileNotFoundError(f"tracker weights: {weights} is not there")
    try:
        with safe_open(weights, framework="pt") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}
            return {
                name: StoredTensor(weights, tuple(piece.get_shape()), piece.get_dtype())
                for name, piece in slices.items()
            }
    except (SafetensorError, OSError) as fault:
        raise ValueError(f"tracker weights: {weights} is not a readable safetensors file: {fault}") from None


def _judge_formats(found: dict[str, StoredTensor], report: Report) -> None:
    """Count what is stored; formats that are none of weights are faults, others than the computed one a note."""
    report.tensors = len(found)
    report.parameters = sum(tensor.numbers for tensor in found.values())
    sizes = {spelling: dtype.itemsize for spelling, dtype in NUMBER_FORMATS.items()}
    report.stored_bytes = sum(x.numbers * sizes.get(x.spelling, 1) for x in found.values())
    strange = [f"{name} {x.spelling}" for name, x in found.items() if x.number_format is None]
    if strange:
        report.faults.append(f"{len(strange)} no number format of weights: {quote_names(strange)}")
    spelled = sorted({x.spelling for x in found.values()} & sizes.keys())
    if spelled not in ([], ["F32"]):
        report.notes.append(f"stored as {', '.join(spelled)}, computed in float32: loading casts")


def _value_faults(weights: Path) -> Iterator[str]:
    """NaN and infinity, tensor by tensor."""
    bad = []
    with safe_open(weights, framework="pt") as opened:
        for name in opened.keys():
            tensor = opened.get_tensor(name)
            count = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
            if count:
                bad.append(f"{name} ({count} of {tensor.numel()})")
    if bad:
        yield f"{len(bad)} with NaN or infinity: {quote_names(bad)}"
