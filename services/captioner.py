"""Which captioner is served, as far as those who ask must know: does it follow instructions, or know only its own?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from modeling.pixelrefer.instructions import follows_instructions
from services.settings import Settings, SettingsError

FOLDER = "STREAMREFER_CAPTIONER"
PROMPTS = "STREAMREFER_CAPTIONER_PROMPTS"
"""``any`` or ``own``: for processes that cannot see the folder of weights that Triton serves."""
EMBEDDED = "captioner-embedded"


def takes_any_question(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the served captioner follows instructions. Raises SettingsError for a value that is neither.

    Told by STREAMREFER_CAPTIONER_PROMPTS, else read from the weights; False where these are not at hand, so that
    nothing is promised that may not be kept.
    """
    told = environ.get(PROMPTS, "")
    if told not in ("", "any", "own"):
        raise SettingsError(f"{PROMPTS}: 'any' or 'own', not {told!r}")
    if told:
        return told == "any"
    try:
        return follows_instructions(Path(environ.get(FOLDER) or settings.weights / EMBEDDED))
    except (OSError, ValueError):
        return False
