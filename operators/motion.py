"""Notice what moves: boxes of moving things, from small grey pictures.

For cameras that stand still or drift a little. A thing moves when it differs from the ground (the median of the
last pictures) by more than the noise of the whole picture, and some of it from the picture just before. A shift
of the whole view is taken out first by phase correlation (Kuglin and Hines, 1975).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from operators.masks import box_overlap, pieces

SAME_PLACE = 0.3
"""Overlap of boxes on two pictures from which they are the same moving thing."""


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """Sizes are pixels of the small grey picture, areas are shares of the picture, levels are grey 0..255."""

    longer_side_px: int = 128
    min_level: float = 12.0
    noise_factor: float = 6.0  # times the picture's median deviation
    min_area: float = 0.002
    max_area: float = 0.5
    max_moving: float = 0.4  # when more than this part of the picture moves, it is the camera or the light
    max_shift: float = 0.15  # of the picture's side; a larger shift is a different view
    max_boxes: int = 4
    ground_pictures: int = 9
    min_ground_pictures: int = 5  # with fewer, the ground shows what stood there a moment ago
    ground_every: int = 2  # pushes between two pictures of the ground: a slow thing must not become it
    min_stirred: float = 0.1  # part of a thing that has changed since the picture just before


@dataclass(frozen=True, slots=True)
class Moving:
    """A moving thing: its pixels, its box and a point on it (normalised), and for how long it has been moving."""

    mask: np.ndarray  # bool, on the grid of the small picture
    box: np.ndarray  # float32 [4]
    point: np.ndarray  # float32 [2]
    pushes: int = 1  # pictures in a row on which something moved here


@dataclass(frozen=True, slots=True)
class MotionState:
    """What a proposer remembers: small pictures uint8 [h, w], newest last.

    ``offsets`` says for each picture of the ground by how many rows and columns the view has moved since.
    """

    ground: tuple[np.ndarray, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    before: np.ndarray | None = None
    pushes: int = 0
    moving: tuple[
        tuple[Box, int], ...
    ] = ()  # boxes of the newest picture's things, and for how many pictures


class MotionProposer:
    """Compares each picture with those before it; ``push`` gives the moving things, largest first."""

    def __init__(self, settings: MotionSettings | None = None, state: MotionState | None = None) -> None:
        self.settings = settings or MotionSettings()
        self._state = state or MotionState()

    def push(self, pixels: np.ndarray) -> list[Moving]:
        """Moving things on this picture, RGB uint8 [H, W, 3]; none while the ground is hardly known."""
        now = shrink(pixels, self.settings.longer_side_px)
        state = _follow_view(self._state, now, self.settings)
        things = [_counted(thing, self._state.moving) for thing in self._things(state, now)]
        boxes = tuple((_corners(thing.box), thing.pushes) for thing in things)
        self._state = replace(_with_picture(state, now, self.settings), moving=boxes)
        return things

    def _things(self, state: MotionState, now: np.ndarray) -> list[Moving]:
        if state.before is None or len(state.ground) < self.settings.min_ground_pictures:
            return []
        aligned = [_moved(picture, by) for picture, by in zip(state.ground, state.offsets, strict=True)]
        ground = np.median(np.stack(aligned), axis=0).astype(np.float32)
        moving = _clean(_differs(now, ground, self.settings) & _in_every_view(now.shape, state.offsets))
        if moving.mean() > self.settings.max_moving:
            return []
        return _things(moving, _neighbours(_differs(now, state.before, self.settings), 1) > 0, self.settings)

    def forget(self) -> None:
        """A cut: the next picture has nothing to do with those before."""
        self._state = MotionState()

    def snapshot(self) -> MotionState:
        """What is remembered, to be given to another proposer."""
        return self._state


def shrink(pixels: np.ndarray, longer_side_px: int) -> np.ndarray:
    """A grey picture, uint8 [h, w], of block means; green stands for brightness."""
    block = max(1, -(-max(pixels.shape[:2]) // longer_side_px))
    height, width = pixels.shape[0] // block, pixels.shape[1] // block
    if not height or not width:
        raise ValueError(f"picture of {pixels.shape[:2]} is too narrow to look for motion")
    green = pixels[: height * block, : width * block, 1]
    return green.reshape(height, block, width, block).mean(axis=(1, 3)).astype(np.uint8)


def global_shift(current: np.ndarray, earlier: np.ndarray) -> tuple[int, int]:
    """Rows and columns by which the view has moved from ``earlier`` to ``current`` (whole pixels)."""
    window = np.outer(np.hanning(current.shape[0]), np.hanning(current.shape[1]))
    a, b = (np.fft.rfft2((x - x.mean()) * window) for x in (current, earlier))
    cross = a * np.conj(b)
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=current.shape)
    row, column = np.unravel_index(int(peaks.argmax()), peaks.shape)
    return _signed(int(row), current.shape[0]), _signed(int(column), current.shape[1])


def _signed(shift: int, size: int) -> int:
    return shift - size if shift > size // 2 else shift


def _follow_view(state: MotionState, now: np.ndarray, settings: MotionSettings) -> MotionState:
    """The state with offsets to where the view is now; empty when the view shows another place."""
    if state.before is None or state.before.shape != now.shape:
        return MotionState()
    by = global_shift(now.astype(np.float32), state.before.astype(np.float32))
    if by == (0, 0) or not _explains(by, now, state.before):
        return state
    kept = [
        (picture, (rows + by[0], columns + by[1]))
        for picture, (rows, columns) in zip(state.ground, state.offsets, strict=True)
        if _is_near((rows + by[0], columns + by[1]), now.shape, settings)
    ]
    ground, offsets = (tuple(part) for part in zip(*kept, strict=True)) if kept else ((), ())
    return MotionState(ground, offsets, _moved(state.before, by), state.pushes)


def _is_near(by: tuple[int, int], shape: tuple[int, ...], settings: MotionSettings) -> bool:
    return all(abs(rows) <= settings.max_shift * size for rows, size in zip(by, shape, strict=True))


def _in_every_view(shape: tuple[int, ...], offsets: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Where every picture of the ground has something to say, bool [h, w]."""
    seen = np.ones(shape, bool)
    for rows, columns in offsets:
        seen[: max(rows, 0)] = seen[shape[0] + min(rows, 0) :] = False
        seen[:, : max(columns, 0)] = seen[:, shape[1] + min(columns, 0) :] = False
    return seen


