"""The detector that is chosen by name: where its folder is, and whether it holds what a detector needs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from modeling.detector.config import FILES, read_config
from services.tiers import TierUnusable

DETECTOR = "STREAMREFER_TRACKER_DETECTOR"
"""Names the detector, for the tracker, which asks it, and for Triton, which runs it."""


def detector_folder(named: str, weights: Path) -> Path:
    """The folder that a setting names: by itself one in the folder of weights, with a slash in it any other.

    Raises:
        TierUnusable: the folder does not hold a detector.
    """
    folder = Path(named).expanduser() if "/" in named else weights / named
    lacking = [name for name in FILES if not (folder / name).is_file()]
    if lacking:
        raise TierUnusable(
            f"{DETECTOR}: there is no {lacking[0]} in {folder}; docs/detectors.md says what a detector is made of"
        )
    try:
        read_config(folder)
    except ValueError as error:
        raise TierUnusable(f"{DETECTOR}: {error}") from None
    return folder.absolute()


def chosen_detector(weights: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variable with the detector's folder, for who runs it; empty where none is chosen. Raises TierUnusable."""
    named = environ.get(DETECTOR)
    return {DETECTOR: str(detector_folder(named, weights))} if named else {}
