"""Triton's side of the captioner: unpack tensors, hand them to ``modeling``, stream the words back.

Environment: STREAMREFER_CAPTIONER (model folder), STREAMREFER_CAPTIONER_DEVICE, STREAMREFER_CAPTIONER_THREADS
and STREAMREFER_CAPTIONER_QUEUE (most requests that wait). Errors are one line that begins with ``refused:``
(never ask this again), ``busy:`` (later), ``deadline:``, ``cancelled:`` or ``failed:``.
"""

import json
import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb

FINAL = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL
LONGEST_WAIT_S = 120.0
"""Deadline of a request that names none."""


@dataclass(frozen=True)
class Job:
    """A checked request with the way back to its client."""

    request: Any
    sender: Any
    deadline: float


class TritonPythonModel:
    """Requests wait in one bounded queue; one thread answers them in order."""

    def initialize(self, args: dict[str, str]) -> None:
        os.environ["OMP_NUM_THREADS"] = os.environ.get("STREAMREFER_CAPTIONER_THREADS", "1")
        folder = os.environ.get("STREAMREFER_CAPTIONER", "weights/captioner-embedded")
        sys.path[:0] = filter(
            None, os.environ.get("PYTHONPATH", "").split(os.pathsep)
        )  # Triton's stub forgets it
        try:
            from modeling.pixelrefer.generate import Captioner  # torch reads the number of threads here

            device = os.environ.get("STREAMREFER_CAPTIONER_DEVICE", "cpu")
            self._captioner = Captioner.load(Path(folder), device=device)
        except Exception as error:
            raise pb.TritonModelException(f"captioner weights in {folder}: {one_line(error)}") from None
        self._waiting: queue.Queue[Job | None] = queue.Queue(
            int(os.environ.get("STREAMREFER_CAPTIONER_QUEUE", "32"))
        )
        self._worker = threading.Thread(target=self._work, daemon=True, name="captioner")
        self._worker.start()

    def execute(self, requests: list) -> None:
        """Take requests; the answers follow from the worker."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                self._waiting.put_nowait(Job(unpack(request), sender, deadline_of(request)))
            except ValueError as error:
                refuse(sender, f"refused: {one_line(error)}", pb.TritonError.INVALID_ARG)
            except queue.Full:
                refuse(
                    sender, f"busy: {self._waiting.maxsize} requests wait already", pb.TritonError.UNAVAILABLE
                )

    def finalize(self) -> None:
        """Refuse whatever still waits and stop the worker."""
        while not self._waiting.empty():
            refuse(self._waiting.get_nowait().sender, "busy: the captioner stops", pb.TritonError.UNAVAILABLE)
        self._waiting.put_nowait(None)
        self._worker.join(timeout=5)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                self._answer(job)
            except ValueError as error:  # it fits the tensors but not the model
                refuse(job.sender, f"refused: {one_line(error)}", pb.TritonError.INVALID_ARG)
            except Exception as error:  # one request's fault must not end the service
                pb.Logger.log_error(f"captioner: {one_line(error)}")
                refuse(job.sender, f"failed: {one_line(error)}", pb.TritonError.INTERNAL)

    def _answer(self, job: Job) -> None:
        def wanted() -> bool:
            return not job.sender.is_cancelled() and time.monotonic() < job.deadline

        def on_token(piece: str, probability: float) -> bool:
            if wanted():
                job.sender.send(pack(piece, probability))
            return wanted()

        answer = self._captioner.describe(job.request, on_token) if wanted() else None
        if answer is not None and answer.finish != "cancelled":
            job.sender.send(pack(answer.text, 0.0, summary(answer)), flags=FINAL)
        elif job.sender.is_cancelled():
            refuse(job.sender, "cancelled: by the client", pb.TritonError.CANCELLED)
        else:
            refuse(job.sender, "deadline: passed before the answer was complete", pb.TritonError.UNAVAILABLE)


def unpack(request: Any) -> Any:
    """The tensors as a checked request, copied: theirs end with the call. Raises ValueError."""
    from modeling.pixelrefer.request import Request

    def tensor(name: str) -> np.ndarray:
        return np.array(pb.get_input_tensor_by_name(request, name).as_numpy())

    return Request(
        frames=tensor("FRAMES"),
        times_s=tensor("TIMES"),
        masks=tensor("MASKS"),
        mask_frames=tensor("MASK_FRAMES"),
        objects=tensor("OBJECTS"),
        instruction=bytes(tensor("INSTRUCTION")[0]).decode(),
        max_new_tokens=int(tensor("MAX_TOKENS")[0]),
    )


def deadline_of(request: Any) -> float:
    """When the client stops waiting, on this process's clock; requests carry it in microseconds."""
    allowed_us = request.timeout()
    return time.monotonic() + (allowed_us / 1e6 if allowed_us > 0 else LONGEST_WAIT_S)


def pack(text: str, probability: float, final: str = "") -> Any:
    values = (
        np.array([text.encode()], object),
        np.array([probability], np.float32),
        np.array([final.encode()], object),
    )
    return pb.InferenceResponse(
        [pb.Tensor(name, value) for name, value in zip(("TEXT", "PROBABILITY", "FINAL"), values, strict=True)]
    )


def summary(answer: Any) -> str:
    return json.dumps(
        {
            "finish": answer.finish,
            "prompt_tokens": answer.prompt_tokens,
            "object_tokens": answer.object_tokens,
            "output_tokens": len(answer.token_ids),
            "stage_s": {name: round(seconds, 4) for name, seconds in answer.timings_s.items()},
        }
    )


def refuse(sender: Any, cause: str, code: int) -> None:
    """End a request with an error; a client that is gone already is no error of ours."""
    try:
        sender.send(pb.InferenceResponse(error=pb.TritonError(cause, code)), flags=FINAL)
    except Exception as error:
        pb.Logger.log_warn(f"captioner: a client went before its error: {one_line(error)}")


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
