"""A long synthetic stream, cut into the clips that a narrator sees, with the truth of every clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from recipes.captioner.clips import FPS, FRAMES
from synthetic.stream import SyntheticStream, sample_stream
from synthetic.truth import Event, ObjectTruth, SyntheticClip


@dataclass(frozen=True)
class StreamClip:
    """One clip: ``clip.objects[k]`` is the stream's object ``numbers[k]``, for every object inside the view."""

    index: int
    numbers: tuple[int, ...]
    clip: SyntheticClip


@dataclass
class _Life:
    """What was noted of one object over the frames of a clip."""

    value: dict[int, int] = field(default_factory=dict)  # by frame
    visible_px: dict[int, int] = field(default_factory=dict)
    full_px: dict[int, int] = field(default_factory=dict)
    ground: dict[int, tuple[float, float]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


def stream_clips(seed: int, minutes: float, split: str) -> Iterator[StreamClip]:
    """Whole clips of one stream, in order: same arguments, same clips."""
    yield from clips_of(sample_stream(seed, minutes * 60, split, fps=FPS))


def clips_of(stream: SyntheticStream) -> Iterator[StreamClip]:
    """The whole clips of a stream of :data:`FPS` pictures a second, in order."""
    for index in range(stream.frames // FRAMES):
        yield _clip(stream, index)


def _clip(stream: SyntheticStream, index: int) -> StreamClip:
    lives: dict[int, _Life] = {}
    frames, ids = [], []
    start_s = index * FRAMES / FPS
    for t in range(FRAMES):
        frame, owners, rows = next(stream)
        frames.append(frame)
        ids.append(owners)
        for number, value, visible_px, full_px in rows:
            life = lives.setdefault(number, _Life())
            life.value[t], life.visible_px[t], life.full_px[t] = value, visible_px, full_px
        for number, place in stream.ground.items():
            if number in lives:
                lives[number].ground[t] = place
        for number, event in stream.events:
            life = lives.setdefault(number, _Life())
            life.events.append(replace(event, time_s=event.time_s - start_s))
    known = tuple(number for number in sorted(lives) if number in stream.truth)
    objects = tuple(_truth(stream, number, lives[number], known) for number in known)
    owners = _owners(np.stack(ids), [lives[number] for number in known])
    return StreamClip(index, known, SyntheticClip(np.stack(frames), owners, FPS, objects))


def _owners(ids: np.ndarray, lives: list[_Life]) -> np.ndarray:
    """uint8 [T, H, W]: the stream's values, which are used again, as indices into the clip's objects + 1."""
    owners = np.zeros_like(ids)
    for k, life in enumerate(lives):
        for t, value in life.value.items():
            owners[t][ids[t] == value] = k + 1
    return owners


def _truth(stream: SyntheticStream, number: int, life: _Life, known: tuple[int, ...]) -> ObjectTruth:
    about = stream.truth[number]
    blank = np.zeros((FRAMES, 2), np.float32)
    events = [_within(event, known) for event in sorted(life.events, key=lambda event: event.time_s)]
    return ObjectTruth(
        class_name=about.class_name,
        colour=about.colour,
        visible_px=_column(life.visible_px),
        full_px=_column(life.full_px),
        boxes=np.zeros((FRAMES, 4), np.float32),
        centre=blank,
        ground=_held(life.ground),
        velocity=blank,
        events=tuple(events),
    )


def _within(event: Event, known: tuple[int, ...]) -> Event:
    """The event with its partner as an index into the clip's objects."""
    other = known.index(event.other) if event.other in known else None
    return replace(event, other=other)


def _column(values: dict[int, int]) -> np.ndarray:
    return np.array([values.get(t, 0) for t in range(FRAMES)], np.int32)


def _held(places: dict[int, tuple[float, float]]) -> np.ndarray:
    """float32 [T, 2]; frames without a place take the nearest earlier one, else the first."""
    if not places:
        return np.zeros((FRAMES, 2), np.float32)
    rows, last = [], places[min(places)]
    for t in range(FRAMES):
        last = places.get(t, last)
        rows.append(last)
    return np.array(rows, np.float32)