def _explains(shift: tuple[int, int], now: np.ndarray, before: np.ndarray) -> bool:
    # A large moving thing can win the correlation; a shift of the view makes most of the picture agree.
    still, moved = (np.abs(now.astype(np.int16) - x).mean() for x in (before, _moved(before, shift)))
    return bool(moved < 0.8 * still)


def _with_picture(state: MotionState, now: np.ndarray, settings: MotionSettings) -> MotionState:
    ground, offsets = state.ground, state.offsets
    # At first every picture is taken, to know the ground soon.
    if state.pushes % settings.ground_every == 0 or len(ground) < settings.min_ground_pictures:
        ground = (*ground, now)[-settings.ground_pictures :]
        offsets = (*offsets, (0, 0))[-settings.ground_pictures :]
    return MotionState(ground, offsets, now, state.pushes + 1)


def _differs(now: np.ndarray, other: np.ndarray, settings: MotionSettings) -> np.ndarray:
    """Where a picture differs from another beyond noise, bool [h, w]."""
    change = now.astype(np.float32) - other
    light = np.median(change)  # a change of light moves everything
    noise = 1.4826 * float(np.median(np.abs(change - light)))
    level = _least_difference(now - light, other.astype(np.float32))
    return level > max(settings.min_level, settings.noise_factor * noise)


def _least_difference(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Difference to the most similar of the nine neighbours: edges do not light up when the camera trembles."""
    padded = np.pad(before, 1, mode="edge")
    height, width = now.shape
    least = np.full(now.shape, np.inf, np.float32)
    for row in range(3):
        for column in range(3):
            np.minimum(least, np.abs(now - padded[row : row + height, column : column + width]), out=least)
    return least


def _moved(picture: np.ndarray, shift: tuple[int, int]) -> np.ndarray:
    """The picture moved by whole pixels; what comes into view repeats the edge."""
    rows, columns = (
        np.clip(np.arange(size) - by, 0, size - 1) for by, size in zip(shift, picture.shape, strict=True)
    )
    return picture[np.ix_(rows, columns)]


def _neighbours(mask: np.ndarray, radius: int) -> np.ndarray:
    """How many pixels are set in the square around each pixel (the pixel itself included)."""
    side = 2 * radius + 1
    sums = np.pad(mask.astype(np.int32), radius + 1).cumsum(axis=0).cumsum(axis=1)
    return (sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side])[:-1, :-1]


def _clean(mask: np.ndarray) -> np.ndarray:
    """Without single pixels, and with gaps of a few pixels closed: the parts of one thing move unevenly."""
    solid = mask & (_neighbours(mask, 1) >= 4)
    grown = _neighbours(solid, 2) > 0
    return _neighbours(~grown, 1) == 0


def _things(moving: np.ndarray, stirred: np.ndarray, settings: MotionSettings) -> list[Moving]:
    labels, areas = pieces(moving)
    sizes = areas / moving.size
    active = np.bincount(labels[stirred], minlength=len(areas)) >= settings.min_stirred * areas
    order = np.argsort(-areas, kind="stable")
    wanted = [i for i in order if active[i] and settings.min_area <= sizes[i] <= settings.max_area]
    return [_thing(labels == i) for i in wanted[: settings.max_boxes]]


def _counted(thing: Moving, before: tuple[tuple[Box, int], ...]) -> Moving:
    """The thing with the number of pictures on which something moved at its place, this one included."""
    here = [count for box, count in before if box_overlap(np.array(box), thing.box) >= SAME_PLACE]
    return replace(thing, pushes=1 + max(here, default=0))


def _corners(box: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(value) for value in box)
    return x0, y0, x1, y1


def _thing(mask: np.ndarray) -> Moving:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    box = (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
    # The middle of a bent thing may lie beside it: take its own pixel nearest to the middle.
    nearest = int(((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2).argmin())
    point = ((columns[nearest] + 0.5) / width, (rows[nearest] + 0.5) / height)
    return Moving(mask, np.array(box, np.float32), np.array(point, np.float32))
