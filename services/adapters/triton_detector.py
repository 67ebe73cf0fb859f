"""A detector served by Triton, asked for boxes on single pictures, with a bound on every wait.

Tracking goes on without it: what it cannot answer in time is not answered, and after a failure it is left alone for a
while.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from modeling.detector.words import match, quoted
from operators.propose import proposals_of
from operators.types import Proposal
from services.adapters.triton import CHANNEL

log = logging.getLogger(__name__)

MODEL = "detector"
OUTPUTS = ("BOXES", "SCORES", "LABELS")
ABOUT = "ABOUT"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 240.0
"""How long a detector is left alone after a failure; doubled from one to the next."""
MOST_NOTES = 1000
"""Words about which a warning is remembered, so as not to repeat it."""


class DetectorUnavailable(Exception):
    """There is no answer now; the text says why, in one line."""


class NoDetector(DetectorUnavailable):
    """The server answers, and has no detector, or one that cannot be used."""


@dataclass(frozen=True)
class About:
    """What a detector says of itself."""

    name: str
    classes: tuple[str, ...]


def ask_about(client: InferenceServerClient, deadline_s: float) -> About:
    """Which detector answers and what it knows. Raises DetectorUnavailable."""
    picture = _tensor("PICTURE", np.zeros((1, 1, 3), np.uint8), "UINT8")
    try:
        answer = _ask(client, [picture], (ABOUT,), deadline_s)
        told = json.loads(answer.as_numpy(ABOUT)[0])
        name, classes, fault = str(told["name"]), tuple(map(str, told["classes"])), str(told["fault"])
    except InferenceServerException as error:
        kind = NoDetector if "unknown model" in str(error.message()).lower() else DetectorUnavailable
        raise kind(_cause(error)) from None
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DetectorUnavailable(f"it tells nothing of itself that is understood: {_cause(error)}") from None
    if fault:
        raise NoDetector(fault)
    return About(name, classes)


class TritonDetector:
    """The Proposer port on Triton, for all cameras of a process. Never raises; what goes wrong is logged once."""

    def __init__(
        self,
        url: str,
        name: str = "",
        deadline_s: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``name`` is the detector wanted; another one is asked all the same, with a warning."""
        self._url, self._name, self._deadline_s, self._now = url, name, deadline_s, now
        self._client: InferenceServerClient | None = None
        self._about: About | None = None
        self._ask_again_s, self._pause_s = 0.0, 0.0
        self._told: set[object] = set()
        self._one_at_a_time = threading.Lock()

    def propose(self, pixels: np.ndarray, words: Sequence[str] = ()) -> list[Proposal] | None:
        """Boxes on a picture, RGB uint8 [H, W, 3]; None when there is no answer in time, or no word is known."""
        with self._one_at_a_time:
            if self._now() < self._ask_again_s:
                return None
            try:
                found = self._proposals(pixels, words)
            except Exception as error:  # whatever it is: tracking goes on without a detector
                self._fail(error)
                return None
            if self._pause_s:
                log.info("detector at %s: it answers again", self._url)
                self._pause_s = 0.0
            return found

    def close(self) -> None:
        """End the connection; the next question opens another one."""
        client, self._client, self._about = self._client, None, None
        if client is not None:
            client.close()

    def _proposals(self, pixels: np.ndarray, words: Sequence[str]) -> list[Proposal] | None:
        until = time.monotonic() + self._deadline_s
        if self._client is None:
            self._client = InferenceServerClient(self._url, channel_args=CHANNEL)
        if self._about is None:
            self._about = ask_about(self._client, self._deadline_s)
            self._compare_name(self._about)
        names = self._meant(tuple(words), self._about)
        if words and not names:
            return None
        inputs = [_tensor("PICTURE", np.ascontiguousarray(pixels), "UINT8")]
        if names:
            inputs.append(_tensor("WORDS", np.array([name.encode() for name in names], object), "BYTES"))
        answer = _ask(self._client, inputs, OUTPUTS, max(0.01, until - time.monotonic()))
        boxes, scores, labels = (answer.as_numpy(name) for name in OUTPUTS)
        texts = [bytes(label).decode(errors="replace") for label in labels]
        found = proposals_of(boxes, scores, texts)
        return [item for item in found if item.label in names] if names else found

    def _meant(self, words: tuple[str, ...], about: About) -> tuple[str, ...]:
        meant = match(words, about.classes)
        if meant.unknown and self._is_news((about, words)):
            log.warning(
                "detector %s knows no %s: it knows %s%s",
                about.name,
                ", ".join(meant.unknown),
                quoted(about.classes),
                "" if meant.names else "; cameras that ask for nothing else are searched without it",
            )
        return meant.names

    def _compare_name(self, about: About) -> None:
        if self._name and about.name != self._name and self._is_news(about.name):
            log.warning("detector at %s is %s, not %s", self._url, about.name, self._name)

    def _is_news(self, what: object) -> bool:
        news = what not in self._told and len(self._told) < MOST_NOTES
        self._told.add(what) if news else None
        return news

    def _fail(self, error: Exception) -> None:
        """Leave the detector alone for a while; the first failure of a row is told."""
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._ask_again_s = self._now() + self._pause_s
        level = logging.WARNING if self._pause_s == FIRST_PAUSE_S else logging.INFO
        words = "detector at %s: %s; searching without it, trying again in %.0f s"
        log.log(level, words, self._url, _cause(error), self._pause_s)
        try:
            self.close()
        except Exception as fault:
            log.debug("closing a connection to Triton: %s", fault)


def _ask(
    client: InferenceServerClient, inputs: list[InferInput], outputs: Sequence[str], limit_s: float
) -> Any:
    return client.infer(
        MODEL,
        inputs,
        outputs=[InferRequestedOutput(name) for name in outputs],
        client_timeout=limit_s,
        timeout=max(1, int(limit_s * 1e6)),  # what waited longer need not be begun
    )


def _tensor(name: str, value: np.ndarray, kind: str) -> InferInput:
    tensor = InferInput(name, list(value.shape), kind)
    tensor.set_data_from_numpy(value)
    return tensor


def _cause(error: Exception) -> str:
    text = str(error.message()) if isinstance(error, InferenceServerException) else str(error)
    return " ".join(text.split())[:500] or type(error).__name__
