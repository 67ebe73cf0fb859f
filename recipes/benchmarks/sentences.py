"""What a sentence names: class, colour, direction, and whether it tells that its subject is gone.

Sentences of the synthetic world's grammar are parsed by it. Any other sentence is searched by plain rules, which
are a fallback and not a parser:

- class: the text is cut at articles, prepositions, auxiliaries, joining words and marks; of the first piece that holds
  a word of the vocabulary (or a class that the judged folder itself uses), the last such word is the class: "a table
  tennis paddle held by a man" names a paddle. A sentence about "something" or "the object" names none, unless it goes
  on to say what it is: "the object is a dog".
- colour: the first colour word up to the end of that piece, else the first one of the first sentence.
- direction: "to the left", "leftwards", "moves right", "upward", "away from the camera" and the like; the first
  one counts. "On the left" is a place, "from the left" an origin: neither is a direction.
- gone: "leaves the view", "exits", "disappears", "vanishes", "is hidden", "goes out of sight" and the like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from recipes.benchmarks.vocabulary import COLOURS, THINGS, UNNAMED, singular
from synthetic.grammar import parse

_ALIKE = {"grey": "gray"}
_BREAKS = frozenset(
    "a an the this that these those its his her their is are was were be been being has have had and or but with "
    "without in on at of off by to from near behind under over beside beneath above between into onto through across "
    "along around toward towards down up away out which who while as then before after during . , ; : ! ?".split()
)
_TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|[.,;:!?]")
_GOING = (
    r"(?:mov|walk|run|driv|roll|slid|drift|head|fl(?:y|ies)|turn|swim|go|waddl|jump|climb|ris|fall|sink)\w*"
)
_DIRECTION = re.compile(
    r"(?<!\w)(?:(?:to|toward|towards) (?:the |its |his |her |their )?(?:far |upper |lower )?(?P<side>left|right)"
    r"|(?P<wards>left|right|up|down)wards?"
    rf"|{_GOING} (?:\w+ly )?(?P<plain>left|right|up|down)(?! the)"
    r"|(?P<away>away from|farther from|further from) (?:the )?(?:camera|viewer)"
    r"|(?P<toward>toward|towards|closer to|nearer to) (?:the )?(?:camera|viewer))(?!\w)"
)
_PLACEHOLDER = re.compile(
    r"(?:the |an? |this |marked |highlighted )*(?:object|subject|item|thing|something)\b"
    r"(?:[^.]*?\b(?:is|are|be|like) (?:an?|the) (?P<rest>.*))?",
    re.DOTALL,
)
_STILL = re.compile(
    r"(?<!\w)(?:(?:stays|stay|remains?|stands?|standing|sits?|sitting|hovers?|hovering) (?:still|in place)"
    r"|stationary|motionless|does not move|doesn't move)(?!\w)"
)
_GONE = re.compile(
    r"(?<!\w)(?:leav(?:es|ing) (?:the )?(?:view|sight|frame|picture|scene|screen|camera)|has left|is gone|hides?"
    r"|(?:exit|disappear|vanish)(?:e?s|ing|ed)|(?:is|are|becomes?|gets?) hidden"
    r"|(?:goes|moves|gets|is|passes|walks|runs|drives) out of (?:the )?(?:view|sight|frame|picture|scene))(?!\w)"
)


@dataclass(frozen=True)
class Told:
    """What a sentence names; None for what it does not."""

    class_name: str | None
    colour: str | None
    direction: str | None
    still: bool
    in_grammar: bool
    gone: bool = False


def told(text: str, classes: frozenset[str] = frozenset()) -> Told:
    """What the sentence names. ``classes`` are further words for things, lower case."""
    said = parse(text)
    if said is None:
        return _searched(text.lower(), classes)
    name = said.class_name.lower()
    return Told(
        class_name=None if name in UNNAMED else name,
        colour=alike(said.colour) if said.colour else None,
        direction=said.direction,
        still=said.event == "stays",
        in_grammar=True,
        gone=said.event in ("leaves", "hidden"),
    )


def alike(colour: str) -> str:
    """One spelling of a colour."""
    return _ALIKE.get(colour.lower(), colour.lower())


def _searched(text: str, classes: frozenset[str]) -> Told:
    words = _TOKEN.findall(text)
    placeholder = _PLACEHOLDER.match(text)
    about = _TOKEN.findall(placeholder["rest"] or "") if placeholder else words
    name, end = _thing(about, THINGS | classes)
    going = _DIRECTION.search(text)
    return Told(
        class_name=name,
        colour=_colour(about[:end]) or _colour(_first_sentence(words)),
        direction=_way(going) if going else None,
        still=bool(_STILL.search(text)) and not going,
        in_grammar=False,
        gone=bool(_GONE.search(text)),
    )


def _thing(words: list[str], known: frozenset[str]) -> tuple[str | None, int]:
    """The class named first and the number of words up to the end of its piece; None and 0 if there is none."""
    found: str | None = None
    for at, word in enumerate([*words, "."]):
        if word in _BREAKS and found:
            return found, at
        pair = f"{words[at - 1]} {word}" if at else ""
        found = singular(pair, known) or singular(word, known) or found
    return None, 0


def _colour(words: list[str]) -> str | None:
    return next((alike(word) for word in words if word in COLOURS), None)


def _first_sentence(words: list[str]) -> list[str]:
    ends = [at for at, word in enumerate(words) if word in ".!?"]
    return words[: ends[0]] if ends else words


def _way(found: re.Match[str]) -> str:
    named = found["side"] or found["wards"] or found["plain"]
    return named or ("away" if found["away"] else "toward")
