"""The questions a captioner is asked, in training and in service alike.

A question names one object by the placeholder ``<region>``. Frames on which the object is not seen are not given
to the network, so the question also says when the clip ends: without it "has left" and "is still there" look
the same. Times are seconds from the clip's first frame, with one decimal.
"""

from typing import Literal

QuestionKind = Literal["detail", "brief", "class", "colour", "direction", "event", "partner"]

PROMPT_VERSION = "1"
"""Rises with any change of the wording below: answers are comparable only under one version."""

MAX_FRAMES = 6
"""Most masked frames given for one object and clip, spread evenly over those on which it is visible."""

LONG_SIDE_PX = 320
"""Frames are shrunk so that their longer side is at most this."""

WORDING: dict[QuestionKind, str] = {
    "detail": "Describe <region> in detail.",
    "brief": "Describe <region> briefly.",
    "class": "What is <region>?",
    "colour": "What colour is <region>?",
    "direction": "Where is <region> going?",
    "event": "What happens to <region>?",
    "partner": "What is <region> next to?",
}


def question(kind: QuestionKind, end_s: float) -> str:
    """The instruction for one object of a clip that ends ``end_s`` seconds after its first frame."""
    return f"{WORDING[kind]} End {clip_time(end_s)}."


def clip_time(seconds: float) -> float:
    """A time inside a clip as the captioner sees it: one decimal."""
    return round(float(seconds), 1)
