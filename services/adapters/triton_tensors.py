"""A caption request as the tensors of ``model_repo/pixelrefer/config.pbtxt``."""

from __future__ import annotations

import json

import numpy as np
from tritonclient.grpc import InferInput

from pipelines.ports import CaptionRequest, ClipScene

INPUTS = {
    "FRAMES": "UINT8",
    "TIMES": "FP32",
    "MASKS": "UINT8",
    "MASK_FRAMES": "INT32",
    "OBJECTS": "INT32",
    "INSTRUCTION": "BYTES",
    "MAX_TOKENS": "INT32",
    "SCENE": "BYTES",
}
OUTPUTS = ("TEXT", "PROBABILITY", "FINAL")


def tensors_of(request: CaptionRequest) -> list[InferInput]:
    """The request as Triton's input tensors."""
    values = {
        "FRAMES": np.ascontiguousarray(request.pictures),
        "TIMES": np.asarray(request.times_s, np.float32),
        "MASKS": np.ascontiguousarray(request.masks).astype(np.uint8),
        "MASK_FRAMES": np.array(request.mask_frames, np.int32),
        "OBJECTS": np.array(request.objects, np.int32),
        "INSTRUCTION": np.array([request.question.encode()], object),
        "MAX_TOKENS": np.array([request.max_new_tokens], np.int32),
        "SCENE": np.array([scene_options(request.scene).encode()], object),
    }
    return [_tensor(name, kind, values[name]) for name, kind in INPUTS.items()]


def scene_options(scene: ClipScene | None) -> str:
    """The scene as the model's options (``modeling.pixelrefer.compression.SceneOptions``); none: empty."""
    if scene is None:
        return ""
    options = {
        "compression": scene.compression,
        "camera": scene.camera_id,
        "clip": scene.clip_id,
        "previous": scene.previous,
        "begin_s": scene.begin_s,
    }
    return json.dumps(options)


def _tensor(name: str, kind: str, value: np.ndarray) -> InferInput:
    tensor = InferInput(name, list(value.shape), kind)
    tensor.set_data_from_numpy(value)
    return tensor


def blank_request() -> CaptionRequest:
    """A request with next to nothing in it, for asking the captioner about itself."""
    return CaptionRequest(
        request_id="about",
        pictures=np.zeros((1, 1, 1, 3), np.uint8),
        times_s=np.zeros(1, np.float32),
        masks=np.ones((1, 1, 1), bool),
        mask_frames=(0,),
        objects=(0,),
        question="<region>",
        max_new_tokens=1,
    )
