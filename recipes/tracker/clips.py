"""The training's data folder: world clips, class-agnostic ones, and a few unseen clips for the checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.tracker.store import ClipStore, Render, is_rendered, open_store, render_store
from synthetic.pictures import Pictures, read_pictures

WORLD_SIZE = (320, 240)
STORED_PX, STORED_FINE_PX = 192, 256
FPS = 4.0
FRAMES, CHECK_FRAMES, CHECK_CLIPS = 12, 16, 24
CHECK_SEED = 10_000_000  # far from the seeds of training, in the same split


NAMES = ("world", "check", "texture", "wide", "cutout")


@dataclass(frozen=True, slots=True)
class Amounts:
    """Clips of each kind to render; ``cutouts`` need the folder of ``pictures``."""

    world: int
    textures: int = 0
    wide: int = 0
    cutouts: int = 0
    pictures: Path | None = None

    def __post_init__(self) -> None:
        if self.cutouts and self.pictures is None:
            raise ValueError("clips: cut-outs are drawn from a folder of pictures, and none was given")


def render_data(folder: Path, amounts: Amounts) -> None:
    """Render whatever of the stores is not there yet; seeds count from 0. Raises ValueError for unusable pictures."""
    _render(folder / "check", "check", _world, CHECK_SEED, CHECK_CLIPS, CHECK_FRAMES)
    _render(folder / "world", "world", _world, 0, amounts.world, FRAMES)
    if amounts.textures:
        _render(folder / "texture", "texture", _texture, 0, amounts.textures, FRAMES)
    if amounts.wide:
        _render(folder / "wide", "wide", _wide, 0, amounts.wide, FRAMES, STORED_FINE_PX)
    if amounts.cutouts and not is_rendered(folder / "cutout"):
        draw = _cutouts(read_pictures(amounts.pictures))
        _render(folder / "cutout", "cutout", draw, 0, amounts.cutouts, FRAMES, STORED_FINE_PX)


def open_data(folder: Path) -> dict[str, ClipStore]:
    """The stores by name: ``world``, ``check`` and those of ``texture``, ``wide``, ``cutout`` that were rendered."""
    names = [name for name in NAMES if is_rendered(folder / name)]
    return {name: open_store(folder / name) for name in names}


def _render(
    folder: Path,
    name: str,
    render: Render,
    first_seed: int,
    clips: int,
    frames: int,
    size_px: int = STORED_PX,
) -> None:
    if not is_rendered(folder):
        render_store(folder, name, render, first_seed, clips, frames, size_px)


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

    clip = sample_wide_clip(seed, STORED_FINE_PX, FRAMES)
    return clip.frames, clip.ids


def _cutouts(pictures: Pictures) -> Render:
    from synthetic.cutouts import sample_cutout_clip

    def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
        clip = sample_cutout_clip(seed, pictures, STORED_FINE_PX, FRAMES)
        return clip.frames, clip.ids

    return draw
