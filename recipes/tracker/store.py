"""Clips rendered once into memory-mapped arrays, so that training never waits for the world.

A store is a folder with ``frames.npy`` uint8 [N, T, S, S, 3] (RGB, the view squashed to a square), ``ids.npy``
uint8 [N, T, S, S] (0 background, k + 1 the clip's object k) and ``store.json``. Reading it needs no world.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Render = Callable[
    [int], tuple[np.ndarray, np.ndarray]
]  # seed -> frames uint8 [T, H, W, 3], ids uint8 [T, H, W]


@dataclass(frozen=True, slots=True)
class ClipStore:
    """Rendered clips, mapped from disk. ``name`` says which kind of world they show."""

    name: str
    frames: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def length(self) -> int:
        """Frames in each clip."""
        return self.frames.shape[1]


def is_rendered(folder: Path) -> bool:
    """Whether ``folder`` holds a finished store."""
    path = folder / "store.json"
    if not path.is_file():
        return False
    about = json.loads(path.read_text(encoding="utf-8"))
    return about["written"] == about["clips"]


def open_store(folder: Path) -> ClipStore:
    """The store in ``folder``; raises FileNotFoundError or ValueError when it is absent or unfinished."""
    about = json.loads((folder / "store.json").read_text(encoding="utf-8"))
    if about["written"] < about["clips"]:
        raise ValueError(
            f"clip store {folder}: only {about['written']} of {about['clips']} clips were rendered"
        )
    return ClipStore(
        about["name"],
        np.load(folder / "frames.npy", mmap_mode="r"),
        np.load(folder / "ids.npy", mmap_mode="r"),
    )


def render_store(
    folder: Path, name: str, render: Render, first_seed: int, clips: int, frames: int, size_px: int
) -> None:
    """Render ``clips`` clips of ``frames`` frames from consecutive seeds into a new store."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"name": name, "first_seed": first_seed, "clips": clips, "written": 0}
    shape = (clips, frames, size_px, size_px)
    pixels = np.lib.format.open_memmap(folder / "frames.npy", "w+", np.uint8, (*shape, 3))
    ids = np.lib.format.open_memmap(folder / "ids.npy", "w+", np.uint8, shape)
    _write_about(folder, about)
    for index in range(clips):
        clip_frames, clip_ids = render(first_seed + index)
        for t in range(frames):
            pixels[index, t] = squash(clip_frames[t], size_px)
            ids[index, t] = squash_ids(clip_ids[t], size_px)
    pixels.flush()
    ids.flush()
    _write_about(folder, {**about, "written": clips})


def squash(picture: np.ndarray, size_px: int) -> np.ndarray:
    """RGB uint8 [H, W, 3] to uint8 [S, S, 3], area-averaged."""
    if picture.shape[:2] == (size_px, size_px):
        return picture
    return np.asarray(Image.fromarray(picture).resize((size_px, size_px), Image.Resampling.BOX))


def squash_ids(ids: np.ndarray, size_px: int) -> np.ndarray:
    """uint8 [H, W] to uint8 [S, S], the nearest pixel of each cell."""
    rows = ((np.arange(size_px) + 0.5) * ids.shape[0] / size_px).astype(np.intp)
    columns = ((np.arange(size_px) + 0.5) * ids.shape[1] / size_px).astype(np.intp)
    return ids[rows[:, None], columns]


def _write_about(folder: Path, about: dict[str, object]) -> None:
    (folder / "store.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
