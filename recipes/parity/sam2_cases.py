"""Read a folder of recorded tracker runs: the model, the pictures, what was done and what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from sam2.sam2_video_predictor import SAM2VideoPredictor

from modeling.sam2.build import build_tracker, weight_faults
from recipes.parity.official_sam2 import Act, Tensors
from recipes.parity.table import WrongFolder, need

SCENARIOS = ("main", "extra")
CONFIGS = ("config.json", "config.yaml")


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded run. ``outputs`` has the tensors of every (object, step), ``anchored`` the prompted ones."""

    name: str
    acts: tuple[Act, ...]
    outputs: dict[tuple[int, int], Tensors]
    anchored: frozenset[tuple[int, int]]
    video_masks: dict[int, dict[int, np.ndarray]]  # step -> object -> bool [H, W]
    video_size: tuple[int, int]


def read_model(folder: Path) -> SAM2VideoPredictor:
    """The recorded model. Weights kept as int8 have a factor each, ``NAME.factor``. Raises WrongFolder."""
    need(folder, "weights.safetensors")
    config = next((folder / name for name in CONFIGS if (folder / name).exists()), None)
    if config is None:
        raise WrongFolder(f"{folder} is not the parity data asked for: it lacks {' or '.join(CONFIGS)}")
    stored = load_file(folder / "weights.safetensors")
    weights = {
        name: tensor.float() * stored[f"{name}.factor"] if tensor.dtype == torch.int8 else tensor
        for name, tensor in stored.items()
        if not name.endswith(".factor")
    }
    model = build_tracker(config)
    if faults := weight_faults(model.state_dict(), weights):
        raise WrongFolder(f"{folder}: weights do not fit the configuration: {'; '.join(faults)}")
    model.load_state_dict(weights)
    return model


def read_pictures(folder: Path) -> list[np.ndarray]:
    """The recorded pictures at the model's input size, RGB uint8 [S, S, 3]."""
    need(folder, "frames.npz")
    with np.load(folder / "frames.npz", allow_pickle=False) as archive:
        return list(archive["model_input_uint8"])


def read_case(folder: Path, name: str) -> Case:
    """A recorded scenario."""
    need(folder, f"{name}.json", f"{name}.safetensors")
    told = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / f"{name}.safetensors")
    size = (told["video_height"], told["video_width"])
    keys = [(entry["obj"], entry["frame"]) for entry in told["outputs"]]
    return Case(
        name=name,
        acts=tuple(read_acts(told)),
        outputs={key: _outputs(tensors, *key) for key in keys},
        anchored=frozenset((x["obj"], x["frame"]) for x in told["outputs"] if x["conditioning"]),
        video_masks=_video_masks(told, tensors, size),
        video_size=size,
    )


def read_acts(told: dict[str, Any]) -> list[Act]:
    """What was done, in order; pixel coordinates become normalised ones, in single precision."""
    size = np.array([told["video_width"], told["video_height"]], np.float32)
    acts, step = [], 0
    for op in told["ops"]:
        if op["op"] == "propagate":
            step = op["end"]
        elif op["op"] == "points":
            points = np.array(op["points"], np.float32) / size
            acts.append(Act(op["frame"], op["obj"], points=points, labels=np.array(op["labels"], np.int32)))
        elif op["op"] == "box":
            box = np.array(op["box"], np.float32).reshape(2, 2) / size
            acts.append(Act(op["frame"], op["obj"], box=box.ravel()))
        elif op["op"] == "mask":
            acts.append(Act(op["frame"], op["obj"], mask=_mask(op["mask_box"], told)))
        elif op["op"] == "remove":
            acts.append(Act(step, op["obj"]))
        else:
            raise WrongFolder(f"unknown operation {op['op']!r} in the recorded run")
    return acts


def _mask(box: list[int], told: dict[str, Any]) -> np.ndarray:
    mask = np.zeros((told["video_height"], told["video_width"]), bool)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    return mask


def _outputs(tensors: Tensors, object_id: int, step: int) -> Tensors:
    prefix = f"obj{object_id}.frame{step:02d}."
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def _video_masks(
    told: dict[str, Any], tensors: Tensors, size: tuple[int, int]
) -> dict[int, dict[int, np.ndarray]]:
    shown = {entry["frame"]: entry["obj_ids"] for entry in told["yields"]}  # the last yield of a frame counts
    masks = {}
    for step, ids in shown.items():
        packed = tensors[f"video_masks.frame{step:02d}"].numpy().reshape(len(ids), size[0], -1)
        unpacked = np.unpackbits(packed, axis=-1, count=size[1]).astype(bool)
        masks[step] = dict(zip(ids, unpacked, strict=True))
    return masks
