"""Spans of a clip on which a subject is asked about, as close to a service's clips as hand-made boxes allow.

Only judged pictures are used: boxes in between would be invented. The judged pictures of a clip lie about as far
apart as the up to eight pictures that service chooses from a clip of four seconds. One window follows the other and
begins with the picture that ended the one before, so that no motion falls between two windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modeling.pixelrefer.questions import MAX_FRAMES
from operators.chunk import ChunkSettings
from operators.observe import ObserveSettings, choose_frames
from recipes.benchmarks.boxes import Box

LONGEST_S = ChunkSettings().max_duration_s
STEP_S = 0.25
"""Service samples four pictures a second: a clip ends one step after its last picture."""
SHIFT_SHARE = 0.05
"""Of the picture's width: a smaller shift of the box's centre is no motion."""
_SLACK_S = 0.02

Way = Literal["left", "right", "up", "down"]


@dataclass(frozen=True)
class Window:
    """``pictures`` shown (numbers in the film) with their ``boxes`` and ``times_s`` from the window's begin."""

    pictures: tuple[int, ...]
    boxes: tuple[Box, ...]
    times_s: tuple[float, ...]
    end_s: float

    @property
    def ends_in_sight(self) -> bool:
        """Whether the subject is seen on the last judged picture, and so has not gone."""
        return self.end_s - self.times_s[-1] <= STEP_S + _SLACK_S

    def way(self, aspect: float) -> Way | None:
        """Where the centre of the box went from the first to the last picture, None for (almost) nowhere.

        ``aspect`` is the picture's height by its width: both shifts are measured in widths.
        """
        if len(self.boxes) < 2:
            return None
        (x0, y0), (x1, y1) = _centre(self.boxes[0]), _centre(self.boxes[-1])
        across, down = x1 - x0, (y1 - y0) * aspect
        if max(abs(across), abs(down)) <= SHIFT_SHARE:
            return None
        if abs(across) >= abs(down):
            return "right" if across > 0 else "left"
        return "down" if down > 0 else "up"


def windows_of(boxes: Mapping[int, Box | None], time_s: Mapping[int, float]) -> list[Window]:
    """The windows of one subject in order; ``time_s`` of pictures that the film does not have are missing."""
    judged = [number for number in sorted(boxes) if number in time_s]
    found: list[Window] = []
    start = 0
    while start < len(judged):
        end = start
        while (
            end + 1 < len(judged) and time_s[judged[end + 1]] - time_s[judged[start]] <= LONGEST_S + _SLACK_S
        ):
            end += 1
        window = _window(judged[start : end + 1], boxes, time_s)
        if window is not None:
            found.append(window)
        if end + 1 == len(judged):
            break
        start = end if end > start else end + 1
    return found


def _window(judged: list[int], boxes: Mapping[int, Box | None], time_s: Mapping[int, float]) -> Window | None:
    """The pictures on which enough is visible, at most as many as service shows; None if there are none."""
    smallest = ObserveSettings().min_mask_share
    seen = [number for number in judged if (box := boxes[number]) is not None and _area(box) >= smallest]
    if not seen:
        return None
    shown = choose_frames(seen, MAX_FRAMES)
    begin_s = time_s[judged[0]]
    return Window(
        pictures=shown,
        boxes=tuple(box for number in shown if (box := boxes[number]) is not None),
        times_s=tuple(time_s[number] - begin_s for number in shown),
        end_s=time_s[judged[-1]] - begin_s + STEP_S,
    )


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
