"""One question of a benchmark, whatever its file format, and what the readers of formats share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recipes.benchmarks.masks import Shape

Framework = Literal["pixelrefer", "pixelreferlite"]
MasksShown = Literal["single", "all"]
LAST = -1
"""As a picture's number: the last one."""


class FormatError(ValueError):
    """A benchmark's file that cannot be read; the text names it and says why."""


@dataclass(frozen=True)
class Seen:
    """Where an object is seen: number of the picture, number of the object (its ``<region>``), its mask."""

    picture: int
    object: int
    shape: Shape


@dataclass(frozen=True)
class Item:
    """One question.

    ``source`` is a video, a folder of pictures in order of their names, or a single picture. ``scene`` are the
    pictures to show besides those of ``seen`` (None: by the frame rate of the run), ``hidden_end`` how many pictures
    at the end of the video must not be shown; picture numbers below 0 count from the last one that may. ``step_s`` is
    the time between the pictures of a folder, ``facts`` what scoring needs besides the reference; ``describes`` tells
    descriptions from questions that have one right answer.
    """

    key: str
    source: Path
    question: str
    seen: tuple[Seen, ...]
    reference: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    scene: tuple[int, ...] | None = None
    hidden_end: int = 0
    step_s: float | None = None
    describes: bool = True


@dataclass(frozen=True)
class Reading:
    """How a benchmark is read: for which framework, with one mask an object or all, at most ``limit`` items."""

    framework: Framework = "pixelrefer"
    masks: MasksShown = "single"
    limit: int | None = None


def find(folder: Path, *names: str) -> Path:
    """The first of the names that exists in the folder. Raises FormatError naming what was looked for."""
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise FormatError(f"{folder}: none of {', '.join(names)} in it")


def load_json(path: Path, kind: type) -> Any:
    """The content of a JSON file whose outermost value must be of the type. Raises FormatError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(content, kind):
        raise FormatError(f"{path}: a {kind.__name__} is expected, not {type(content).__name__}")
    return content


def entries(path: Path, limit: int | None) -> Iterator[tuple[str, Mapping]]:
    """The objects of a JSON list with a place to name in complaints."""
    for number, entry in enumerate(load_json(path, list)[:limit]):
        where = f"{path.name}, entry {number}"
        if not isinstance(entry, Mapping):
            raise FormatError(f"{where}: not an object")
        yield where, entry


def need(entry: object, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """A field of an entry that must be there and of the type. Raises FormatError."""
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind):
        raise FormatError(f"{where}: field {name!r} is missing or of the wrong type")
    return value


def picture_number(value: object, where: str) -> int:
    """A picture's number, written as a number or as text. Raises FormatError."""
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        return int(value)
    raise FormatError(f"{where}: {value!r} is no picture number")


def seen_of(
    annotations: Sequence, single: int | None, where: str, inner: str | None = "segmentation"
) -> tuple[Seen, ...]:
    """Masks of objects, one mapping an object from picture number to mask; only of picture ``single`` if given.

    ``inner`` is the field that holds the mask; empty ones (null) are left out. Raises FormatError when an object
    has no mask left.
    """
    found: list[Seen] = []
    for number, annotation in enumerate(annotations):
        if not isinstance(annotation, Mapping):
            raise FormatError(f"{where}: annotation {number} is not an object")
        for name, held in annotation.items():
            picture = picture_number(name, where)
            shape = held.get(inner) if inner and isinstance(held, Mapping) else held
            if shape and single in (None, picture):
                found.append(Seen(picture, number, shape))
        if not any(seen.object == number for seen in found):
            raise FormatError(f"{where}: object {number} has no mask" + _on(single))
    if not found:
        raise FormatError(f"{where}: no object")
    return tuple(found)


def _on(single: int | None) -> str:
    return "" if single is None else f" on picture {single}"
