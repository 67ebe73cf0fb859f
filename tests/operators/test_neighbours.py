"""Which objects are shown beside the one asked about."""

import numpy as np

from operators.neighbours import NEIGHBOUR_FRAMES, choose_neighbours, distances

FRAMES = 8
SEEN = np.ones(FRAMES, bool)


def standing(x: float, foot: float = 0.8, width: float = 0.1) -> np.ndarray:
    """Boxes of a thing that stands still with its middle at ``x``."""
    return np.tile(np.array([x - width / 2, foot - 0.2, x + width / 2, foot], np.float32), (FRAMES, 1))


def walking(start: float, end: float) -> np.ndarray:
    return np.stack([standing(x)[0] for x in np.linspace(start, end, FRAMES)])


def test_distance_is_the_gap_sideways_and_the_difference_of_the_feet() -> None:
    apart = distances(standing(0.2), standing(0.5, foot=0.7))
    np.testing.assert_allclose(apart, 0.2 + 0.1, atol=1e-6)
    np.testing.assert_allclose(distances(standing(0.2), standing(0.25)), 0.0)


def test_the_nearest_come_first_and_far_ones_not_at_all() -> None:
    others = [(standing(0.9), SEEN), (standing(0.35), SEEN), (standing(0.3), SEEN), (standing(0.45), SEEN)]
    found = choose_neighbours(standing(0.2), SEEN, others, range(FRAMES))
    assert [neighbour.index for neighbour in found] == [2, 1]


def test_a_neighbour_is_shown_around_its_closest_approach() -> None:
    others = [(standing(0.5), SEEN)]
    (early,) = choose_neighbours(walking(0.5, 0.0), SEEN, others, range(FRAMES))
    (late,) = choose_neighbours(walking(0.0, 0.5), SEEN, others, (0, 2, 4, 6, 7))
    assert early.frames == (0, 1, 2) and late.frames == (4, 6, 7)
    assert len(early.frames) == NEIGHBOUR_FRAMES


def test_only_frames_on_which_both_are_seen_count() -> None:
    hidden = SEEN.copy()
    hidden[3:] = False
    (found,) = choose_neighbours(walking(0.3, 0.5), SEEN, [(standing(0.5), hidden)], (1, 2, 5))
    assert found.frames == (1, 2)
    assert choose_neighbours(standing(0.5), SEEN, [(standing(0.5), ~SEEN)], range(FRAMES)) == ()
    assert choose_neighbours(standing(0.5), SEEN, [(standing(0.5), hidden)], (5, 6)) == ()
