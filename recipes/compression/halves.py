"""Stored clips cut in two, so that the second half is a clip with a past: its objects, masks and truths."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from modeling.pixelrefer.crops import bounds
from recipes.captioner.cache import usable
from recipes.captioner.clips import StoredClip
from recipes.captioner.evidence import Evidence, Outlines, window_evidence
from recipes.compression.settings import CLIP_FRAMES, MOST_MASKS
from synthetic.language import MOVING_M_S
from synthetic.truth import ObjectTruth

TRAINED_PX, TRAINED_FRAMES = 60, 2
JUDGED_PX, JUDGED_FRAMES = 100, CLIP_FRAMES // 2
SEEN_PX = 24
RECENT_S = 0.75


@dataclass(frozen=True)
class Piece:
    """One object of a half.

    ``track`` float32 [8,3]: middle of its visible pixels in parts of the frame (x, y), and whether it is seen.
    ``past``: it was seen just before the half and was then moving or had just done something; ``cut``: of these,
    those that end their motion so soon after the border that most of it lies before it.
    """

    index: int
    evidence: Evidence
    track: np.ndarray
    past: bool
    cut: bool

    def note(self) -> dict:
        """What is kept as JSON beside the features."""
        return {
            "object": self.index,
            "said": asdict(self.evidence.said),
            "track": self.track.round(4).tolist(),
            "past": self.past,
            "cut": self.cut,
        }


def cut_halves(clip: StoredClip, rng: np.random.Generator, held_out: bool) -> list[list[Piece]]:
    """The pieces of both halves. Those of held-out clips are well seen; others must be fit to learn from."""
    outlines = Outlines(clip, rng, 0.0) if held_out else Outlines(clip, rng)
    return [
        [
            piece
            for index in range(len(clip.objects))
            if (piece := _piece(clip, index, outlines, first, held_out)) is not None
        ]
        for first in (0, CLIP_FRAMES)
    ]


def _piece(clip: StoredClip, index: int, outlines: Outlines, first: int, held_out: bool) -> Piece | None:
    it, last = clip.objects[index], first + CLIP_FRAMES
    least_px, least_frames = (JUDGED_PX, JUDGED_FRAMES) if held_out else (TRAINED_PX, TRAINED_FRAMES)
    if (it.visible_px[first:last] >= least_px).sum() < least_frames:
        return None
    evidence = window_evidence(clip, index, outlines, first, last, MOST_MASKS)
    if evidence is None or not (held_out or usable(evidence.said)):
        return None
    past = first > 0 and began_before(it, first, clip.fps)
    return Piece(index, evidence, track_of(clip, index, first), past, past and ends_soon(it, first, clip.fps))


def track_of(clip: StoredClip, index: int, first: int) -> np.ndarray:
    """Where an object is on the frames of a half; see :class:`Piece`."""
    height, width = clip.ids[0].shape
    track = np.zeros((CLIP_FRAMES, 3), np.float32)
    for at, seen_px in enumerate(clip.objects[index].visible_px[first : first + CLIP_FRAMES]):
        # Not from the stored boxes: those of clips drawn large and shrunk are in pixels of the large ones.
        found = bounds((clip.ids[first + at] == index + 1).astype(np.uint8))
        if found is not None:
            top, left, bottom, right = found
            track[at] = (left + right + 1) / 2 / width, (top + bottom + 1) / 2 / height, seen_px >= SEEN_PX
    return track


def began_before(it: ObjectTruth, first: int, fps: float) -> bool:
    """Whether an object was seen on the frame before ``first`` and was then moving or had just done something."""
    if it.visible_px[first - 1] < SEEN_PX:
        return False
    moving = float(np.hypot(*it.velocity[first - 1])) > MOVING_M_S
    border_s = first / fps
    return moving or any(border_s - RECENT_S < event.time_s <= border_s for event in it.events)


def ends_soon(it: ObjectTruth, first: int, fps: float) -> bool:
    """Whether its motion ends within :data:`RECENT_S` after frame ``first``."""
    border_s = first / fps
    ends = ("stops", "bumps", "leaves", "hidden")
    return any(event.kind in ends and border_s < event.time_s <= border_s + RECENT_S for event in it.events)
