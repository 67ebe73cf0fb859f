"""Class-agnostic clips with pictures: cut-outs that bend and things of photographed surfaces, before photographs.

Motion, camera and faults are those of :mod:`synthetic.wide`; what is new is what things and places look like.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

from synthetic.class_agnostic import WORLD, Lens, Mover, film
from synthetic.composites import KINDS, Part, PartMaker
from synthetic.pictures import Pictures
from synthetic.textures import background, sample_palette
from synthetic.truth import SyntheticClip
from synthetic.wide import LARGEST, assembly, sample_views, sample_way

POSES, KNOTS = 6, 4
_BUILT_SHARE, _PHOTOGRAPHED = 0.35, 0.6


class PicturedPartMaker(PartMaker):
    """Makes parts whose surfaces are pieces of photographs, but for those that are to be plain."""

    def __init__(self, pictures: Pictures, rng: np.random.Generator, *others) -> None:
        super().__init__(rng, *others)
        self._pictures = pictures

    def skin(self, width: float, height: float, base: np.ndarray | None = None) -> np.ndarray:
        """A surface float32 for a part of that size in units."""
        if base is not None or self.rng.uniform() > _PHOTOGRAPHED:
            return super().skin(width, height, base)
        size = self._size(width, height)
        return np.asarray(self._pictures.crop(self.rng, *size, least=0.05), np.float32)


def sample_cutout_clip(seed: int, pictures: Pictures, size: int = 192, frames: int = 12) -> SyntheticClip:
    """Draw the clip of a seed, square, with a pool of pictures: same arguments, same bytes.

    :raises ValueError: for a picture under 48 pixels or no frame at all.
    """
    if size < 48 or frames < 1:
        raise ValueError(f"expected size of at least 48 pixels and 1 frame, got size {size}, {frames} frames")
    rng = np.random.default_rng([seed, 53])
    palette = sample_palette(rng, int(rng.integers(3, 8)))
    views = sample_views(rng, frames)
    angle = rng.uniform(0, 2 * np.pi)
    light = (float(np.cos(angle)), float(np.sin(angle)))
    cast: list[Mover] = []
    for _ in range(int(rng.integers(2, 6))):
        twin = bool(cast) and rng.uniform() < 0.2
        way = sample_way(rng, frames, views, _sample_extent(rng))
        scale = LARGEST * size * float(way[1].max())
        if twin:
            parts = cast[0].parts
        elif rng.uniform() < _BUILT_SHARE:
            parts = _built(PicturedPartMaker(pictures, rng, palette, scale, light))
        else:
            parts = [bending(rng, pictures.cutout(rng), scale)]
        cast.append(Mover(parts, *way, 1 if rng.uniform() < 0.5 else -1, True, rng.uniform() < 0.15))
    return film(_place(rng, pictures, palette, size), cast, views, Lens(rng, size), size)


def bending(rng: np.random.Generator, cutout: Image.Image, scale: float) -> Part:
    """A cut-out as a thing of one part, ``scale`` pixels along its longer side, that bends in :data:`POSES` poses."""
    side = float(np.clip(scale, 12, max(cutout.size)))
    share = side / max(cutout.size)
    picture = cutout.resize([max(4, round(edge * share)) for edge in cutout.size], Image.Resampling.BOX)
    picture = ImageEnhance.Color(picture).enhance(float(rng.uniform(0.3, 1.3)))
    picture = ImageEnhance.Brightness(picture).enhance(float(rng.uniform(0.55, 1.2)))
    room = round(0.1 * max(picture.size)) + 1
    sheet = Image.new("RGBA", (picture.width + 2 * room, picture.height + 2 * room))
    sheet.paste(picture, (room, room))
    sheet = sheet.convert("RGBa")
    middle = (sheet.width / 2, sheet.height / 2)
    depth = float(rng.uniform(0.02, 0.09)) * max(picture.size) if rng.uniform() < 0.6 else 0.0
    poses = _poses(rng, sheet, depth) if depth else ()
    rate = float(rng.uniform(2, 9))
    return Part(sheet, float(max(picture.size)), middle, (0.0, 0.0), rate=rate, poses=poses)


def _poses(rng: np.random.Generator, sheet: Image.Image, depth: float) -> tuple[Image.Image, ...]:
    """The sheet bent to and fro: knots of a grid swing around their places, each in a time of its own."""
    reach, start = rng.normal(0, depth, (KNOTS, KNOTS, 2)), rng.uniform(0, 2 * np.pi, (KNOTS, KNOTS, 1))
    columns, rows = (np.linspace(0, side, KNOTS) for side in sheet.size)
    rest = np.stack(np.meshgrid(columns, rows), -1)
    drawn = []
    for pose in range(POSES):
        knots = rest + reach * np.sin(start + 2 * np.pi * pose / POSES)
        mesh = []
        for row in range(KNOTS - 1):
            for column in range(KNOTS - 1):
                x0, x1 = int(columns[column]), int(columns[column + 1])
                y0, y1 = int(rows[row]), int(rows[row + 1])
                quad = (knots[row, column], knots[row + 1, column], knots[row + 1, column + 1])
                corners = np.concatenate([*quad, knots[row, column + 1]])
                mesh.append(((x0, y0, x1, y1), tuple(corners.tolist())))
        bent = sheet.convert("RGBA").transform(
            sheet.size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR
        )
        drawn.append(bent.convert("RGBa"))
    return tuple(drawn)


def _built(make: PartMaker) -> list[Part]:
    if make.rng.uniform() < 0.4:
        return assembly(make)
    kinds, shares = zip(*KINDS, strict=True)
    return kinds[int(make.rng.choice(len(kinds), p=np.array(shares) / sum(shares)))](make)


def _place(rng: np.random.Generator, pictures: Pictures, palette: np.ndarray, size: int) -> Image.Image:
    side = round(size * WORLD)
    if rng.uniform() < 0.75:
        return pictures.crop(rng, side, side, least=0.3)
    return background(rng, palette, side)


def _sample_extent(rng: np.random.Generator) -> float:
    """Longer side of a thing as a share of the picture."""
    low, high = (0.07, 0.2) if rng.uniform() < 0.25 else (0.2, 0.9)
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
