"""Pictures of a film by their number, at the size the captioner is served."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from operators.decode import fitted_size
from pipelines.pictures import shrink

TRACKED_SIDE_PX = 640
"""Service keeps pictures at most so large before they are shrunk once more for the captioner."""
NOMINAL_FPS = 25.0


class FilmError(ValueError):
    """The file holds no usable video; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Still:
    """One picture, RGB uint8 [H,W,3], and its seconds from the film's first picture."""

    pixels: np.ndarray
    time_s: float


@dataclass(frozen=True, slots=True)
class Film:
    """The pictures asked for, by number in order of presentation; the film's own size in pixels."""

    stills: dict[int, Still]
    width_px: int
    height_px: int


def read_film(path: Path, wanted: Collection[int], long_side_px: int) -> Film:
    """The pictures of those numbers, their longer side at most ``long_side_px``; numbers past the end are left out.

    Raises FilmError.
    """
    if not path.is_file():
        raise FilmError(f"{path}: no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FilmError(f"{path}: no video stream in it")
            return _read(container, frozenset(wanted), long_side_px)
    except (av.FFmpegError, OSError) as error:
        raise FilmError(f"{path}: cannot be decoded: {error}") from error


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture file. Raises FilmError."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except OSError as error:
        raise FilmError(f"{path}: cannot be read as a picture: {error}") from error


def film_facts(path: Path) -> tuple[int, float, tuple[int, int]]:
    """Number of pictures, pictures a second, width and height of a film, without decoding it. Raises FilmError."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FilmError(f"{path}: no video stream in it")
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            times_s = [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]
            span_s = max(times_s) - min(times_s) if times_s else 0.0
            told = float(stream.average_rate or NOMINAL_FPS)
            size_px = stream.codec_context.width, stream.codec_context.height
            return len(packets), (len(times_s) - 1) / span_s if span_s > 0 else told, size_px
    except (av.FFmpegError, OSError) as error:
        raise FilmError(f"{path}: cannot be read as video: {error}") from error


def read_pictures(paths: Sequence[Path], wanted: Collection[int], step_s: float, long_side_px: int) -> Film:
    """The same of a list of picture files, ``step_s`` apart; all must have one size. Raises FilmError."""
    stills: dict[int, Still] = {}
    size: tuple[int, int] | None = None
    for number in sorted(set(wanted)):
        if not 0 <= number < len(paths):
            continue
        try:
            with Image.open(paths[number]) as picture:
                size = size or picture.size
                if picture.size != size:
                    raise FilmError(f"{paths[number]}: is {picture.size}, the others are {size} pixels")
                pixels = np.asarray(picture.convert("RGB"))
        except OSError as error:
            raise FilmError(f"{paths[number]}: cannot be read as a picture: {error}") from error
        stills[number] = Still(shrink(pixels, long_side_px), number * step_s)
    width, height = size or (0, 0)
    return Film(stills, width, height)


def _read(container: av.container.InputContainer, wanted: frozenset[int], long_side_px: int) -> Film:
    stream = container.streams.video[0]
    step_s = 1.0 / float(stream.average_rate or NOMINAL_FPS)
    stills: dict[int, Still] = {}
    first_s, last = None, max(wanted, default=-1)
    for number, frame in enumerate(container.decode(stream)):
        if number > last:
            break
        time_s = number * step_s if frame.time is None else float(frame.time)
        first_s = time_s if first_s is None else first_s
        if number in wanted:
            stills[number] = Still(served_pixels(frame, long_side_px), time_s - first_s)
    return Film(stills, stream.codec_context.width, stream.codec_context.height)


def served_pixels(frame: av.VideoFrame, long_side_px: int) -> np.ndarray:
    """RGB uint8 [H,W,3] in the two steps of the service: kept size by the decoder, then bicubic by Pillow."""
    kept_px = max(TRACKED_SIDE_PX, long_side_px)
    width, height = fitted_size(frame.width, frame.height, kept_px)
    return shrink(frame.reformat(width=width, height=height, format="rgb24").to_ndarray(), long_side_px)
