"""How a person's question is put to the captioner that is served: as it is, or as one of the captioner's own."""

from __future__ import annotations

from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION
from modeling.pixelrefer.matching import known_question
from modeling.pixelrefer.questions import MOST_NEIGHBOURS, PROMPT_VERSION, WORDING, question
from pipelines.answering import QuestionRefused, Worded

TOGETHER = 1 + min(1, MOST_NEIGHBOURS)
"""Objects that the embedded captioner can be asked about at once."""
KNOWN = ", ".join(f'"{words}"' for words in WORDING.values())


def as_it_is(text: str, objects: int, end_s: float) -> Worded:
    """For captioners that follow instructions."""
    return Worded(text, "question", INSTRUCTIONS_VERSION)


def as_own_question(text: str, objects: int, end_s: float) -> Worded:
    """For the embedded captioner. Raises QuestionRefused, naming what it can be asked."""
    if objects > TOGETHER:
        most = "one object" if TOGETHER == 1 else f"{TOGETHER} objects"
        raise QuestionRefused(f"this captioner only answers questions about {most}, not {objects} at once")
    kind = known_question(text, objects)
    if kind is None:
        between = ' and, about two, "What does <object1> do to <object2>?"' if TOGETHER > 1 else ""
        raise QuestionRefused(f"this captioner only answers {KNOWN}{between}")
    return Worded(question(kind, end_s, objects - 1), kind, PROMPT_VERSION)
