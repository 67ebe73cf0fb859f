"""Where things should be, and what they cannot have reached."""

from __future__ import annotations

import numpy as np

from operators.foresee import ForeseeSettings, foreseen, reaches, velocity_after

RULES = ForeseeSettings(coast_s=1.0, pace=0.5, top_speed=1.0, reach_sides=1.0, reach_speed=0.2, reach_s=5.0)
BOX = (0.1, 0.2, 0.3, 0.3)


def beside(by: float) -> np.ndarray:
    return np.array(BOX, np.float32) + np.array([by, 0, by, 0], np.float32)


def test_things_go_on_as_they_went_for_a_moment() -> None:
    np.testing.assert_allclose(foreseen(BOX, (0.2, 0.0), 0.5, RULES), beside(0.1), atol=1e-6)
    np.testing.assert_allclose(foreseen(BOX, (0.2, 0.0), 60.0, RULES), beside(0.2), atol=1e-6)


def test_a_velocity_is_learned_and_bounded() -> None:
    velocity = (0.0, 0.0)
    for step in range(8):
        velocity = velocity_after(beside(0.05 * step), velocity, 0.25, beside(0.05 * (step + 1)), RULES)
    np.testing.assert_allclose(velocity, (0.2, 0.0), atol=0.01)
    assert velocity_after(BOX, (0.0, 0.0), 0.25, beside(0.9), RULES) == (0.5, 0.0)
    assert velocity_after(BOX, (0.3, 0.0), 0.0, beside(0.1), RULES) == (0.3, 0.0), "no time has passed"
    assert velocity_after(BOX, (0.9, 0.0), 2.0, beside(0.0), RULES) == (0.0, 0.0), (
        "what was known long ago is forgotten"
    )


def test_reach_is_about_the_place_foreseen_and_grows_with_time() -> None:
    assert reaches(BOX, (0.0, 0.0), 0.25, beside(0.2), RULES)
    assert not reaches(BOX, (0.0, 0.0), 0.25, beside(0.4), RULES)
    assert reaches(BOX, (1.0, 0.0), 0.25, beside(0.4), RULES), "it went that way"
    assert reaches(BOX, (0.0, 0.0), 2.0, beside(0.4), RULES), "unseen for long it may have gone anywhere near"
    assert reaches(BOX, (1.0, 0.0), 0.25, beside(0.0), RULES), "it may have stopped"
