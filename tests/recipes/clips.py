"""Short pieces of real clips where they are at hand, drawn ones elsewhere."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np

from recipes.make_variants import Still, frame_rate, read_stills

ROOT = Path(__file__).resolve().parents[2]
PLACES = (os.environ.get("STREAMREFER_CLIPS", ""), ROOT.parent / "shared" / "data" / "videos")
"""Folders of real clips: the variable's first, then the one beside the repository."""
SECONDS, SIDE_PX, DRAWN_FPS = 3.2, 160, 24.0


def real_clips() -> list[Path]:
    """Paths of the clips, in order of their names."""
    found = (sorted(Path(place).glob("*.mp4")) for place in PLACES if place)
    return next((clips for clips in found if clips), [])


@cache
def piece(number: int) -> tuple[list[Still], float]:
    """The first seconds of a clip (numbers begin anew behind the last one), small; and its pictures a second."""
    clips = real_clips()
    if not clips:
        return [_drawn(at) for at in range(round(SECONDS * DRAWN_FPS))], DRAWN_FPS
    clip = clips[number % len(clips)]
    return list(read_stills(clip, SECONDS, SIDE_PX)), frame_rate(clip)


def _drawn(at: int) -> Still:
    """A disc that crosses soft hills of colour: no half of the picture looks like another."""
    rows, columns = np.mgrid[0:90, 0:160].astype(np.float32)
    picture = np.stack([rows * 2, columns, 128 + 60 * np.sin(columns / 20 + rows / 30)], axis=2)
    picture[np.hypot(rows - 40, columns - 20 - 1.5 * at) < 14] = (230, 40, 40)
    return Still(picture.clip(0, 255).astype(np.uint8), at / DRAWN_FPS)
