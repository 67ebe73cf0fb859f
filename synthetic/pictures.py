"""A pool of somebody's pictures to draw with: cut-outs (pictures with a transparent ground) and photographs.

No pictures are part of this repository; a folder of any is read. Things cut out of photographs have what drawn ones
lack: many colours and surfaces in one thing, and the light of the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CUTOUT_PX, PHOTOGRAPH_PX = 288, 900
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_CLEAR, _SOLID = 64, 192
_LEAST_SHARE, _MOST_SHARE = 0.06, 0.95
_DRAWN = "emoji"


@dataclass(frozen=True, slots=True)
class Pictures:
    """``cutouts`` RGBA, trimmed to what shows; ``drawn`` the same, of drawn things (file names with "emoji");
    ``photographs`` RGB."""

    cutouts: tuple[Image.Image, ...]
    drawn: tuple[Image.Image, ...]
    photographs: tuple[Image.Image, ...]

    def cutout(self, rng: np.random.Generator, drawn_share: float = 0.3) -> Image.Image:
        """One thing, RGBA."""
        pool = self.drawn if self.drawn and rng.uniform() < drawn_share else self.cutouts
        return pool[int(rng.integers(len(pool)))]

    def crop(self, rng: np.random.Generator, width: int, height: int, least: float = 0.1) -> Image.Image:
        """A piece of a photograph at a random scale, RGB of that size; ``least`` is the smallest piece's share."""
        photograph = self.photographs[int(rng.integers(len(self.photographs)))]
        fit = min(photograph.width / width, photograph.height / height)
        scale = fit * np.exp(rng.uniform(np.log(least), 0.0))
        wide, high = width * scale, height * scale
        x, y = rng.uniform(0, photograph.width - wide), rng.uniform(0, photograph.height - high)
        piece = photograph.resize((width, height), Image.Resampling.BILINEAR, (x, y, x + wide, y + high))
        return piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.uniform() < 0.5 else piece


def read_pictures(folder: Path) -> Pictures:
    """All pictures of a folder, in the order of their names; those with a transparent ground are cut-outs.

    :raises ValueError: when there is no cut-out or no photograph among them, or one cannot be read.
    """
    cutouts: list[Image.Image] = []
    drawn: list[Image.Image] = []
    photographs: list[Image.Image] = []
    for path in sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES):
        try:
            with Image.open(path) as picture:
                has_ground = "A" in picture.mode or "transparency" in picture.info
                pixels = picture.convert("RGBA" if has_ground else "RGB")
        except OSError as error:
            raise ValueError(f"pictures: {path} cannot be read: {error}") from error
        if not has_ground:
            pixels.thumbnail((PHOTOGRAPH_PX, PHOTOGRAPH_PX))
            photographs.append(pixels)
        elif (thing := _trimmed(pixels)) is not None:
            (drawn if _DRAWN in path.name else cutouts).append(thing)
    if not cutouts or not photographs:
        raise ValueError(
            f"pictures: {folder} holds {len(cutouts)} cut-outs (with a transparent ground) and "
            f"{len(photographs)} photographs; at least one of each is needed"
        )
    return Pictures(tuple(cutouts), tuple(drawn), tuple(photographs))


def _trimmed(picture: Image.Image) -> Image.Image | None:
    """What of a cut-out shows; None for what is nearly all or nothing, or mostly see-through."""
    picture.thumbnail((CUTOUT_PX, CUTOUT_PX))
    alpha = np.asarray(picture.getchannel(3))
    solid, shown = (alpha > _SOLID).mean(), (alpha > _CLEAR).mean()
    box = picture.getchannel(3).point(lambda value: 255 * (value > _CLEAR)).getbbox()
    if box is None or not _LEAST_SHARE <= shown <= _MOST_SHARE or solid < 0.6 * shown:
        return None
    return picture.crop(box)
