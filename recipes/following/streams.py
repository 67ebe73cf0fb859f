"""A tracker with discovery on, over synthetic streams in the clips of production."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from operators.ports import Segmenter
from operators.track import Tracker, TrackSettings
from operators.types import Clip, Frame, TrackedClip
from recipes.captioner.clips import FPS, FRAMES
from recipes.continuity.footage import StreamClip, clips_of, stream_clips
from recipes.following.passages import sample_passages
from recipes.following.record import Seen, record


def follow_stream(
    segmenter: Segmenter, settings: TrackSettings, seed: int, minutes: float, split: str
) -> Iterator[Seen]:
    """Every frame of a stream as the tracker saw it. ``segmenter``: fresh, its masks as large as the pictures."""
    return _followed(segmenter, settings, seed, stream_clips(seed, minutes, split))


def follow_passages(
    segmenter: Segmenter, settings: TrackSettings, seed: int, minutes: float, split: str
) -> Iterator[Seen]:
    """The same of a stream in which small things pass behind a large one."""
    return _followed(segmenter, settings, seed, clips_of(sample_passages(seed, minutes * 60, split, FPS)))


def _followed(
    segmenter: Segmenter, settings: TrackSettings, seed: int, parts: Iterable[StreamClip]
) -> Iterator[Seen]:
    camera_id = f"stream-{seed}"
    tracker = Tracker(camera_id, segmenter, settings)
    for part in parts:
        yield from _compared(part, tracker.push(clip_of(camera_id, part)))


def clip_of(camera_id: str, part: StreamClip) -> Clip:
    """The stream's next clip as the tracker gets it."""
    first = part.index * FRAMES
    frames = [
        Frame(pixels, (first + t) / FPS, (first + t) / FPS, first + t)
        for t, pixels in enumerate(part.clip.frames)
    ]
    return Clip(camera_id, 0, part.index, tuple(frames), first / FPS, (first + FRAMES) / FPS, "full")


def _compared(part: StreamClip, tracked: TrackedClip) -> Iterator[Seen]:
    for t, frame in enumerate(tracked.clip.frames):
        ids = part.clip.ids[t]
        truth = {number: ids == k + 1 for k, number in enumerate(part.numbers)}
        covered = {
            number
            for number, it in zip(part.numbers, part.clip.objects, strict=True)
            if it.full_px[t] and not it.visible_px[t]
        }
        found = {it.track_id: it.masks[t] for it in tracked.masklets}
        yield record(
            frame.time_s,
            {number: mask for number, mask in truth.items() if np.any(mask)},
            frozenset(covered),
            found,
        )
