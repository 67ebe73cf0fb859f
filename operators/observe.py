"""Observe: boil a masklet down to what a narrator needs of it: when it was seen, how it moved, what it touched.

Positions and lengths are shares of the picture; times are camera time in UTC seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from operators.types import Masklet, TrackState


@dataclass(frozen=True, slots=True)
class ObserveSettings:
    """What counts as seen, as moving and as touching."""

    min_mask_share: float = 24 / (320 * 240)  # of the picture; less cannot be recognised
    moving_widths: float = 0.25  # of the object's own box, within the clip: less is standing still
    growing_share: float = 0.15  # change of box height within the clip: nearer or farther
    contact_margin: float = 0.01


@dataclass(frozen=True, slots=True)
class Look:
    """What a clip shows of one track."""

    track_id: str
    start_s: float
    end_s: float
    frames: tuple[int, ...]  # positions in the clip on which enough of it is visible
    last_seen_s: float | None
    first_seen_s: float | None
    state: TrackState
    motion: str  # "still", or directions such as "left", "right near"
    centre: tuple[float, float] | None
    width: float
    contacts: tuple[str, ...]
    cut: bool = False
    closed_for: str = ""  # why the track was retired, in the tracker's words


def choose_frames(visible: Sequence[int] | np.ndarray, limit: int = 6) -> tuple[int, ...]:
    """At most ``limit`` positions spread evenly over those given, the first and the last among them.

    Training and service choose by this one rule: integer steps over ``len(visible)`` points.
    """
    count = len(visible)
    if count <= limit:
        return tuple(int(position) for position in visible)
    if limit == 1:
        return (int(visible[count // 2]),)
    return tuple(int(visible[round(step * (count - 1) / (limit - 1))]) for step in range(limit))


def seen_frames(masklet: Masklet, settings: ObserveSettings = ObserveSettings()) -> np.ndarray:
    """Frames of the clip, bool [T], on which enough of a track is visible to be recognised."""
    return masklet.masks.mean(axis=(1, 2)) >= settings.min_mask_share


def look_at(
    masklet: Masklet,
    others: Sequence[Masklet],
    times_s: Sequence[float],
    span_s: tuple[float, float],
    cut: bool = False,
    closed_for: str = "",
    settings: ObserveSettings = ObserveSettings(),
) -> Look:
    """Boil a masklet down to what the decision needs. ``times_s`` are the camera times of the clip's frames."""
    frames = np.flatnonzero(seen_frames(masklet, settings))
    seen = len(frames) > 0
    last_box = masklet.boxes[frames[-1] if seen else 0]
    return Look(
        track_id=masklet.track_id,
        start_s=span_s[0],
        end_s=span_s[1],
        frames=tuple(int(frame) for frame in frames),
        first_seen_s=float(times_s[frames[0]]) if seen else None,
        last_seen_s=float(times_s[frames[-1]]) if seen else None,
        state="retired" if closed_for else masklet.state,
        motion=_motion(masklet.boxes[frames], settings) if seen else "still",
        centre=_centre(last_box) if seen else None,
        width=float(last_box[2] - last_box[0]) if seen else 0.0,
        contacts=_contacts(masklet, others, int(frames[-1]), settings.contact_margin) if seen else (),
        cut=cut,
        closed_for=closed_for,
    )


def absent(track_id: str, span_s: tuple[float, float]) -> Look:
    """The look at a track the clip no longer knows: it was retired."""
    return Look(track_id, *span_s, (), None, None, "retired", "still", None, 0.0, ())


def _centre(box: np.ndarray) -> tuple[float, float]:
    return float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2


def _motion(boxes: np.ndarray, settings: ObserveSettings) -> str:
    """Direction words of the way from the first to the last box, or "still"."""
    first, last = boxes[0], boxes[-1]
    width, height = np.maximum(np.median(boxes[:, 2:] - boxes[:, :2], axis=0), 1e-6)
    across = (_centre(last)[0] - _centre(first)[0]) / width
    down = (_centre(last)[1] - _centre(first)[1]) / height
    growth = float((last[3] - last[1]) / max(first[3] - first[1], 1e-6)) - 1
    limit, words = settings.moving_widths, []
    if abs(across) > limit:
        words.append("right" if across > 0 else "left")
    if abs(down) > limit:
        words.append("down" if down > 0 else "up")
    if abs(growth) > settings.growing_share and not words:
        words.append("nearer" if growth > 0 else "farther")
    return " ".join(words) or "still"


def _contacts(masklet: Masklet, others: Sequence[Masklet], frame: int, margin: float) -> tuple[str, ...]:
    """Tracks whose boxes touch this one's on the frame."""
    x0, y0, x1, y1 = masklet.boxes[frame] + np.array([-margin, -margin, margin, margin])
    touching = [
        other.track_id
        for other in others
        if other.track_id != masklet.track_id
        and other.masks[frame].any()
        and other.boxes[frame][0] < x1
        and other.boxes[frame][2] > x0
        and other.boxes[frame][1] < y1
        and other.boxes[frame][3] > y0
    ]
    return tuple(sorted(touching))
