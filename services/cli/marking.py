"""What was typed to mark an object, as the gateway takes it; wrong words end the program in one line."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from contracts.marks import Mark
from pipelines.translate import rle
from services.cli.client import fail

MASK_SIDE_PX = 256
"""Masks are sent no larger than this; the tracker's own are not larger."""


def mark_of(
    points: Sequence[str],
    not_points: Sequence[str],
    box: str | None,
    mask: Path | None,
    scribbles: Sequence[str],
) -> dict[str, Any]:
    """The mark as JSON."""
    clicks = [(text, "--point", True) for text in points] + [(text, "--not", False) for text in not_points]
    given: dict[str, Any] = {
        "points": [
            dict(zip(("x", "y"), numbers(text, 2, name), strict=True)) | {"inside": inside}
            for text, name, inside in clicks
        ],
        "strokes": [
            {"points": [numbers(place, 2, "--scribble") for place in text.split()]} for text in scribbles
        ],
        "box": None if box is None else numbers(box, 4, "--box"),
        "mask": None if mask is None else _mask(mask),
    }
    try:
        return Mark.model_validate(given).model_dump(exclude_none=True)
    except ValidationError as error:
        fail(_words(error), 2)


def numbers(text: str, count: int, option: str) -> list[float]:
    """Numbers separated by commas, each in 0..1."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count:
        wanted = "x,y" if count == 2 else "x0,y0,x1,y1"
        fail(f"{option} wants {wanted}, not '{text[:60]}'", 2)
    if not all(0 <= value <= 1 for value in found):
        fail(f"{option} {text[:60]} lies outside the picture: places are in 0..1 of its width and height", 2)
    return found


def time_of(text: str | None, now_s: float | None = None) -> float | None:
    """Camera time in UTC seconds from ``HH:MM:SS[.s]`` of today or yesterday (local), RFC 3339, or seconds ago (-3)."""
    if text is None:
        return None
    now_s = time.time() if now_s is None else now_s
    if re.fullmatch(r"-\d{1,3}(\.\d+)?", text):
        return now_s + float(text)
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}:\d{2}(\.\d{1,6})?", text):
            return _today(text, now_s)
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        fail(f"--at wants HH:MM:SS, RFC 3339, or seconds ago such as -3, not '{text[:60]}'", 2)


def _today(text: str, now_s: float) -> float:
    clock, _, part = text.partition(".")
    at = datetime.strptime(clock, "%H:%M:%S").time()
    found_s = datetime.combine(datetime.fromtimestamp(now_s), at).timestamp() + float(f"0.{part or 0}")
    return found_s if found_s <= now_s + 60 else found_s - 86_400  # just after midnight


def _mask(file: Path) -> dict[str, Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as picture:
            grey = picture.convert("L")
            grey.thumbnail((MASK_SIDE_PX, MASK_SIDE_PX))
            levels = np.asarray(grey)
            mask = levels > levels.max() / 2
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        fail(f"--mask {file}: {error}", 2)
    return rle(mask).model_dump()


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    words = first["msg"].removeprefix("Value error, ")
    return f"{where}: {words}" if where else words
