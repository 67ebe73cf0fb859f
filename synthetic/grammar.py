"""Words and sentence forms of the synthetic world: attributes to text and back, without ambiguity.

    a {colour} {class} [enters from the {side} and] {verb} [slowly|quickly] {direction} [ending]
    a {colour} {class} stays still
    a {colour} {class} is bumped by the {colour} {class} [and {verb} [slowly|quickly] {direction}]

Endings: ``and stops``, ``and leaves the view``, ``and bumps into the C K``, ``and disappears [behind the C K]``.
What has no name is called ``something {colour}``, without an article, as subject and as partner.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from synthetic.palette import ALL_COLOURS
from synthetic.shapes import CLASSES

STRANGER = "something"
"""The class of what has no name."""
NAMES: tuple[str, ...] = (*CLASSES, STRANGER)

Direction = Literal["left", "right", "away", "toward", "up", "down"]
Ending = Literal["stays", "moves", "stops", "leaves", "bumps", "is_bumped", "hidden"]
Partner = tuple[str, str]
"""Colour and class of the other object."""

VERBS: dict[str, str] = {
    "ball": "rolls",
    "car": "drives",
    "truck": "drives",
    "robot": "walks",
    "duck": "waddles",
    STRANGER: "moves",
}
OTHER_VERB = "slides"
GERUNDS: dict[str, str] = {
    "rolls": "rolling",
    "drives": "driving",
    "walks": "walking",
    "waddles": "waddling",
    "slides": "sliding",
    "moves": "moving",
}
DIRECTIONS: dict[Direction, str] = {
    "left": "to the left",
    "right": "to the right",
    "away": "away from the camera",
    "toward": "toward the camera",
    "up": "up",
    "down": "down",
}
SPEEDS = ("slowly", "quickly")
ENDINGS: dict[str, str] = {"stops": "stops", "leaves": "leaves the view", "hidden": "disappears"}


@dataclass(frozen=True)
class Attributes:
    """What a sentence says. ``direction`` and ``speed`` are None where the sentence does not tell them."""

    class_name: str
    colour: str
    event: Ending
    direction: Direction | None = None
    speed: str | None = None
    entered: str | None = None
    other: Partner | None = None


def verb_of(class_name: str) -> str:
    """How things of this class move: rolls, drives, walks, waddles, slides or, without a name, moves."""
    return VERBS.get(class_name, OTHER_VERB)


def name_of(colour: str, class_name: str) -> str:
    """Noun phrase without article: ``red ball``, or ``something red``."""
    return f"{STRANGER} {colour}" if class_name == STRANGER else f"{colour} {class_name}"


def a_thing(colour: str, class_name: str) -> str:
    """Noun phrase that brings a thing in: ``a red ball``, ``something red``."""
    name = name_of(colour, class_name)
    return name if class_name == STRANGER else f"{_article(colour)} {name}"


def the_thing(colour: str, class_name: str) -> str:
    """Noun phrase for a partner: ``the red ball``, ``something red``."""
    name = name_of(colour, class_name)
    return name if class_name == STRANGER else f"the {name}"


def render(said: Attributes) -> str:
    """The sentence that says exactly these attributes."""
    subject = a_thing(said.colour, said.class_name)
    if said.event == "stays":
        return f"{subject} stays still"
    motion = motion_phrase(said)
    if said.event == "is_bumped":
        assert said.other is not None
        after = f" and {motion}" if motion else ""
        return f"{subject} is bumped by {the_thing(*said.other)}{after}"
    entrance = f" enters from the {said.entered} and" if said.entered else ""
    ending = ending_phrase(said)
    return f"{subject}{entrance} {motion}" + (f" and {ending}" if ending else "")


def motion_phrase(said: Attributes) -> str:
    """``rolls quickly to the left``, or an empty text where no direction is known."""
    if said.direction is None:
        return ""
    words = [verb_of(said.class_name), said.speed or "", DIRECTIONS[said.direction]]
    return " ".join(word for word in words if word)


def ending_phrase(said: Attributes) -> str:
    """What ends the motion: ``bumps into the green box``; empty where it simply goes on."""
    if said.event == "bumps":
        assert said.other is not None
        return f"bumps into {the_thing(*said.other)}"
    phrase = ENDINGS.get(said.event, "")
    if said.event == "hidden" and said.other:
        phrase += f" behind {the_thing(*said.other)}"
    return phrase


def _article(colour: str) -> str:
    return "an" if colour[0] in "aeiou" else "a"


def _any(words: tuple[str, ...] | list[str]) -> str:
    return "|".join(re.escape(word) for word in words)


def _thing(prefix: str) -> str:
    return f"(?:an? |the )(?P<{prefix}colour>{_any(ALL_COLOURS)}) (?P<{prefix}class>{_any(NAMES)})"


# Nameless things are brought into the form of the others before parsing.
_NAMELESS = re.compile(f"{STRANGER} ({_any(ALL_COLOURS)})")


_MOTION = (
    f"(?:{_any([*dict.fromkeys(VERBS.values()), OTHER_VERB])})(?: (?P<speed>{_any(SPEEDS)}))? "
    f"(?P<direction>{_any(list(DIRECTIONS.values()))})"
)
_STILL = re.compile(f"{_thing('')} (?P<still>stays still)")
_BUMPED = re.compile(f"{_thing('')} is bumped by {_thing('o')}(?: and {_MOTION})?")
_MOVING = re.compile(
    f"{_thing('')}(?: enters from the (?P<side>left|right) and)? {_MOTION}"
    f"(?: and (?P<ending>stops|leaves the view|disappears|bumps into|disappears behind)(?: {_thing('o')})?)?"
)
_ENDING_OF: dict[str, Ending] = {
    "stops": "stops",
    "leaves the view": "leaves",
    "bumps into": "bumps",
    "disappears": "hidden",
    "disappears behind": "hidden",
}


def parse(text: str) -> Attributes | None:
    """The attributes that a sentence of this grammar says, or None for any other text.

    Case, a final full stop and surrounding blanks do not matter. ``parse(render(a)) == a`` for every ``a``.
    """
    plain = _NAMELESS.sub(rf"a \1 {STRANGER}", text.strip().rstrip(".").strip().lower())
    if found := _STILL.fullmatch(plain):
        return Attributes(found["class"], found["colour"], "stays")
    if found := _BUMPED.fullmatch(plain):
        return _moving(found, "is_bumped", None)
    found = _MOVING.fullmatch(plain)
    if not found or not _partner_fits(found["ending"], found["oclass"]):
        return None
    return _moving(found, _ENDING_OF[found["ending"]] if found["ending"] else "moves", found["side"])


def _partner_fits(ending: str | None, other_class: str | None) -> bool:
    return bool(other_class) == (ending in ("bumps into", "disappears behind"))


def _moving(found: re.Match[str], event: Ending, side: str | None) -> Attributes:
    ways: dict[str, Direction] = {phrase: way for way, phrase in DIRECTIONS.items()}
    return Attributes(
        class_name=found["class"],
        colour=found["colour"],
        event=event,
        direction=ways[found["direction"]] if found["direction"] else None,
        speed=found["speed"],
        entered=side,
        other=(found["ocolour"], found["oclass"]) if found["oclass"] else None,
    )
