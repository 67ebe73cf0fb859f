"""Streams of the synthetic world: endless, repeatable, numbers never used twice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from synthetic.world import sample_stream

VIEW = {"width": 96, "height": 72, "fps": 4.0}


def test_same_seed_gives_the_same_bytes():
    first, again = sample_stream(4, 6, **VIEW), sample_stream(4, 6, **VIEW)
    for (frame, ids, rows), (frame_again, ids_again, rows_again) in zip(first, again, strict=True):
        assert frame.tobytes() == frame_again.tobytes() and ids.tobytes() == ids_again.tobytes()
        assert rows == rows_again


def test_it_has_the_asked_length():
    assert sum(1 for _ in sample_stream(4, 5, **VIEW)) == 20


def test_rows_count_the_pixels_and_numbers_come_once():
    stream, gone, before, in_view = sample_stream(2, 120, **VIEW), set(), set(), []
    for _, ids, rows in stream:
        for _, value, visible_px, full_px in rows:
            assert visible_px == np.count_nonzero(ids == value) <= full_px
        present = {row[0] for row in rows}
        gone |= before - present
        assert not present & gone
        before = present
        in_view.append(len(present))
    assert len(stream.truth) > 8 and max(in_view) <= 4
    assert np.mean(np.array(in_view) >= 2) > 0.97


def test_truth_gives_the_times_of_first_and_last_sight():
    stream, first, last = sample_stream(2, 40, **VIEW), {}, {}
    for index, (_, _, rows) in enumerate(stream):
        for number, _, visible_px, _ in rows:
            if visible_px:
                first.setdefault(number, index / 4)
                last[number] = index / 4
    assert {n: (o.first_visible_s, o.last_visible_s) for n, o in stream.truth.items()} == {
        n: (first[n], last[n]) for n in first
    }


def test_a_leaving_object_is_not_seen_again():
    stream, left = sample_stream(7, 120, **VIEW), set()
    for _, _, rows in stream:
        assert not left & {row[0] for row in rows}
        left |= {number for number, event in stream.events if event.kind == "leaves"}
    assert left


def test_memory_does_not_grow_with_the_length():
    stream = sample_stream(1, 200, **VIEW)
    for _ in range(40):
        next(stream)
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    for _ in range(160):
        next(stream)
    grown = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    assert grown < 800_000  # a few sprites more or less; 160 kept frames would be 4 MB


def test_a_wrong_length_is_named():
    with pytest.raises(ValueError, match="duration_s"):
        sample_stream(0, 0)
