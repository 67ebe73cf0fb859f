"""Which detector the tracker asks, as its settings want it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from operators.ports import Proposer
from operators.types import Proposal
from services.adapters.triton_detector import TritonDetector
from services.settings import Settings, SettingsError
from services.tracker.settings import PREFIX, TrackerSettings

log = logging.getLogger("streamrefer.tracker")

MOST_NOTES = 1000


class NotChosen:
    """Stands where no detector is chosen: it never answers, and says so once of all words that somebody gives."""

    def __init__(self) -> None:
        self._told: set[tuple[str, ...]] = set()

    def propose(self, pixels: np.ndarray, words: Sequence[str] = ()) -> list[Proposal] | None:
        if words and tuple(words) not in self._told and len(self._told) < MOST_NOTES:
            self._told.add(tuple(words))
            log.warning(
                "a camera asks for %s, but no detector is chosen: set %sDETECTOR; it is searched without words",
                ", ".join(words),
                PREFIX,
            )
        return None


def detector_of(settings: Settings, own: TrackerSettings) -> Proposer:
    """Raises SettingsError where a detector is chosen, but no Triton that could serve it."""
    if not own.detector:
        return NotChosen()
    if not settings.triton_url:
        raise SettingsError(
            f"{PREFIX}DETECTOR is {own.detector}, but there is no Triton: set STREAMREFER_TRITON_URL"
        )
    return TritonDetector(settings.triton_url, Path(own.detector).name, own.detector_deadline_s)
