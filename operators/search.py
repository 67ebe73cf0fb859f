"""When and where a camera is searched for objects that are not followed yet.

Where a detector sees them, if there is one; where something moves; and everywhere. Where a person has said in words
what is wanted, only the detector's finds count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from operators.discover import discover, grid_points, is_unclaimed, moving_object, settled
from operators.masks import box_of, box_overlap
from operators.motion import MotionProposer, MotionState, Moving
from operators.ports import Segmenter
from operators.propose import DetectorSearch
from operators.track_settings import TrackSettings
from operators.types import Detection, Frame, Prompt


class Search:
    """Finds on the newest frame; counts the frames between two searches."""

    def __init__(
        self,
        segmenter: Segmenter,
        settings: TrackSettings,
        motion: MotionState | None = None,
        since_grid: int | None = None,
        since_motion: int = 0,
        searches: int = 0,
    ) -> None:
        self._segmenter, self._settings = segmenter, settings
        self._motion = MotionProposer(settings.motion, motion)
        self.detector = DetectorSearch(segmenter, settings)
        self.since_grid = since_grid  # None before the first search
        self.since_motion = since_motion
        self.searches = searches  # by clicks, so far

    @property
    def motion(self) -> MotionState:
        return self._motion.snapshot()

    def start_scene(self) -> None:
        """After a cut nothing has been seen yet."""
        self.since_grid = None
        self._motion.forget()

    def look(self, frame: Frame, held: dict[int, np.ndarray], wanted: bool) -> Iterator[Detection]:
        """New objects of the frame: those a detector sees, those that move, and others.

        ``held``: masks that are followed, read again after each.

        Time passes also where nothing is ``wanted``.
        """
        every = self._settings.grid_every
        moving = self._motion.push(frame.pixels) if self._settings.motion_every else []
        self.since_motion += 1
        self.since_grid = None if self.since_grid is None else self.since_grid + 1
        if not wanted:
            return
        yield from self.detector.look(frame, list(held.values()), first=self.since_grid is None)
        if self.detector.alone or not every:
            self.since_grid = self.since_grid or 0
        if self.detector.alone:
            return
        if moving and self.since_motion >= self._settings.motion_every:
            self.since_motion = 0
            yield from self._moving_objects(moving, list(held.values()))
        if every and (self.since_grid is None or self.since_grid >= every):
            self.since_grid = 0
            yield from self._objects_anywhere(list(held.values()))

    def _moving_objects(self, moving: Sequence[Moving], held: list[np.ndarray]) -> list[Detection]:
        rules, new = self._settings.discover, []
        for thing in moving:
            taken = [*held, *(found.mask for found in new)]
            if len(new) == self._settings.max_births or any(_holds(mask, thing) for mask in taken):
                continue
            found = moving_object(thing, self._segmenter.decode(Prompt(box=thing.box)), rules)
            if found and is_unclaimed(found.mask, taken, rules):
                new.append(found)
        return new

    def _objects_anywhere(self, held: list[np.ndarray]) -> list[Detection]:
        taken = np.logical_or.reduce(held) if held else None
        points = grid_points(self._settings.discover.grid, taken, self.searches)
        self.searches += 1
        if not len(points):
            return []
        rules = self._settings.discover
        new = discover(self._segmenter.candidates(points), held, rules, self._settings.max_births)
        again = (self._segmenter.decode(Prompt(box=box_of(found.mask))) for found in new)
        pairs = zip(new, again, strict=True)
        return [best for found, other in pairs if (best := settled(found, other, rules))]


def _holds(mask: np.ndarray, thing: Moving) -> bool:
    """Whether a followed mask is what moves: it has the thing's point, or much the same box."""
    height, width = mask.shape
    column, row = (thing.point * (width, height)).astype(int)
    return bool(mask[row, column]) or box_overlap(box_of(mask), thing.box) >= 0.5
