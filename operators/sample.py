"""Sample frames on a fixed grid of media time.

Cell ``k`` of the grid is media time [k / fps, (k + 1) / fps). The first picture in a cell is taken, all others are
dropped: the choice depends on time stamps alone, so a replay samples the same pictures, however the frame rate
varies and wherever segments are cut. Cells without a picture are skipped.
"""

from __future__ import annotations

import math

_EPSILON_S = 0.0011  # Matroska keeps milliseconds, some writers cut them short


class Sampler:
    """Chooses pictures by time stamp, which must rise. Its state is the number of the last cell taken."""

    def __init__(self, fps: float, last_cell: int = -1) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be positive, got {fps}")
        self.fps = fps
        self.last_cell = last_cell

    def take(self, pts_s: float, due: bool = False, stride: int = 1) -> bool:
        """Whether to sample the picture; with ``due`` it is taken even if its cell already gave one.

        A ``stride`` above 1 thins: that many cells later is the next picture taken.
        """
        cell = max(0, self.cell(pts_s))
        thinned = self.last_cell >= 0 and cell < self.last_cell + stride
        if thinned and not (due and cell >= self.last_cell):
            return False
        self.last_cell = cell
        return True

    def cell(self, pts_s: float) -> int:
        """Number of the cell a time stamp lies in; one just under a border counts as on it."""
        return math.floor((pts_s + _EPSILON_S) * self.fps)

    def border_s(self, cell: int) -> float:
        """Media time at which a cell begins."""
        return cell / self.fps
