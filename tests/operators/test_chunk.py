"""The chunker: clips tile the time, list in, list out, also when it is restored in the middle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from operators.chunk import Chunker, ChunkSettings, Hole
from operators.types import Clip, Frame

FPS = 4.0
SETTINGS = ChunkSettings()


def frame(time_s: float, index: int = 0, red: int = 0) -> Frame:
    pixels = np.full((48, 64, 3), (red, 20, 20), np.uint8)
    return Frame(pixels, time_s, time_s, index)


def chunk(
    frames: list[Frame], end_s: float, segment_s: float = 1.0, start_s: float = 0.0
) -> list[Clip | Hole]:
    chunker = Chunker("door", 7, start_s, SETTINGS)
    return [*push_all(chunker, frames, segment_s), *chunker.end(end_s)]


def push_all(chunker: Chunker, frames: list[Frame], segment_s: float = 1.0) -> list[Clip | Hole]:
    return list(itertools.chain.from_iterable(push(chunker, one, segment_s) for one in frames))


def push(chunker: Chunker, one: Frame, segment_s: float = 1.0) -> list[Clip | Hole]:
    cell = int((one.time_s + 1e-6) * FPS)
    segment_end = (int((one.time_s + 1e-6) / segment_s) + 1) * segment_s
    return chunker.push(one, (cell / FPS, (cell + 1) / FPS), segment_end)


def assert_tiles(items: list[Clip | Hole], start_s: float, end_s: float) -> None:
    assert items[0].start_s == start_s and items[-1].end_s == end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(items))


def spans(items: list[Clip | Hole]) -> list[tuple[float, float, str]]:
    return [(i.start_s, i.end_s, i.closed_by if isinstance(i, Clip) else i.reason) for i in items]


def test_full_clips_tile_and_the_end_closes_the_last() -> None:
    items = chunk([frame(i / FPS, i) for i in range(40)], end_s=10.0)
    assert spans(items) == [(0.0, 4.0, "full"), (4.0, 8.0, "full"), (8.0, 10.0, "end")]
    assert [len(clip.frames) for clip in items] == [16, 16, 8]
    assert [clip.index for clip in items] == [0, 1, 2]


def test_a_clip_leaves_with_its_last_frame() -> None:
    chunker = Chunker("door", 7, 0.0, SETTINGS)
    assert push_all(chunker, [frame(i / FPS) for i in range(15)]) == []
    assert len(push(chunker, frame(15 / FPS))) == 1


def test_slow_video_is_closed_by_duration() -> None:
    items = chunk([frame(i / 2, i) for i in range(9)], end_s=4.5)
    assert spans(items) == [(0.0, 4.0, "duration"), (4.0, 4.5, "end")]


def test_a_border_never_passes_the_end_of_its_segment() -> None:
    items = chunk([frame(i / FPS, i) for i in range(16)], end_s=3.9, segment_s=3.9)
    assert spans(items) == [(0.0, 3.9, "full")]


def test_a_scene_cut_closes_the_clip_at_the_new_frame() -> None:
    frames = [frame(i / FPS, i, 10 if i < 6 else 240) for i in range(12)]
    items = chunk(frames, end_s=3.0)
    assert spans(items) == [(0.0, 1.5, "scene_cut"), (1.5, 3.0, "end")]
    assert [len(clip.frames) for clip in items] == [6, 6]


def test_flicker_does_not_make_clips_of_one_frame() -> None:
    items = chunk([frame(i / FPS, i, 240 * (i % 2)) for i in range(16)], end_s=4.0)
    assert all(len(clip.frames) >= SETTINGS.min_frames_before_cut for clip in items)
    assert_tiles(items, 0.0, 4.0)


def test_a_pause_ends_the_clip_and_long_emptiness_is_a_hole() -> None:
    items = chunk([frame(0.0), frame(0.5), frame(20.0), frame(20.25)], end_s=20.5)
    assert spans(items) == [(0.0, 4.0, "duration"), (4.0, 20.0, "no_picture"), (20.0, 20.5, "end")]


def test_a_short_pause_belongs_to_the_next_clip() -> None:
    items = chunk([frame(0.0), frame(6.0)], end_s=6.25)
    assert spans(items) == [(0.0, 4.0, "duration"), (4.0, 6.25, "end")]


def test_time_passing_without_frames_closes_clips_too() -> None:
    chunker = Chunker("door", 7, 0.0, SETTINGS)
    push_all(chunker, [frame(0.0), frame(0.5)])
    assert chunker.advance(3.0) == []
    assert spans(chunker.advance(5.0)) == [(0.0, 4.0, "duration")]
    assert spans(chunker.advance(13.0)) == [(4.0, 13.0, "no_picture")]


def test_an_undecodable_stretch_is_a_hole_of_exactly_its_time() -> None:
    chunker = Chunker("door", 7, 0.0, SETTINGS)
    push_all(chunker, [frame(i / FPS) for i in range(4)])
    items = [*chunker.end(1.0), *chunker.end(2.0, "undecodable", "bits fell over")]
    assert spans(items) == [(0.0, 1.0, "end"), (1.0, 2.0, "undecodable")]
    assert items[1].cause == "bits fell over"


def test_nothing_to_end_gives_nothing() -> None:
    chunker = Chunker("door", 7, 5.0, SETTINGS)
    assert chunker.end(5.0) == []


@pytest.mark.parametrize("break_at", range(1, 44))
def test_restored_anywhere_gives_the_same_clips(break_at: int) -> None:
    frames = [frame(i / FPS, i, 10 if i % 21 < 9 else 240) for i in range(44)]
    whole = chunk(frames, end_s=11.0)
    first = Chunker("door", 7, 0.0, SETTINGS)
    before = push_all(first, frames[:break_at])
    again = Chunker.restore(first.snapshot(), SETTINGS)
    rest = [one for one in frames if one.time_s >= again.start_s]
    items = [*before, *push_all(again, rest), *again.end(11.0)]
    assert spans(items) == spans(whole)
    assert [[f.index for f in clip.frames] for clip in items] == [
        [f.index for f in clip.frames] for clip in whole
    ]
    assert_tiles(items, 0.0, 11.0)


def test_pictures_of_another_size_begin_a_clip_of_their_own() -> None:
    frames = [frame(i / FPS, i) for i in range(8)]
    frames[2:] = [Frame(one.pixels[:47], one.pts_s, one.time_s, one.index) for one in frames[2:]]
    items = chunk(frames, end_s=2.0)
    assert spans(items) == [(0.0, 0.5, "scene_cut"), (0.5, 2.0, "end")]
