"""The questions a captioner is asked, in training and in service alike.

A question names one object by the placeholder ``<region>``. Frames on which the object is not seen are not given
to the network, so the question also says when the clip ends: without it "has left" and "is still there" look
the same. Objects that came near it follow by placeholders of their own, nearest first: what one thing does to another
can only be told by somebody who sees both. Times are seconds from the clip's first frame, with one decimal. Objects
come before the question, so that their tokens can be read once for several questions.
"""

from typing import Literal

QuestionKind = Literal["detail", "brief", "class", "colour", "direction", "event"]

PROMPT_VERSION = "2"
"""Rises with any change of the wording below: answers are comparable only under one version."""

MAX_FRAMES = 8
"""Most masked frames given for one object and clip, spread evenly over those on which it is visible."""

MOST_NEIGHBOURS = 2
"""Most other objects shown with the one asked about; as many as the shipped captioner was trained with."""

LONG_SIDE_PX = 320
"""Frames are shrunk so that their longer side is at most this."""

WORDING: dict[QuestionKind, str] = {
    "detail": "Describe it in detail.",
    "brief": "Describe it briefly.",
    "class": "What is it?",
    "colour": "What colour is it?",
    "direction": "Where is it going?",
    "event": "What happens to it?",
}


def question(kind: QuestionKind, end_s: float, neighbours: int = 0) -> str:
    """The instruction for one object of a clip that ends ``end_s`` seconds after its first frame.

    ``neighbours``: how many other objects are shown with it.
    """
    near = f" near {' and '.join(['<region>'] * neighbours)}" if neighbours else ""
    return f"<region> until {clip_time(end_s)}{near}: {WORDING[kind]}"


def clip_time(seconds: float) -> float:
    """A time inside a clip as the captioner sees it: one decimal."""
    return round(float(seconds), 1)
