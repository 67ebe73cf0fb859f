"""A detector of a folder: an ONNX file run by ONNX Runtime, and what it says about one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modeling.detector.boxes import Found, choose, read_outputs
from modeling.detector.config import FILES, MODEL, DetectorConfig, read_config
from modeling.detector.pictures import prepare
from modeling.detector.words import match, quoted

FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
SIZES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


class Detector:
    """Finds things of its classes on pictures. Not for several threads at once."""

    def __init__(self, name: str, session: Any, config: DetectorConfig) -> None:
        """``session`` is ONNX Runtime's. Raises ValueError when model and configuration disagree."""
        self.name, self.config, self._session = name, config, session
        self._image = _image_input(session, config)
        # One grey picture shows whether the outputs are what the configuration says, and warms the session up.
        self.detect(np.full((*config.input_px, 3), 114, np.uint8))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> Detector:
        """The folder's detector, on a GPU where ONNX Runtime can use one. Raises ValueError, in one line."""
        for name in FILES:
            if not (folder / name).is_file():
                raise ValueError(f"there is no {name} in {folder}")
        config = read_config(folder)
        return cls(folder.name, _open(folder / MODEL, threads), config)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of what it knows, each once, in the order of their numbers."""
        return tuple(dict.fromkeys(name for _, name in sorted(self.config.names.items())))

    def detect(self, picture: np.ndarray, words: Sequence[str] = ()) -> Found:
        """Boxes in units of the picture's sides, RGB uint8 [H, W, 3]; with ``words`` only of the classes they mean.

        Raises ValueError for a picture that is none, words of which it knows none, outputs that mean nothing.
        """
        wanted = self._numbers(words) if words else None
        image, view = prepare(picture, self.config)
        found = choose(read_outputs(self._run(image), self.config), self.config, wanted)
        boxes = view.restore(found.boxes)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # not those of the border around the picture
        return Found(boxes[inside], found.scores[inside], found.labels[inside])

    def _numbers(self, words: Sequence[str]) -> list[int]:
        meant = match(words, self.classes)
        if not meant.names:
            raise ValueError(
                f"{self.name} knows none of {quoted(list(words))}: it knows {quoted(self.classes)}"
            )
        return [number for number, name in self.config.names.items() if name in meant.names]

    def _run(self, image: np.ndarray) -> dict[str, np.ndarray]:
        name, dtype, batched = self._image
        feed = {name: (image[None] if batched else image).astype(dtype, copy=False)}
        for given in self._session.get_inputs():
            if given.name == self.config.size_input:
                height, width = self.config.input_px
                feed[given.name] = np.array([[width, height]], SIZES[given.type])
        try:
            values = self._session.run(None, feed)
        except Exception as error:  # ONNX Runtime raises kinds of its own
            raise ValueError(f"the model failed: {_one_line(error)}") from None
        return {given.name: value for given, value in zip(self._session.get_outputs(), values, strict=True)}


def _open(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other work shares the cores
    options.log_severity_level = 3
    there = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in there]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise ValueError(f"{path} cannot be loaded: {_one_line(error)}") from None


def _image_input(session: Any, config: DetectorConfig) -> tuple[str, type, bool]:
    """Name and type of the input that takes the picture, and whether it has an axis for the batch."""
    inputs = session.get_inputs()
    if config.size_input and config.size_input not in [given.name for given in inputs]:
        raise ValueError(f"size_input: the model has no input {config.size_input}")
    images = [given for given in inputs if given.name != config.size_input]
    if len(images) != 1:
        raise ValueError(
            f"the model wants {', '.join(given.name for given in images)}, and all it can be given is a picture: "
            "a detector that takes words or their vectors must be exported with its words inside"
        )
    image = images[0]
    if image.type not in FLOATS or len(image.shape) not in (3, 4):
        raise ValueError(f"input {image.name} is {image.type} {image.shape}, not float [1, 3, height, width]")
    for side, wanted in zip(image.shape[-2:], config.input_px, strict=True):
        if isinstance(side, int) and side != wanted:
            raise ValueError(f"input_px: {list(config.input_px)}, but the model takes {image.shape[-2:]}")
    sizes = [given for given in inputs if given.name == config.size_input]
    if sizes and sizes[0].type not in SIZES:
        raise ValueError(f"input {sizes[0].name} is {sizes[0].type}, which is no size")
    return image.name, FLOATS[image.type], len(image.shape) == 4


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
