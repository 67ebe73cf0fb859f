"""What can truly be said of an object over a span of time, the answers to questions about it, and how they are scored.

Sentences come from the recorded truth (:mod:`synthetic.truth`), never from the script that moved the objects.
Their form is that of :mod:`synthetic.grammar`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthetic.grammar import (
    DIRECTIONS,
    GERUNDS,
    STRANGER,
    Attributes,
    Direction,
    Ending,
    a_thing,
    ending_phrase,
    motion_phrase,
    parse,
    render,
    the_thing,
    verb_of,
)
from synthetic.truth import Event, ObjectTruth

__all__ = ["ATTRIBUTES", "Sentence", "answer", "describe", "parse", "score"]

Question = Literal["detail", "brief", "class", "colour", "direction", "event"]
"""What an answer can be about; the wording of questions belongs to the captioner."""

ATTRIBUTES = ("class", "colour", "direction", "speed", "event", "other", "entered")

MOVING_M_S = 0.12
"""Slower than this counts as standing still."""
MOVED_M = 0.15
"""A shorter way than this has no direction worth telling."""
SLOW_M_S, QUICK_M_S = 0.55, 1.1
"""Slower is "slowly", faster is "quickly"; between the two nothing is said."""
EVENT_SLACK_S = 0.05
STOOD_S = 0.7
"""A stop is told once the thing has stood for so long: later ones nobody could have seen."""
# The most telling event ends the sentence; of one kind the first counts.
_RANK: tuple[tuple[str, Ending], ...] = (
    ("bumps", "bumps"),
    ("is_bumped", "is_bumped"),
    ("leaves", "leaves"),
    ("hidden", "hidden"),
    ("stops", "stops"),
)


@dataclass(frozen=True)
class Sentence:
    """A true sentence and what it says."""

    text: str
    attributes: Attributes


@dataclass(frozen=True)
class _Span:
    """Times of the frames inside a span and the object's path over them: ``ground`` [n, 2] metres."""

    times: np.ndarray
    ground: np.ndarray

    def between(self, start_s: float, end_s: float) -> _Span:
        inside = (self.times >= start_s - EVENT_SLACK_S) & (self.times <= end_s + EVENT_SLACK_S)
        return _Span(self.times[inside], self.ground[inside])


def describe(
    objects: Sequence[ObjectTruth], index: int, fps: float, start_s: float, end_s: float
) -> Sentence:
    """What object ``index`` truly does from ``start_s`` to ``end_s`` (seconds from the clip's first frame).

    Raises ValueError for a span without frames.
    """
    it = objects[index]
    times = np.arange(len(it.ground)) / fps
    span = _Span(times, it.ground).between(start_s, end_s)
    if not len(span.times):
        raise ValueError(f"no frame lies between {start_s} s and {end_s} s")
    happened = [e for e in it.events if start_s - EVENT_SLACK_S < e.time_s <= end_s + EVENT_SLACK_S]
    said = _attributes(it, objects, span, happened)
    return Sentence(render(said), said)


def _attributes(
    it: ObjectTruth, objects: Sequence[ObjectTruth], span: _Span, happened: list[Event]
) -> Attributes:
    ending, event = _ending(happened, float(span.times[-1]))
    told = _motion_span(span, ending, event, happened)
    direction, speed = _direction(told), _speed(told)
    if direction is None and ending != "is_bumped":
        ending = "stays"
    if ending == "stays":
        return Attributes(it.class_name, it.colour, "stays")
    entrance = next((e for e in happened if e.kind == "enters" and e.side), None)
    return Attributes(
        class_name=it.class_name,
        colour=it.colour,
        event=ending,
        direction=direction,
        speed=speed if direction else None,
        entered=entrance.side if entrance and ending != "is_bumped" else None,
        other=_partner(event, objects),
    )


def _ending(happened: list[Event], last_s: float) -> tuple[Ending, Event | None]:
    for kind, ending in _RANK:
        event = next((e for e in happened if e.kind == kind), None)
        if event and kind == "stops" and last_s - event.time_s < STOOD_S:
            continue
        if event and (event.other is not None or kind not in ("bumps", "is_bumped")):
            return ending, event
    return "moves", None


def _motion_span(span: _Span, ending: Ending, event: Event | None, happened: list[Event]) -> _Span:
    """The part of the span whose motion is told: before the ending, but after a push or a start."""
    first, last = float(span.times[0]), float(span.times[-1])
    if event and ending == "is_bumped":
        first = event.time_s
        last = min((e.time_s for e in happened if e.kind == "stops" and e.time_s > first), default=last)
    elif event:
        last = event.time_s
    starts = [e.time_s for e in happened if e.kind == "starts" and first < e.time_s < last]
    return span.between(max(starts, default=first), last)


def _direction(span: _Span) -> Direction | None:
    if len(span.times) < 2:
        return None
    across, deep = span.ground[-1] - span.ground[0]
    if max(abs(across), abs(deep)) < MOVED_M:
        return None
    if abs(across) >= abs(deep):
        return "right" if across > 0 else "left"
    return "away" if deep > 0 else "toward"


def _speed(span: _Span) -> str | None:
    if len(span.times) < 2:
        return None
    steps = np.linalg.norm(np.diff(span.ground, axis=0), axis=1) / np.diff(span.times)
    moving = steps[steps > MOVING_M_S]
    mean = float(moving.mean()) if len(moving) else 0.0
    if mean < SLOW_M_S:
        return "slowly"
    return "quickly" if mean > QUICK_M_S else None


def _partner(event: Event | None, objects: Sequence[ObjectTruth]) -> tuple[str, str] | None:
    if event is None or event.other is None or event.kind not in ("bumps", "is_bumped", "hidden"):
        return None
    return objects[event.other].colour, objects[event.other].class_name


def answer(question: Question, said: Attributes) -> str:
    """The true answer to a question, given what is true of the object."""
    if question == "detail":
        return render(said)
    if question == "class":
        return STRANGER if said.class_name == STRANGER else f"a {said.class_name}"
    if question == "colour":
        return said.colour
    if question == "direction":
        return DIRECTIONS[said.direction] if said.direction else "nowhere"
    if question == "brief":
        return f"{a_thing(said.colour, said.class_name)} {_doing(said)}"
    return f"it {_happening(said)}"


def _doing(said: Attributes) -> str:
    if said.direction is None:
        return "standing still"
    return f"{GERUNDS[verb_of(said.class_name)]} {DIRECTIONS[said.direction]}"


def _happening(said: Attributes) -> str:
    if said.event == "stays":
        return "stays still"
    if said.event == "is_bumped":
        assert said.other is not None
        return f"is bumped by {the_thing(*said.other)}"
    return ending_phrase(said) or motion_phrase(said)


def score(said: Attributes | None, true: Attributes) -> dict[str, bool | None]:
    """Right or wrong for each of :data:`ATTRIBUTES` and ``exact``; None where the truth has nothing to judge.

    ``said`` is None for text outside the grammar: everything judged is then wrong. Direction and speed are judged on
    things that move, ``other`` where the truth names a partner, ``entered`` where it tells of an entrance.
    """
    moves = true.direction is not None
    judged = {
        "direction": moves,
        "speed": moves,
        "other": true.other is not None,
        "entered": bool(true.entered),
    }
    fields = {"class": "class_name"}
    verdict: dict[str, bool | None] = {}
    for name in ATTRIBUTES:
        field = fields.get(name, name)
        right = said is not None and getattr(said, field) == getattr(true, field)
        verdict[name] = right if judged.get(name, True) else None
    verdict["exact"] = said == true
    return verdict
