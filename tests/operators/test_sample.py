"""The sampler: one picture a cell, whatever the frame rate."""

from __future__ import annotations

import pytest

from operators.sample import Sampler


def sampled(times_s: list[float], fps: float = 4.0) -> list[float]:
    sampler = Sampler(fps)
    return [time_s for time_s in times_s if sampler.take(time_s)]


def test_takes_the_first_picture_of_each_cell() -> None:
    times = [i / 25 for i in range(26)]
    assert sampled(times) == [0.0, 0.28, 0.52, 0.76, 1.0]


def test_variable_rate_skips_cells_without_pictures() -> None:
    assert sampled([0.0, 0.1, 0.9, 0.95, 1.6]) == [0.0, 0.9, 1.6]


def test_milliseconds_cut_short_do_not_move_a_picture_to_the_cell_before() -> None:
    thirty = [round(i * 1000 / 30 - 0.5) / 1000 for i in range(0, 31)]
    assert len(sampled(thirty, 30.0)) == 31


def test_slower_video_than_the_grid_gives_every_picture() -> None:
    assert sampled([0.0, 0.5, 1.0], 4.0) == [0.0, 0.5, 1.0]


def test_goes_on_from_its_last_cell() -> None:
    times = [i / 25 for i in range(50)]
    first = Sampler(4.0)
    before = [t for t in times[:20] if first.take(t)]
    second = Sampler(4.0, first.last_cell)
    assert before + [t for t in times[20:] if second.take(t)] == sampled(times)


def test_due_takes_a_second_picture_of_the_same_cell_only() -> None:
    sampler = Sampler(4.0)
    assert sampler.take(1.0)
    assert not sampler.take(1.1)
    assert sampler.take(1.1, due=True)
    assert not sampler.take(0.9, due=True)


def test_refuses_a_rate_that_is_not_positive() -> None:
    with pytest.raises(ValueError, match="fps"):
        Sampler(0.0)
