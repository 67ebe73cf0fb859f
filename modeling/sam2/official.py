"""The official SAM 2.1 checkpoints made into folders that :func:`modeling.sam2.segmenter.load_segmenter` takes.

Published are a torch file ``sam2.1_hiera_*.pt`` with the network's tensors under ``model``, by the names they have in
the ``sam2`` package, and beside it a yaml file with the network's sizes. The torch file is read as weights only.
(``model.safetensors`` in the same repositories is another layout: renamed and partly merged tensors.)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from modeling.sam2.build import read_config, weight_faults
from modeling.sam2.on_paper import build_on_paper
from modeling.stored import WeightsError, quote_names, read_bin

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
ORIGIN = "made_from"
"""The block of a made folder's ``config.json`` that says which checkpoint it was made from."""

# What the package's own builder of video predictors adds to the yaml files by default. Its fifth addition, filling
# holes of masks, needs a compiled extension and changes what is shown, not what is remembered: it is left out.
PREDICTOR_SETTINGS: dict[str, Any] = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def make_folder(checkpoint: Path, config_name: str, folder: Path, origin: Mapping[str, str]) -> bool:
    """Make a tracker's folder from an official checkpoint; False when it is there already, made from the same file.

    ``config_name`` is the checkpoint's yaml file, looked for beside it and then in the ``sam2`` package; ``origin`` is
    noted in ``config.json``. Files appear whole, ``config.json`` last. Raises WeightsError naming missing, unknown or
    misshapen tensors, ValueError for a configuration that builds nothing or a folder that holds another model, and
    OSError where the folder cannot be written.
    """
    noted = {**origin, "checkpoint": checkpoint.name, "sha256": digest_of(checkpoint)}
    before = origin_of(folder)
    if before.get("sha256") == noted["sha256"] and (folder / WEIGHTS).is_file():
        return False
    if not before and (folder / CONFIG).exists():
        raise ValueError(f"{folder} holds another model: name an empty or new folder")
    tree = published_config(checkpoint.parent / config_name)
    tensors = read_checkpoint(checkpoint)
    faults = checkpoint_faults(tensors, tree)
    if faults:
        raise WeightsError(f"{checkpoint} does not fit {config_name}: {'; '.join(faults)}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    whole = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    _put(folder / WEIGHTS, lambda part: save_file(whole, part))
    text = json.dumps({ORIGIN: noted, "model": tree}, indent=1)
    _put(folder / CONFIG, lambda part: part.write_text(text + "\n", encoding="utf-8"))
    return True


def published_config(yaml_file: Path) -> dict[str, Any]:
    """The network's configuration from an official yaml file, with what the package adds for video predictors.

    A file that is not there is taken from the package by its name. Raises FileNotFoundError or ValueError.
    """
    if yaml_file.is_file():
        tree = read_config(yaml_file)
    else:
        with as_file(files("sam2") / "configs" / "sam2.1" / yaml_file.name) as shipped:
            tree = read_config(shipped)
    return {**_with_numbers(tree), **PREDICTOR_SETTINGS}


def read_checkpoint(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of an official checkpoint, by name. Raises WeightsError for anything else."""
    if not file.is_file():
        raise WeightsError(f"{file} is not there")
    try:
        held = read_bin(file)
    except WeightsError:  # the reader's own words fill a screen
        raise WeightsError(
            f"{file} is no readable checkpoint: cut short, damaged, or holding more than weights; fetch it again"
        ) from None
    tensors = held.get("model") if isinstance(held, Mapping) else None
    if not isinstance(tensors, Mapping):
        raise WeightsError(f"{file} is no SAM 2.1 checkpoint: it holds no tensors under 'model'")
    strays = [str(name) for name, value in tensors.items() if not isinstance(value, torch.Tensor)]
    if strays:
        raise WeightsError(f"{file} is no SAM 2.1 checkpoint: {quote_names(strays)} are no tensors")
    return dict(tensors)


def checkpoint_faults(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> list[str]:
    """What keeps the tensors from being the weights of ``config``: one phrase for each kind of fault, with names."""
    faults = weight_faults(build_on_paper(config).state_dict(), tensors)
    strange = [f"{name} {x.dtype}" for name, x in tensors.items() if not x.is_floating_point()]
    return faults + ([f"{len(strange)} that hold no real numbers: {quote_names(strange)}"] if strange else [])


def origin_of(folder: Path) -> dict[str, str]:
    """What a made folder notes of its origin; empty for any other folder."""
    try:
        block = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get(ORIGIN)
    except (OSError, ValueError, AttributeError):
        return {}
    return {str(key): str(value) for key, value in block.items()} if isinstance(block, dict) else {}


def digest_of(file: Path) -> str:
    """SHA-256 of a file. Raises WeightsError when it is not there."""
    if not file.is_file():
        raise WeightsError(f"{file} is not there")
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _put(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and give it its own when it is whole."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(file)
    except SafetensorError as fault:
        raise OSError(f"{file}: {fault}") from fault
    finally:
        part.unlink(missing_ok=True)


def _with_numbers(node: Any) -> Any:
    """The same tree with ``1e-6`` as a number: the yaml reader takes it for a word, the package's does not."""
    if isinstance(node, Mapping):
        return {key: _with_numbers(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_numbers(value) for value in node]
    return float(node) if isinstance(node, str) and _EXPONENT.fullmatch(node) else node
