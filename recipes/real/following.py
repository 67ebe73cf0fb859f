"""Subjects of a real clip followed by the serving session from a prompt, and tracks that the tracker finds alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from modeling.sam2.session import Sam2Session
from operators.masks import box_of, tidy
from operators.track import Tracker
from operators.types import Clip, Frame, Prompt
from pipelines.restore import TrackerMaker, mask_size
from recipes.benchmarks.film import Still

Open = Callable[[tuple[int, int]], Sam2Session]
Boxes = dict[int, np.ndarray | None]
"""Number of the picture -> normalised box of the mask, None where nothing is shown."""

CLIP_FRAMES = 16
MASK_SIDE_PX = TrackerMaker.mask_side_px
"""As in service."""


def follow(
    open_session: Open, stills: Mapping[int, Still], prompts: Sequence[tuple[int, Prompt] | None]
) -> list[Boxes]:
    """Boxes of each prompt's object from its picture on; a prompt is (number of its picture, place) or None."""
    numbers = sorted(stills)
    session = open_session(mask_size(stills[numbers[0]].pixels.shape, MASK_SIDE_PX))
    found: list[Boxes] = [{} for _ in prompts]
    owners: dict[int, int] = {}
    for first in range(0, len(numbers), CLIP_FRAMES):
        part = numbers[first : first + CLIP_FRAMES]
        session.begin_clip([stills[number].pixels for number in part])
        for number in part:
            for key, step in session.step().items():
                found[owners[key]][number] = shown_box(step.mask, step.presence)
            for index, prompt in enumerate(prompts):
                if prompt is not None and prompt[0] == number:
                    key, step = session.add_object(prompt[1])
                    owners[key] = index
                    found[index][number] = shown_box(step.mask, step.presence)
    return found


def shown_box(mask: np.ndarray, presence: float) -> np.ndarray | None:
    """The box of a mask without its crumbs, as the tracker takes it; None for what is out of view."""
    return box_of(tidy(mask)) if presence > 0 and mask.any() else None


def discover(open_session: Open, stills: Mapping[int, Still]) -> dict[int, list[np.ndarray]]:
    """Boxes of all tracks on every picture, by number, when nobody points at anything."""
    numbers = sorted(stills)
    tracker = Tracker("film", open_session(mask_size(stills[numbers[0]].pixels.shape, MASK_SIDE_PX)))
    found: dict[int, list[np.ndarray]] = {number: [] for number in numbers}
    for index, first in enumerate(range(0, len(numbers), CLIP_FRAMES)):
        part = numbers[first : first + CLIP_FRAMES]
        masklets = tracker.push(_clip(index, part, stills, numbers)).masklets
        for masklet in masklets:
            for at in np.flatnonzero(masklet.visible):
                found[part[at]].append(masklet.boxes[at])
    return found


def _clip(index: int, part: Sequence[int], stills: Mapping[int, Still], numbers: Sequence[int]) -> Clip:
    frames = [Frame(stills[n].pixels, stills[n].time_s, stills[n].time_s, n) for n in part]
    later = [stills[n].time_s for n in numbers if n > part[-1]]
    end_s = later[0] if later else frames[-1].time_s + 0.1
    return Clip("film", 0, index, tuple(frames), frames[0].time_s, end_s, "full")
