"""Is a model folder whole and right? Every file and every tensor judged, the weights never held in memory at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from modeling.pixelrefer.calibration import Calibration
from modeling.pixelrefer.checkpoint import (
    UNUSED,
    GenerationSettings,
    fit_config,
    ignored_tensors,
    meta_network,
    number_format,
    read_config,
)
from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.profile import profile_of
from modeling.pixelrefer.tokenizer import IMAGE, REGION, TURN_END, TURN_START, load_tokenizer
from modeling.report import Report
from modeling.stored import NUMBER_FORMATS, Survey, WeightsError, quote_names, survey
from modeling.weights import compare_shapes, read_tensors

CHUNK = 1 << 24
"""Numbers looked at in one step."""


def verify_folder(folder: Path, values: bool = False) -> Report:
    """Judge configuration, tokenizer, settings, shards, and each tensor's name, shape and number format.

    With `values` every number is read too, a piece of a tensor at a time; NaN and infinity are faults. A folder that
    is wrong raises nothing: the report says what is wrong.
    """
    report = Report(folder)
    block = _tried(report, lambda: read_config(folder))
    found = _tried(report, lambda: survey(folder))
    if found is not None:
        _count(found, report)
        report.faults += found.complaints
    if block is None or found is None:
        return report
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    format_ = _tried(report, lambda: number_format(block))
    report.number_format = str(format_).removeprefix("torch.") if format_ else ""
    try:
        config = fit_config(block, shapes)
    except ValueError as fault:
        # Where files are lost, what cannot be inferred is no fault of its own.
        if not (found.lost_files and isinstance(fault, WeightsError)):
            report.faults.append(str(fault))
        return report
    report.framework = config.framework
    _judge_tensors(config, found, report)
    _compare_config(config, block, report)
    report.faults += _settings_faults(folder, config)
    if values and not found.lost_files:
        report.faults += _value_faults(folder, config)
    return report


def _tried(report: Report, read: Any) -> Any:
    """What `read` returns, or None and a fault in the report."""
    try:
        return read()
    except ValueError as fault:
        report.faults.append(" ".join(str(fault).split()))
        return None


def _count(found: Survey, report: Report) -> None:
    tensors = found.tensors.values()
    report.tensors = len(tensors)
    report.parameters = sum(tensor.numbers for tensor in tensors)
    sizes = {name: dtype.itemsize for name, dtype in NUMBER_FORMATS.items()}
    report.stored_bytes = sum(tensor.numbers * sizes.get(tensor.spelling, 1) for tensor in tensors)


def _judge_tensors(config: CaptionerConfig, found: Survey, report: Report) -> None:
    """Names, shapes and formats against the network that the configuration makes."""
    wanted = {name: tuple(tensor.shape) for name, tensor in meta_network(config).state_dict().items()}
    shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
    optional = (*UNUSED, *found.lost)
    missing, unknown, odd = compare_shapes(wanted, shapes, optional, ignored_tensors(config))
    formats = {name: tensor.spelling for name, tensor in found.tensors.items()}
    strange = [f"{name} {spelled}" for name, spelled in formats.items() if spelled not in NUMBER_FORMATS]
    kinds = {
        "missing": missing,
        "unknown": unknown,
        "wrong shape": odd,
        "no number format of weights": strange,
    }
    report.faults += [f"{len(names)} {kind}: {quote_names(names)}" for kind, names in kinds.items() if names]
    spelled = sorted({spelling for spelling in formats.values() if spelling in NUMBER_FORMATS})
    computed = report.number_format
    if computed and [str(NUMBER_FORMATS[name]).removeprefix("torch.") for name in spelled] != [computed]:
        report.notes.append(f"stored as {', '.join(spelled)}, computed in {computed}: loading casts")


def _compare_config(config: CaptionerConfig, block: dict[str, Any], report: Report) -> None:
    """Sizes that tensors decide and config.json merely repeats."""
    repeats = {"vocab_size": config.language.vocab_size, "mm_hidden_size": config.vision.width}
    for key, true in repeats.items():
        if block.get(key, true) != true:
            report.notes.append(f"config.json says {key} {block[key]}, the tensors say {true}, which counts")


def _settings_faults(folder: Path, config: CaptionerConfig) -> Iterator[str]:
    """The small files beside the weights."""
    for name, load in (
        ("preprocessor_config.json", PatchSettings.load),
        ("generation_config.json", GenerationSettings.load),
    ):
        try:
            load(folder)
        except (ValueError, TypeError, AttributeError) as fault:
            yield f"{name}: {fault}"
    try:
        tokenizer = load_tokenizer(folder)
    except Exception as fault:  # the tokenizers package raises plain Exception for a broken file
        yield f"tokenizer: {' '.join(str(fault).split())}"
        return
    for judge in (lambda: profile_of(folder), lambda: Calibration.load(folder, tokenizer)):
        try:
            judge()
        except ValueError as fault:
            yield " ".join(str(fault).split())
    for token in (TURN_START, TURN_END, IMAGE, REGION):
        try:
            number = tokenizer.id_of(token)
        except ValueError as fault:
            yield f"tokenizer: {fault}"
            continue
        if number >= config.language.vocab_size:
            yield f"tokenizer: {token} is token {number}, the table has {config.language.vocab_size} rows"


def _value_faults(folder: Path, config: CaptionerConfig) -> Iterator[str]:
    """NaN and infinity, tensor by tensor; and an output head that is no copy of the table it is tied to."""
    bad = []
    for name, tensor in read_tensors(folder, each_mapped=True):
        pieces = tensor.reshape(-1).split(CHUNK)
        count = (
            sum(int((~torch.isfinite(piece)).sum()) for piece in pieces) if tensor.is_floating_point() else 0
        )
        if count:
            bad.append(f"{name} ({count} of {tensor.numel()})")
    if bad:
        yield f"{len(bad)} with NaN or infinity: {quote_names(bad)}"
    pair = dict(read_tensors(folder, (*ignored_tensors(config), "model.embed_tokens.weight")))
    if len(pair) == 2 and config.language.tied and not torch.equal(*pair.values()):
        yield "lm_head.weight differs from model.embed_tokens.weight, though config.json ties them"
