"""What a person marks on one picture: clicks, scribbles, a box or a mask. Places are x and y in 0..1 of the picture."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from contracts.base import Message
from contracts.tracks import Rle

MOST_POINTS = 16
MOST_STROKES = 4
LONGEST_STROKE = 256
"""Points of one scribble."""
MOST_RUNS = 8192
"""Run lengths of one mask."""
LONGEST_SIDE_PX = 1024
"""Of a mask."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A place along one side of the picture."""


class Click(Message):
    """A point on the object (``inside``), or one that is not of it."""

    x: Share
    y: Share
    inside: bool = True


class Stroke(Message):
    """A scribble over the object (``inside``), or over what is not of it: the line's points in order."""

    points: list[tuple[Share, Share]] = Field(min_length=1, max_length=LONGEST_STROKE)
    inside: bool = True


class Mark(Message):
    """One of: clicks and scribbles, with a box or without; a box (x0, y0, x1, y1) alone; a mask alone."""

    points: list[Click] = Field(default_factory=list, max_length=MOST_POINTS)
    strokes: list[Stroke] = Field(default_factory=list, max_length=MOST_STROKES)
    box: tuple[Share, Share, Share, Share] | None = None
    mask: Rle | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Mark:
        drawn = bool(self.points or self.strokes)
        if not drawn and self.box is None and self.mask is None:
            raise ValueError("mark something: points, strokes, a box or a mask")
        if self.mask is not None and (drawn or self.box is not None):
            raise ValueError("a mask stands alone: give no points, strokes or box with it")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("a box is x0, y0, x1, y1 with x0 < x1 and y0 < y1")
        if self.mask is not None:
            _check_mask(self.mask)
        return self

    @property
    def points_out_only(self) -> bool:
        """Whether it says only what is not of the object."""
        return (
            self.box is None
            and self.mask is None
            and not any(part.inside for part in [*self.points, *self.strokes])
        )


def _check_mask(mask: Rle) -> None:
    if max(mask.height, mask.width) > LONGEST_SIDE_PX:
        raise ValueError(
            f"a mask of {mask.width}x{mask.height} is too large: at most {LONGEST_SIDE_PX} a side"
        )
    if len(mask.counts) > MOST_RUNS or min(mask.counts, default=0) < 0:
        raise ValueError(f"a mask has at most {MOST_RUNS} runs, none negative")
    if sum(mask.counts) != mask.height * mask.width:
        raise ValueError("the mask's runs do not fill its height and width")
    if not any(mask.counts[1::2]):
        raise ValueError("the mask is empty")
