"""Search windows: where on a picture one object is looked for, and how places move between picture and window.

A network with a small input sees little of a wide picture squashed to a square. Instead each object is given its own
window, a few times as large as it was last, so that small things are seen large and nothing is squashed; while the
object is out of view the window grows until it is the whole picture. Places are normalised, x and y in 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from modeling.sam2.carry import CarrySettings

FLOW = "optical_flow"
OUTSIDE = -1024.0
"""Logit of what a window does not show."""
_TAIL = 0.02


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """``scale`` times the longer side of the last box, at least ``least`` of the picture's longer side.

    ``pace`` is the share of a newly wanted size in the next one, ``growth`` the factor a picture while out of view.
    A window whose side would be more than ``most`` is the whole picture: large things need no closer look.
    With ``carrying`` windows move with their object's pixels, and masks too where the network sees none
    (:mod:`modeling.sam2.carry`; ``optical_flow`` in a configuration).
    """

    scale: float = 3.0
    least: float = 0.22
    pace: float = 0.3
    growth: float = 1.25
    most: float = 1.0
    carrying: CarrySettings | None = None

    def __post_init__(self) -> None:
        if not (self.scale >= 1 and 0 < self.least <= self.most <= 1 and 0 < self.pace <= 1 <= self.growth):
            raise ValueError(
                "search_window: scale and growth are at least 1, pace at most 1, least at most 'most'"
            )

    @staticmethod
    def read(given: object) -> WindowSettings | None:
        """From a configuration's ``search_window``; None means whole pictures. Raises ValueError."""
        if given is None:
            return None
        known = {field.name for field in fields(WindowSettings)} - {"carrying"} | {FLOW}
        if not isinstance(given, Mapping) or set(given) - known:
            raise ValueError(f"search_window: expected a mapping of {sorted(known)}, got {given!r}")
        numbers = {name: value for name, value in given.items() if name != FLOW}
        odd = [name for name, value in numbers.items() if type(value) not in (int, float)]
        if odd:
            raise ValueError(f"search_window: {odd[0]} must be a number, not {given[odd[0]]!r}")
        carrying = CarrySettings.read(given.get(FLOW))
        return WindowSettings(**{name: float(value) for name, value in numbers.items()}, carrying=carrying)


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle of whole pixels of a picture ``height`` x ``width``; right and lower ends are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int
    height: int
    width: int

    @staticmethod
    def whole(shape: tuple[int, ...]) -> View:
        """All of a picture [H, W, ...]."""
        return View(0, 0, shape[1], shape[0], shape[0], shape[1])

    @property
    def is_whole(self) -> bool:
        return (self.x0, self.y0, self.x1, self.y1) == (0, 0, self.width, self.height)

    @property
    def box(self) -> np.ndarray:
        """The rectangle, normalised to the picture, float64 [4]."""
        return np.array(
            [self.x0 / self.width, self.y0 / self.height, self.x1 / self.width, self.y1 / self.height]
        )

    def cut(self, picture: np.ndarray) -> np.ndarray:
        return picture[self.y0 : self.y1, self.x0 : self.x1]

    def inward(self, places: np.ndarray) -> np.ndarray:
        """Places [n, 2] of the picture as places of the window; outside of 0..1 they lie beside it."""
        box = self.box
        return ((places - box[:2]) / (box[2:] - box[:2])).astype(np.float32)

    def outward(self, box: np.ndarray) -> np.ndarray:
        """A box [4] of the window as a box of the picture."""
        own = self.box
        return (own[:2] + box.reshape(2, 2) * (own[2:] - own[:2])).reshape(4)


@dataclass(frozen=True, slots=True)
class Focus:
    """Where an object is looked for next: middle, and side as a share of the picture's longer side."""

    x: float
    y: float
    side: float

    def view(self, shape: tuple[int, ...], most: float = 1.0) -> View:
        """The window on a picture [H, W, ...]: square unless the picture is too small, moved to lie inside.

        With a side above ``most`` it is the whole picture.
        """
        if self.side > most:
            return View.whole(shape)
        height, width = shape[:2]
        side_px = round(self.side * max(height, width))
        x0, x1 = _interval(self.x * width, side_px, width)
        y0, y1 = _interval(self.y * height, side_px, height)
        return View(x0, y0, x1, y1, height, width)

    @property
    def place(self) -> tuple[float, float, float]:
        """Middle and side, as numbers to be written down."""
        return self.x, self.y, self.side

    def moved(self, dx: float, dy: float) -> Focus:
        """The same further to the right and down, by shares of the picture."""
        return Focus(self.x + dx, self.y + dy, self.side)

    def lost(self, settings: WindowSettings) -> Focus:
        """After a picture without the object."""
        return Focus(self.x, self.y, min(1.0, self.side * settings.growth))


def focus_on(
    box: np.ndarray, shape: tuple[int, ...], settings: WindowSettings, before: Focus | None = None
) -> Focus:
    """The window to look in next for what now has this box, in a picture [H, W, ...]."""
    height, width = shape[:2]
    longest = float(max((box[2] - box[0]) * width, (box[3] - box[1]) * height)) / max(height, width)
    side = min(1.0, max(settings.least, settings.scale * longest))
    if before is not None:
        side = settings.pace * side + (1 - settings.pace) * before.side
    return Focus(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, side)


def extent(mask: np.ndarray) -> np.ndarray | None:
    """The box of a bool mask [h, w] without its outermost pixels, normalised; None for an empty mask."""
    if not mask.any():
        return None
    ends = [_span(mask.sum(axis)) for axis in (0, 1)]
    return np.array([ends[0][0], ends[1][0], ends[0][1], ends[1][1]])


def spread(logits: torch.Tensor, view: View, size: tuple[int, int]) -> torch.Tensor:
    """Logits [1, s, s] of a window on a grid [h, w] over the whole picture; beside the window OUTSIDE."""
    height, width = size
    box = view.box
    across = ((torch.arange(width, dtype=torch.float32) + 0.5) / width - box[0]) / (box[2] - box[0])
    down = ((torch.arange(height, dtype=torch.float32) + 0.5) / height - box[1]) / (box[3] - box[1])
    grid = (
        torch.stack(torch.meshgrid(across, down, indexing="xy"), -1).to(logits.device, torch.float32) * 2 - 1
    )
    drawn = F.grid_sample(logits[None], grid[None], padding_mode="border", align_corners=False)[0, 0]
    beside = (grid.abs() > 1).any(-1)
    return drawn.masked_fill(beside, OUTSIDE)


def cut_mask(mask: np.ndarray, view: View, size_px: int) -> np.ndarray:
    """What a window shows of a bool mask [h, w] over the whole picture: bool [size_px, size_px], nearest pixels."""
    steps = (np.arange(size_px) + 0.5) / size_px
    box, (height, width) = view.box, mask.shape
    columns = ((box[0] + steps * (box[2] - box[0])) * width).astype(np.intp).clip(0, width - 1)
    rows = ((box[1] + steps * (box[3] - box[1])) * height).astype(np.intp).clip(0, height - 1)
    return np.ascontiguousarray(mask[rows[:, None], columns])


def _interval(middle: float, side: int, limit: int) -> tuple[int, int]:
    side = min(max(side, 1), limit)
    low = min(max(round(middle - side / 2), 0), limit - side)
    return low, low + side


def _span(counts: np.ndarray) -> tuple[float, float]:
    """Where the bulk of a histogram begins and ends, as shares of its length."""
    total = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(total, _TAIL, side="right"))
    last = int(np.searchsorted(total, 1 - _TAIL, side="left"))
    return first / len(counts), (last + 1) / len(counts)
