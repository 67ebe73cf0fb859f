"""Hand-made boxes on real clips: ``boxes.json`` beside the video files it names.

A list with one entry a clip: ``clip`` (file name) and ``subjects``, each with ``name``, ``colours`` and ``classes``
(every one a right answer) and ``boxes``: number of the picture in order of presentation -> [x0, y0, x1, y1] in the
pixels of ``width`` x ``height``, or null where the subject is not visible. Pictures left out were not judged.
``first_point`` is a place on the subject: ``frame``, the picture's number, and ``xy`` in pixels.
All but ``clip`` and ``boxes`` may be missing or null; what cannot be used is left out and said in ``Notes``.
No file outside the folder is named: clips lie in it or in folders below.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TypeGuard

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as shares of the picture."""

FILE = "boxes.json"


@dataclass(frozen=True)
class Subject:
    """One thing and its boxes; None where it is known not to be visible."""

    name: str
    classes: frozenset[str]
    colours: frozenset[str]
    boxes: dict[int, Box | None]
    first_point: tuple[int, float, float] | None = None
    """Number of the picture, x and y as shares of it."""


@dataclass(frozen=True)
class Annotated:
    """One clip with its subjects."""

    path: Path
    subjects: tuple[Subject, ...]

    @property
    def pictures(self) -> frozenset[int]:
        """Numbers of all pictures that any subject was judged on."""
        return frozenset(number for subject in self.subjects for number in subject.boxes)


@dataclass
class Notes:
    """What was left out and why, a line each."""

    lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        self.lines.append(" ".join(line.split()))


def read_boxes(folder: Path, notes: Notes) -> list[Annotated]:
    """The clips of a folder. Raises ValueError naming the file when it is not of this format at all."""
    path = folder / FILE
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give a folder with videos and their {FILE}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(entries, list):
        raise ValueError(f"{path}: a list with one entry a clip is expected, not {type(entries).__name__}")
    return [clip for i, entry in enumerate(entries) if (clip := _clip(folder, entry, i, notes)) is not None]


def check_folder(folder: Path) -> None:
    """Raise ValueError, saying why, where no clip of a folder can be judged. Nothing is decoded."""
    notes = Notes()
    clips = read_boxes(folder, notes)
    for clip in clips:
        if not clip.path.is_file():
            notes.add(f"{clip.path}: no such file")
    if not any(clip.path.is_file() for clip in clips):
        raise ValueError(f"{folder}: nothing to judge: {'; '.join(notes.lines) or 'no clip is named'}")


def _clip(folder: Path, entry: object, number: int, notes: Notes) -> Annotated | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("clip"), str):
        notes.add(f"entry {number} of {FILE}: names no clip")
        return None
    name = entry["clip"]
    if not _is_inside(name):
        notes.add(f"entry {number} of {FILE}: {name!r} names no file inside the folder")
        return None
    size = _size(entry)
    if size is None:
        notes.add(f"{name}: width and height are missing, boxes have no scale")
        return None
    given = _listed(entry.get("subjects"), f"{name}: subjects", notes)
    found = [_subject(name, one, i, size, notes) for i, one in enumerate(given)]
    subjects = tuple(subject for subject in found if subject is not None)
    if not subjects:
        notes.add(f"{name}: no subject with boxes")
        return None
    return Annotated(folder / name, subjects)


def _is_inside(name: str) -> bool:
    """Whether the name is that of a file in the folder or below it, as far as its letters go."""
    path = PurePosixPath(name)
    usable = path.name and not path.is_absolute() and ".." not in path.parts
    return bool(usable) and name.isprintable() and len(path.name) < LONGEST_NAME


def _size(entry: Mapping) -> tuple[float, float] | None:
    width, height = entry.get("width"), entry.get("height")
    if _is_number(width) and _is_number(height) and width > 0 and height > 0:
        return float(width), float(height)
    return None


def _subject(
    clip: str, given: object, number: int, size: tuple[float, float], notes: Notes
) -> Subject | None:
    if not isinstance(given, dict):
        notes.add(f"{clip}, subject {number}: not an object")
        return None
    name = _name(given.get("name")) or f"subject {number}"
    raw = given.get("boxes")
    if raw is not None and not isinstance(raw, dict):
        notes.add(f"{clip}, {name}: boxes must be an object, picture -> box, not {type(raw).__name__}")
    boxes: dict[int, Box | None] = {}
    for key, corners in (raw if isinstance(raw, dict) else {}).items():
        place = _box(corners, size) if corners is not None else None
        if not _is_number_of_a_picture(key) or (corners is not None and place is None):
            notes.add(
                f"{clip}, {name}: the box at picture {key[:12]} is not [x0, y0, x1, y1] inside the picture"
            )
            continue
        boxes[int(key)] = place
    if not any(boxes.values()):
        notes.add(f"{clip}, {name}: no boxes")
        return None
    point = _point(given.get("first_point"), size)
    if point is None and given.get("first_point") is not None:
        notes.add(f"{clip}, {name}: first_point is no frame with xy inside the picture")
    words = (_words(given.get(key), f"{clip}, {name}: {key}", notes) for key in ("classes", "colours"))
    return Subject(name, *words, boxes, point)


def _name(given: object) -> str:
    """A name on one line; empty for what is none."""
    plain = given if isinstance(given, str) else str(given) if _is_number(given) else ""
    return " ".join(plain.split())[:LONGEST_NAME]


def _is_number_of_a_picture(key: str) -> bool:
    return key.isdecimal() and key.isascii() and len(key) <= 9


def _point(given: object, size: tuple[float, float]) -> tuple[int, float, float] | None:
    if not isinstance(given, dict) or type(given.get("frame")) is not int or given["frame"] < 0:
        return None
    place = given.get("xy")
    if not isinstance(place, list) or len(place) != 2 or not all(map(_is_number, place)):
        return None
    x, y = (value / side for value, side in zip(place, size, strict=True))
    return (given["frame"], x, y) if 0 <= x <= 1 and 0 <= y <= 1 else None


def _box(corners: object, size: tuple[float, float]) -> Box | None:
    """The corners as shares of the picture, cut to it; None if nothing is left or they are no numbers."""
    if not isinstance(corners, list) or len(corners) != 4 or not all(map(_is_number, corners)):
        return None
    x0, x1 = (min(1.0, max(0.0, corners[i] / size[0])) for i in (0, 2))
    y0, y1 = (min(1.0, max(0.0, corners[i] / size[1])) for i in (1, 3))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


HUGE = 10**9
"""No pixel or picture has such a number; JSON allows integers that no float can hold."""
LONGEST_NAME = 200


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < HUGE and math.isfinite(value)


def _listed(value: object, what: str, notes: Notes) -> list:
    """A list as it is; nothing for null; nothing and a note for what is none."""
    if value is not None and not isinstance(value, list):
        notes.add(f"{what} must be a list, not {type(value).__name__}")
    return value if isinstance(value, list) else []


def _words(value: object, what: str, notes: Notes) -> frozenset[str]:
    given = _listed(value, what, notes)
    if not all(isinstance(word, str) for word in given):
        notes.add(f"{what} must be words")
    return frozenset(word.strip().lower() for word in given if isinstance(word, str) and word.strip())
