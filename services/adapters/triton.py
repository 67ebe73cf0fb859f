"""The captioner served by Triton: one gRPC stream, one request on it at a time, words as they are decoded.

At every new connection the captioner is asked how it wants to be asked: its profile.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tritonclient.grpc import InferenceServerClient, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from modeling.pixelrefer.profile import EMBEDDED, Profile
from pipelines.ports import CaptionAnswer, CaptionerUnavailable, CaptionRefused, CaptionRequest
from services.adapters.triton_tensors import OUTPUTS, blank_request, tensors_of

log = logging.getLogger(__name__)

MODEL = "pixelrefer"
RESPONSES_AHEAD = 256
"""Most responses held for a slow reader; beyond, the stream itself waits."""
LATER = ("busy:", "deadline:", "not ready", "unknown model", "unavailable")
"""Parts of error lines that say the same request may succeed later."""
CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel inherits the long pauses of a dead one
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
]


@dataclass(frozen=True)
class TritonSettings:
    """Bounds in seconds. ``silence_s`` is the longest wait for the next word of a running answer."""

    model: str = MODEL
    connect_s: float = 3.0
    silence_s: float = 15.0
    backoff_first_s: float = 0.2
    backoff_most_s: float = 3.0


@dataclass(frozen=True)
class _Piece:
    text: str
    probability: float
    final: str


@dataclass
class _Heard:
    """What has come of one answer so far."""

    pieces: list[str] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)


class CaptionerChanged(CaptionerUnavailable):
    """Another kind of captioner answers than the request was worded for; one worded anew may succeed."""


class _Stream:
    """One open gRPC stream; responses and errors come out of ``next`` in order. ``lost``: it can be used no more."""

    def __init__(self, url: str, settings: TritonSettings) -> None:
        self._responses: queue.Queue[tuple[Any, Exception | None]] = queue.Queue(RESPONSES_AHEAD)
        self._closed = threading.Event()
        self.lost = False
        self._client = InferenceServerClient(url, channel_args=CHANNEL)
        try:
            if not self._client.is_model_ready(settings.model, client_timeout=settings.connect_s):
                raise CaptionerUnavailable(f"Triton at {url} has no model {settings.model} ready")
            self._client.start_stream(callback=self._on_response)
        except BaseException:
            self.close()
            raise

    def send(self, model: str, request: CaptionRequest, allowed_s: float) -> None:
        self._client.async_stream_infer(
            model,
            tensors_of(request),
            outputs=[InferRequestedOutput(name) for name in OUTPUTS],
            request_id=request.request_id,
            timeout=max(1, int(allowed_s * 1e6)),
        )

    def profile(self, settings: TritonSettings) -> Profile | None:
        """What the captioner says of itself; None if it is one that cannot. Raises as ``next`` does."""
        request = blank_request()
        self._client.async_stream_infer(
            settings.model,
            tensors_of(request),
            outputs=[InferRequestedOutput(name) for name in OUTPUTS],
            request_id=request.request_id,
            timeout=int(settings.silence_s * 1e6),
            parameters={"about": True},
        )
        while not (piece := self.next(request.request_id, settings.silence_s)).final:
            pass
        return _profile_in(piece.final)

    def next(self, request_id: str, timeout_s: float) -> _Piece:
        """The next response to the request. Raises queue.Empty and InferenceServerException."""
        until = time.monotonic() + timeout_s
        while True:
            result, error = self._responses.get(timeout=max(0.0, until - time.monotonic()))
            if error is not None:
                raise error
            if result.get_response().id == request_id:
                return _piece_of(result)

    def close(self) -> None:
        """Cancel whatever runs and end the stream, without waiting for the server."""
        self._closed.set()
        try:
            self._client.stop_stream(cancel_requests=True)
            self._client.close()
        except Exception as error:
            log.debug("closing a stream to Triton: %s", error)

    def _on_response(self, result: Any, error: Exception | None) -> None:
        if isinstance(error, InferenceServerException) and error.status() is not None:
            self.lost = True  # an error of one request carries no status
        while not self._closed.is_set():
            try:
                return self._responses.put((result, error), timeout=0.2)
            except queue.Full:
                continue


class TritonCaptioner:
    """The Captioner port on Triton. Calls from several threads wait for each other: give each worker its own.

    A lost server is looked for again with growing pauses until the request's deadline; an answer that broke off
    after its first word is not begun anew, so that a listener never hears one sentence twice.
    """

    def __init__(
        self, url: str, settings: TritonSettings = TritonSettings(), assumed: Profile = EMBEDDED
    ) -> None:
        """``assumed`` is the captioner's profile for as long as it has not told its own."""
        self._url = url
        self._settings = settings
        self._profile, self._heard_profile = assumed, False
        self._stream: _Stream | None = None
        self._one_at_a_time = threading.Lock()

    def describe(
        self, request: CaptionRequest, on_token: Callable[[str, float], bool] | None = None
    ) -> CaptionAnswer:
        """Raises CaptionerUnavailable, and CaptionRefused with Triton's reason."""
        until = time.monotonic() + request.deadline_s
        if not self._one_at_a_time.acquire(timeout=request.deadline_s):
            raise CaptionerUnavailable(f"no turn at the captioner within {request.deadline_s:g} s")
        try:
            return self._persist(request, on_token, until)
        finally:
            self._one_at_a_time.release()

    def profile(self) -> Profile:
        """How the captioner that answers now wants to be asked; what was known last while it is away or at work.

        Waits no longer than a connection and one answer may take; never raises.
        """
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self._connect()
            except (CaptionerUnavailable, InferenceServerException, queue.Empty) as error:
                self.close()
                log.info("captioner: its profile is not known: %s", _cause(error))
            finally:
                self._one_at_a_time.release()
        return self._profile

    def is_ready(self) -> bool:
        """Whether the server answers and has the model loaded; never raises."""
        try:
            with InferenceServerClient(self._url, channel_args=CHANNEL) as client:
                return bool(
                    client.is_model_ready(self._settings.model, client_timeout=self._settings.connect_s)
                )
        except InferenceServerException:
            return False

    def close(self) -> None:
        """End the stream; a running answer ends as cancelled."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _connect(self) -> _Stream:
        """The open stream to a captioner whose profile is known."""
        if self._stream is not None and not self._stream.lost:
            return self._stream
        self.close()
        self._stream = stream = _Stream(self._url, self._settings)
        told = stream.profile(self._settings)
        if told is not None:
            self._profile, self._heard_profile = told, True
        return stream

    def _persist(
        self, request: CaptionRequest, on_token: Callable[[str, float], bool] | None, until: float
    ) -> CaptionAnswer:
        """Try until there is an answer, a refusal, or no time left."""
        pause_s = self._settings.backoff_first_s
        while True:
            heard = _Heard()
            try:
                return self._attempt(request, on_token, until, heard)
            except CaptionerChanged:
                raise
            except (CaptionerUnavailable, InferenceServerException, queue.Empty) as error:
                self.close()
                cause = _cause(error)
                if isinstance(error, InferenceServerException) and not _worth_retrying(error):
                    raise CaptionRefused(cause) from None
                if heard.pieces or time.monotonic() + pause_s >= until:
                    raise CaptionerUnavailable(f"Triton at {self._url}: {cause}") from None
                log.info("captioner: %s; trying again in %.1f s", cause, pause_s)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, self._settings.backoff_most_s)

    def _attempt(
        self,
        request: CaptionRequest,
        on_token: Callable[[str, float], bool] | None,
        until: float,
        heard: _Heard,
    ) -> CaptionAnswer:
        stream = self._connect()
        known = self._profile.questions if self._heard_profile else ""
        if request.questions and known and request.questions != known:
            raise CaptionerChanged(f"Triton at {self._url}: another captioner serves by now")
        stream.send(self._settings.model, request, until - time.monotonic())
        while True:
            left_s = min(self._settings.silence_s, until - time.monotonic())
            piece = stream.next(request.request_id, left_s)
            if piece.final:
                return _answer_of(piece, heard)
            heard.pieces.append(piece.text)
            heard.probabilities.append(piece.probability)
            if on_token is not None and not on_token(piece.text, piece.probability):
                self.close()
                return CaptionAnswer(
                    "".join(heard.pieces).strip(),
                    tuple(heard.pieces),
                    tuple(heard.probabilities),
                    "cancelled",
                )


def _piece_of(result: Any) -> _Piece:
    text, probability, final = (result.as_numpy(name)[0] for name in OUTPUTS)
    return _Piece(text.decode(errors="replace"), float(probability), final.decode())


def _answer_of(piece: _Piece, heard: _Heard) -> CaptionAnswer:
    facts = json.loads(piece.final)
    return CaptionAnswer(
        text=piece.text,
        pieces=tuple(heard.pieces),
        probabilities=tuple(heard.probabilities),
        finish=facts["finish"],
        prompt_tokens=facts["prompt_tokens"],
        object_tokens=facts["object_tokens"],
        model=facts["model"],
        stage_s=facts["stage_s"],
        budget=facts["budget"],
    )


def _profile_in(final: str) -> Profile | None:
    """The profile that the last response to a question about the captioner holds, if any."""
    try:
        return Profile.from_json(json.loads(final)["profile"])
    except (ValueError, KeyError, TypeError) as fault:
        log.warning("the captioner tells no profile that is understood here: %s", fault)
        return None


def _worth_retrying(error: InferenceServerException) -> bool:
    """A broken connection, or a server that says "later"; errors of a request itself carry no status."""
    return error.status() is not None or any(part in str(error.message()).lower() for part in LATER)


def _cause(error: Exception) -> str:
    if isinstance(error, queue.Empty):
        return "no word within the time allowed"
    text = str(error.message()) if isinstance(error, InferenceServerException) else str(error)
    return " ".join(text.split())[:500]
