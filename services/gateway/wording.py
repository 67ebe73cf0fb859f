"""How a person's question is put to the captioner that is served: as it is, or as one of the captioner's own."""

from __future__ import annotations

from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION
from modeling.pixelrefer.matching import known_question
from modeling.pixelrefer.profile import Profile
from modeling.pixelrefer.questions import PROMPT_VERSION, WORDING, question
from pipelines.answering import QuestionRefused, Word, Worded

KNOWN = ", ".join(f'"{words}"' for words in WORDING.values())


def worded_for(profile: Profile) -> Word:
    """How questions are put to a captioner of that profile."""
    if profile.any_question:
        return as_it_is
    together = 1 + min(1, profile.neighbours)  # objects it was trained to be asked about at once
    return lambda text, objects, end_s: as_own_question(text, objects, end_s, together)


def as_it_is(text: str, objects: int, end_s: float) -> Worded:
    """For captioners that follow instructions."""
    return Worded(text, "question", INSTRUCTIONS_VERSION)


def as_own_question(text: str, objects: int, end_s: float, together: int) -> Worded:
    """For the embedded captioner. Raises QuestionRefused, naming what it can be asked."""
    if objects > together:
        most = "one object" if together == 1 else f"{together} objects"
        raise QuestionRefused(f"this captioner only answers questions about {most}, not {objects} at once")
    kind = known_question(text, objects)
    if kind is None:
        between = ' and, about two, "What does <object1> do to <object2>?"' if together > 1 else ""
        raise QuestionRefused(f"this captioner only answers {KNOWN}{between}")
    return Worded(question(kind, end_s, objects - 1), kind, PROMPT_VERSION)
