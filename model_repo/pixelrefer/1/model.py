"""Triton's side of the captioner: unpack tensors, hand them to ``modeling``, stream the words back.

Environment: STREAMREFER_CAPTIONER (model folder), STREAMREFER_CAPTIONER_DEVICE, STREAMREFER_CAPTIONER_THREADS,
STREAMREFER_CAPTIONER_QUEUE (most requests that wait) and STREAMREFER_CAPTIONER_QUEUE_MB (most pixels that wait).
A request with the parameter ``about`` is answered at once with the captioner's name and profile as JSON.
Errors are one line that begins with ``refused:`` (never ask this again), ``busy:`` (later), ``deadline:``,
``cancelled:`` or ``failed:``.
"""

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb

FINAL = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL
LONGEST_WAIT_S = 120.0
"""Deadline of a request that names none."""


class Job(NamedTuple):
    """A checked request, the way back to its client, and when the client stops waiting (monotonic seconds)."""

    request: Any
    sender: Any
    deadline: float


class TritonPythonModel:
    """Requests wait in one bounded queue; one thread answers them in order."""

    def initialize(self, args: dict[str, str]) -> None:
        folder = os.environ.get("STREAMREFER_CAPTIONER", "weights/captioner-embedded")
        os.environ["OMP_NUM_THREADS"] = os.environ.get("STREAMREFER_CAPTIONER_THREADS", "1")
        # Triton's stub does not look at this variable by itself.
        sys.path[:0] = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        try:
            from modeling.pixelrefer.generate import Captioner  # torch reads its number of threads here
            from modeling.pixelrefer.profile import profile_of
            from modeling.weights import weights_id

            if not Path(folder).is_dir():
                raise FileNotFoundError("there is no such folder, set STREAMREFER_CAPTIONER to one")
            device = os.environ.get("STREAMREFER_CAPTIONER_DEVICE", "cpu")
            self._captioner = Captioner.load(Path(folder), device=device)
            self._model = weights_id(Path(folder))
            profile = profile_of(Path(folder)).to_json()
            self._about = json.dumps({"model": self._model, "profile": profile})
        except Exception as error:
            raise pb.TritonModelException(f"captioner weights in {folder}: {one_line(error)}") from None
        most = int(os.environ.get("STREAMREFER_CAPTIONER_QUEUE", "32"))
        self._waiting: queue.Queue[Job | None] = queue.Queue(most)
        self._most_bytes = int(os.environ.get("STREAMREFER_CAPTIONER_QUEUE_MB", "1000")) * 1_000_000
        self._worker = threading.Thread(target=self._work, daemon=True, name="captioner")
        self._worker.start()

    def execute(self, requests: list) -> None:
        """Take requests; the answers follow from the worker."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                if asks_about_us(request):
                    sender.send(pack("", 0.0, self._about), flags=FINAL)
                    continue
                self._take(unpack(request), sender, deadline_of(request))
            except ValueError as error:
                refuse(sender, "refused", one_line(error), pb.TritonError.INVALID_ARG)
            except queue.Full:
                cause = f"{self._waiting.maxsize} requests wait already"
                refuse(sender, "busy", cause, pb.TritonError.UNAVAILABLE)
            except Exception as error:  # what escapes here leaves the client without an answer
                refuse(sender, "refused", f"unreadable: {one_line(error)}", pb.TritonError.INVALID_ARG)

    def _take(self, request: Any, sender: Any, deadline: float) -> None:
        """Let a checked request wait, if its pixels find room beside those of the others."""
        with self._waiting.mutex:
            held = sum(job.request.size_bytes for job in self._waiting.queue if job is not None)
        if held and held + request.size_bytes > self._most_bytes:
            cause = f"{held / 1e6:.0f} MB of pixels wait already"
            return refuse(sender, "busy", cause, pb.TritonError.UNAVAILABLE)
        self._waiting.put_nowait(Job(request.owned(), sender, deadline))

    def finalize(self) -> None:
        """Refuse whatever still waits and stop the worker."""
        while not self._waiting.empty():
            refuse(self._waiting.get_nowait().sender, "busy", "it stops", pb.TritonError.UNAVAILABLE)
        self._waiting.put_nowait(None)
        self._worker.join(timeout=5)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                self._answer(job)
            except ValueError as error:  # it fits the tensors but not the model
                refuse(job.sender, "refused", one_line(error), pb.TritonError.INVALID_ARG)
            except Exception as error:  # one request's fault must not end the service
                refuse(job.sender, "failed", one_line(error), pb.TritonError.INTERNAL)

    def _answer(self, job: Job) -> None:
        def wanted() -> bool:
            return not job.sender.is_cancelled() and time.monotonic() < job.deadline

        def on_token(piece: str, probability: float) -> bool:
            if wanted():
                job.sender.send(pack(piece, probability))
            return wanted()

        answer = self._captioner.describe(job.request, on_token) if wanted() else None
        if answer is not None and answer.finish != "cancelled":
            job.sender.send(pack(answer.text, 0.0, summary(answer, self._model)), flags=FINAL)
        elif job.sender.is_cancelled():
            refuse(job.sender, "cancelled", "by the client", pb.TritonError.CANCELLED)
        else:
            refuse(job.sender, "deadline", "passed before the answer's end", pb.TritonError.UNAVAILABLE)


def unpack(request: Any) -> Any:
    """The tensors as a checked request, not copied: they end with the call. Raises ValueError."""
    from modeling.pixelrefer.compression import SceneOptions
    from modeling.pixelrefer.request import Request

    def tensor(name: str) -> np.ndarray:
        return pb.get_input_tensor_by_name(request, name).as_numpy()

    given = pb.get_input_tensor_by_name(request, "SCENE") is not None
    scene = bytes(tensor("SCENE")[0]).decode() if given else ""
    return Request(
        frames=tensor("FRAMES"),
        times_s=tensor("TIMES"),
        masks=tensor("MASKS"),
        mask_frames=tensor("MASK_FRAMES"),
        objects=tensor("OBJECTS"),
        instruction=text_of(tensor("INSTRUCTION")),
        max_new_tokens=int(tensor("MAX_TOKENS")[0]),
        scene=SceneOptions.from_json(scene),
    )


def text_of(tensor: np.ndarray) -> str:
    """The one text of a string tensor. Raises ValueError."""
    try:
        return bytes(tensor[0]).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the instruction is no UTF-8 text: {error.reason} at byte {error.start}") from None


def asks_about_us(request: Any) -> bool:
    """Whether a client only wants to know how this captioner is to be asked; its tensors mean nothing then."""
    return "about" in json.loads(request.parameters() or "{}")


def deadline_of(request: Any) -> float:
    """Requests carry how long their client waits, in microseconds."""
    allowed_us = request.timeout()
    return time.monotonic() + (allowed_us / 1e6 if allowed_us > 0 else LONGEST_WAIT_S)


def pack(text: str, probability: float, final: str = "") -> Any:
    """One response; only the last one of a request carries ``final``."""
    tensors = {
        "TEXT": np.array([text.encode()], object),
        "PROBABILITY": np.array([probability], np.float32),
        "FINAL": np.array([final.encode()], object),
    }
    return pb.InferenceResponse([pb.Tensor(name, value) for name, value in tensors.items()])


def summary(answer: Any, model: str) -> str:
    """What the answer cost, as JSON."""
    facts = {
        "model": model,
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
        "object_tokens": answer.object_tokens,
        "budget": answer.budget,
        "output_tokens": len(answer.token_ids),
        "stage_s": {name: round(seconds, 4) for name, seconds in answer.timings_s.items()},
    }
    return json.dumps(facts)


def refuse(sender: Any, kind: str, cause: str, code: int) -> None:
    """End a request with an error; a client that is gone already is no error of ours."""
    pb.Logger.log_verbose(f"captioner: {kind}: {cause}")
    try:
        sender.send(pb.InferenceResponse(error=pb.TritonError(f"{kind}: {cause}", code)), flags=FINAL)
    except Exception as error:
        pb.Logger.log_warn(f"captioner: a client went before its error: {one_line(error)}")


def one_line(error: BaseException) -> str:
    """The error's text without line ends, or its type where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
