"""What people call things, put beside the names of a detector's classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Matched(NamedTuple):
    """Names of classes that words mean, and the words that mean none."""

    names: tuple[str, ...]
    unknown: tuple[str, ...]


def match(words: Iterable[str], names: Sequence[str]) -> Matched:
    """Which of the names are meant: alike but for case, hyphens, underscores, spaces, and a plural's s."""
    known: dict[str, list[str]] = {}
    for name in names:
        known.setdefault(_plain(name), []).append(name)
    meant: dict[str, None] = {}
    unknown = []
    for word in words:
        plain = _plain(word)
        found = known.get(plain) or known.get(plain.removesuffix("s")) or known.get(f"{plain}s")
        if found is None:
            unknown.append(word)
        meant.update(dict.fromkeys(found or ()))
    return Matched(tuple(meant), tuple(unknown))


def quoted(names: Sequence[str], most: int = 12) -> str:
    """Names for a person to choose from: the first few, and how many there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} ... ({len(names)} in all)"


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("-", " ").replace("_", " ").split())
