"""A short film of the synthetic world with its exact truth, and how tracks are matched to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from contracts.tracks import Rle, TrackUpdate
from synthetic.video import write_h264
from synthetic.world import sample_stream

SIZE_PX = (480, 360)
FPS = 12.0
MIN_VISIBLE_S = 1.5
MIN_AREA_PX = 500
MATCH_IOU = 0.3


@dataclass
class Film:
    """The file, every frame's object numbers, and the objects that anyone would have noticed."""

    path: Path
    seconds: float
    size_px: tuple[int, int] = SIZE_PX
    fps: float = FPS
    numbers: list[np.ndarray] = field(default_factory=list)  # int16 [H, W] per frame, -1 where nothing is
    names: dict[int, tuple[str, str]] = field(default_factory=dict)  # number -> (colour, class)

    def noticeable(self) -> set[int]:
        """Objects with at least MIN_AREA_PX visible for MIN_VISIBLE_S together."""
        frames = Counter(
            int(number)
            for picture in self.numbers
            for number, area in zip(*np.unique(picture, return_counts=True), strict=True)
            if number >= 0 and area >= MIN_AREA_PX
        )
        return {number for number, count in frames.items() if count >= MIN_VISIBLE_S * self.fps}

    def present(self) -> set[int]:
        return {int(n) for picture in self.numbers for n in np.unique(picture) if n >= 0}

    def place(self, pts_s: float) -> tuple[int, float, float]:
        """The largest noticeable object at a media time, with a point on it, x and y in 0..1."""
        picture = self.numbers[min(len(self.numbers) - 1, round(pts_s * self.fps))]
        number = max(self.noticeable(), key=lambda n: int((picture == n).sum()))
        rows, columns = np.nonzero(picture == number)
        nearest = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
        return (
            number,
            float(columns[nearest] + 0.5) / self.size_px[0],
            float(rows[nearest] + 0.5) / self.size_px[1],
        )

    def object_of(self, updates: list[TrackUpdate]) -> int | None:
        """The object that most of a track's masks lie on (IoU of at least MATCH_IOU each), if any."""
        votes: Counter[int] = Counter()
        for update in updates:
            for frame in update.frames:
                votes[self._best(frame.mask, frame.pts_s)] += 1
        best = votes.most_common(1)
        return best[0][0] if best and best[0][0] >= 0 else None

    def _best(self, rle: Rle, pts_s: float) -> int:
        picture = self.numbers[min(len(self.numbers) - 1, round(pts_s * self.fps))]
        mask = unpack(rle)
        rows = np.arange(mask.shape[0]) * picture.shape[0] // mask.shape[0]
        columns = np.arange(mask.shape[1]) * picture.shape[1] // mask.shape[1]
        small = picture[rows][:, columns]
        ious = {
            int(n): (mask & (small == n)).sum() / max(1, (mask | (small == n)).sum())
            for n in np.unique(small[mask])
            if n >= 0
        }
        number = max(ious, key=ious.get, default=-1)  # type: ignore[arg-type]
        return number if number >= 0 and ious[number] >= MATCH_IOU else -1


def unpack(rle: Rle) -> np.ndarray:
    """bool [height, width] of run lengths that start with zeros."""
    flat = np.repeat(np.arange(len(rle.counts)) % 2 == 1, rle.counts)
    return flat.reshape(rle.height, rle.width)


def shoot(
    path: Path, seed: int, seconds: float, size_px: tuple[int, int] = SIZE_PX, fps: float = FPS
) -> Film:
    """Film the world of that seed (floors, walls and light that training never saw)."""
    film = Film(path, seconds, size_px, fps)
    stream = sample_stream(seed, seconds, "held_out", *size_px, fps)

    def frames():
        for frame, ids, rows in stream:
            film.numbers.append(_numbers(ids, rows))
            yield frame

    write_h264(path, frames(), fps)
    film.names = {number: (known.colour, known.class_name) for number, known in stream.truth.items()}
    return film


def to_and_fro(
    path: Path, seed: int, turn_s: float, seconds: float, size_px: tuple[int, int], fps: float
) -> Film:
    """A film whose world turns back every ``turn_s``: quick to draw, and what is in view stays there."""
    film = Film(path, seconds, size_px, fps)
    stream = sample_stream(seed, turn_s, "held_out", *size_px, fps)
    drawn = [(frame, _numbers(ids, rows)) for frame, ids, rows in stream]
    round_trip = drawn + drawn[-2:0:-1]
    played = [round_trip[at % len(round_trip)] for at in range(round(seconds * fps))]
    film.numbers = [numbers for _, numbers in played]
    write_h264(path, (frame for frame, _ in played), fps)
    film.names = {number: (known.colour, known.class_name) for number, known in stream.truth.items()}
    return film


def _numbers(ids: np.ndarray, rows: list) -> np.ndarray:
    numbers = np.full(ids.shape, -1, np.int16)
    for number, value, *_ in rows:
        numbers[ids == value] = number
    return numbers


def by_track(updates: list[TrackUpdate]) -> dict[str, list[TrackUpdate]]:
    lives: dict[str, list[TrackUpdate]] = defaultdict(list)
    for update in updates:
        lives[update.track_id].append(update)
    return dict(lives)
