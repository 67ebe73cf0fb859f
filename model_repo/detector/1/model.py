"""Triton's side of a detector: one picture in, boxes with scores and names out.

Environment: STREAMREFER_TRACKER_DETECTOR (folder with model.onnx and detector.json) and
STREAMREFER_TRACKER_DETECTOR_THREADS (1). A detector that cannot be used does not keep Triton from serving other models:
every request is answered with its fault, and ABOUT tells it.
Errors are one line that begins with ``refused:`` (the request is wrong) or ``failed:`` (the detector is).
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

FOLDER = "STREAMREFER_TRACKER_DETECTOR"
ANSWERS = ("BOXES", "SCORES", "LABELS")
LARGEST_PX = 4096 * 4096


class TritonPythonModel:
    """Answers requests one after another."""

    def initialize(self, args: dict[str, str]) -> None:
        # Triton's stub does not look at this variable by itself.
        sys.path[:0] = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        folder = os.environ.get(FOLDER, "")
        self._detector, self._fault = None, ""
        try:
            if not folder:
                raise ValueError(f"no detector is chosen: {FOLDER} names its folder")
            from modeling.detector.network import Detector

            threads = int(os.environ.get(f"{FOLDER}_THREADS") or 1)
            self._detector = Detector.load(Path(folder), threads)
        except Exception as error:  # a captioner may be served beside it
            self._fault = one_line(error)
            pb.Logger.log_error(f"detector {folder}: {self._fault}")
        classes = self._detector.classes if self._detector else ()
        self._about = json.dumps({"name": Path(folder).name, "classes": classes, "fault": self._fault})

    def execute(self, requests: list) -> list:
        """One response for each request."""
        return [self._respond(request) for request in requests]

    def _respond(self, request: Any) -> Any:
        try:
            if set(request.requested_output_names()) == {"ABOUT"}:
                return pack({"ABOUT": np.array([self._about.encode()], object)})
            if self._detector is None:
                return fault("failed", self._fault, pb.TritonError.UNAVAILABLE)
            picture, words = unpack(request)
        except ValueError as error:
            return fault("refused", one_line(error), pb.TritonError.INVALID_ARG)
        try:
            return pack(self._found(picture, words))
        except Exception as error:  # one picture's fault must not end the service
            return fault("failed", one_line(error), pb.TritonError.INTERNAL)

    def _found(self, picture: np.ndarray, words: list[str]) -> dict[str, np.ndarray]:
        found = self._detector.detect(picture, words)
        names = [self._detector.config.names[int(number)].encode() for number in found.labels]
        labels = np.empty(len(names), object)
        labels[:] = names
        return {"BOXES": found.boxes, "SCORES": found.scores, "LABELS": labels}


def unpack(request: Any) -> tuple[np.ndarray, list[str]]:
    """Picture and words. Raises ValueError."""
    picture = pb.get_input_tensor_by_name(request, "PICTURE").as_numpy()
    if not 0 < picture.shape[0] * picture.shape[1] <= LARGEST_PX:
        raise ValueError(f"a picture of {picture.shape[1]}x{picture.shape[0]} pixels")
    given = pb.get_input_tensor_by_name(request, "WORDS")
    try:
        return picture, [] if given is None else [bytes(word).decode() for word in given.as_numpy()]
    except UnicodeDecodeError as error:
        raise ValueError(f"a word is no UTF-8 text: {error.reason}") from None


def pack(values: dict[str, np.ndarray]) -> Any:
    """A response with these tensors."""
    return pb.InferenceResponse(
        [pb.Tensor(name, np.ascontiguousarray(value)) for name, value in values.items()]
    )


def fault(kind: str, cause: str, code: int) -> Any:
    """A response that is an error."""
    return pb.InferenceResponse([], error=pb.TritonError(f"{kind}: {cause}", code))


def one_line(error: BaseException) -> str:
    """The error's text without line ends, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
