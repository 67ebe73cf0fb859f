"""How the served captioner is to be asked, for as long as it has not been heard itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from modeling.pixelrefer.profile import EMBEDDED, Profile, profile_of
from services.settings import Settings

FOLDER = "STREAMREFER_CAPTIONER"
EMBEDDED_FOLDER = "captioner-embedded"


def assumed_profile(settings: Settings, environ: Mapping[str, str] = os.environ) -> Profile:
    """What the weights say that Triton is told to serve; the embedded captioner's where they are not at hand.

    The captioner's own word (:meth:`services.adapters.triton.TritonCaptioner.profile`) takes its place: Triton may run
    elsewhere, with other weights.
    """
    try:
        return profile_of(Path(environ.get(FOLDER) or settings.weights / EMBEDDED_FOLDER))
    except (OSError, ValueError):
        return EMBEDDED
