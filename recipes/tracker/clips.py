"""The training's data folder: world clips, class-agnostic ones, and a few unseen clips for the checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recipes.tracker.store import ClipStore, Render, is_rendered, open_store, render_store

WORLD_SIZE = (320, 240)
STORED_PX = 192
FPS = 4.0
FRAMES, CHECK_FRAMES, CHECK_CLIPS = 12, 16, 24
CHECK_SEED = 10_000_000  # far from the seeds of training, in the same split


def render_data(folder: Path, clips: int, textures: int, wide: int = 0) -> None:
    """Render whatever of the stores is not there yet; seeds count from 0."""
    _render(folder / "check", "check", _world, CHECK_SEED, CHECK_CLIPS, CHECK_FRAMES)
    _render(folder / "world", "world", _world, 0, clips, FRAMES)
    if textures:
        _render(folder / "texture", "texture", _texture, 0, textures, FRAMES)
    if wide:
        _render(folder / "wide", "wide", _wide, 0, wide, FRAMES)


def open_data(folder: Path) -> dict[str, ClipStore]:
    """The stores by name: ``world``, ``check`` and, where they were rendered, ``texture`` and ``wide``."""
    names = [name for name in ("world", "check", "texture", "wide") if is_rendered(folder / name)]
    return {name: open_store(folder / name) for name in names}


def _render(folder: Path, name: str, render: Render, first_seed: int, clips: int, frames: int) -> None:
    if not is_rendered(folder):
        render_store(folder, name, render, first_seed, clips, frames, STORED_PX)


def _world(seed: int) -> tuple[np.ndarray, np.ndarray]:
    from synthetic.world import sample_clip

    frames = CHECK_FRAMES if seed >= CHECK_SEED else FRAMES
    clip = sample_clip(seed, "train", *WORLD_SIZE, frames, FPS)
    return clip.frames, clip.ids


def _texture(seed: int) -> tuple[np.ndarray, np.ndarray]:
    from synthetic.class_agnostic import sample_texture_clip

    clip = sample_texture_clip(seed, STORED_PX, FRAMES)
    return clip.frames, clip.ids


def _wide(seed: int) -> tuple[np.ndarray, np.ndarray]:
    from synthetic.wide import sample_wide_clip

    clip = sample_wide_clip(seed, STORED_PX, FRAMES)
    return clip.frames, clip.ids
