"""Looks: the same thing stays alike under changing light, another colour does not."""

from __future__ import annotations

import numpy as np
import pytest

from operators.appearance import likeness, look_of, shrink
from operators.lifecycle import LifeSettings, Track, intruder, judged, looks_like

MASK = np.ones((12, 16), bool)
RULES = LifeSettings()


def plain(red: int, green: int, blue: int) -> np.ndarray:
    return np.tile(np.array([red, green, blue], np.uint8), (12, 16, 1))


def track() -> Track:
    return Track(1, 1, "active", 0.0, (0.0, 0.0, 1.0, 1.0), 1.0, track_id="t")


def test_a_look_is_a_distribution() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    look = look_of(picture, MASK)
    assert look.dtype == np.float32 and look.sum() == pytest.approx(1) and look.min() >= 0
    assert look_of(picture, ~MASK).sum() == 0


def test_light_changes_a_look_less_than_another_colour() -> None:
    red, dimmer, blue = (look_of(plain(*c), MASK) for c in ((220, 30, 30), (200, 25, 25), (30, 30, 220)))
    assert likeness(red, dimmer) > 0.6 > 0.3 > likeness(red, blue)


def test_shrinking_keeps_the_view() -> None:
    wide = np.concatenate([plain(255, 0, 0), plain(0, 0, 255)], axis=1)
    small = shrink(wide, 4, 8)
    assert (small[:, :4, 0] == 255).all() and (small[:, 4:, 2] == 255).all()


def test_a_mask_that_stays_strange_is_not_the_tracks_own() -> None:
    known, own = judged(track(), look_of(plain(220, 30, 30), MASK), RULES)
    assert own and known.look
    other = look_of(plain(30, 30, 220), MASK)
    once, own = judged(known, other, RULES)
    assert own and once.strange == 1 and once.look == known.look
    twice, own = judged(once, other, RULES)
    assert not own and twice.strange == 2
    back, own = judged(twice, look_of(plain(215, 30, 30), MASK), RULES)
    assert own and back.strange == 0


def test_a_newcomer_of_another_colour_is_not_the_hidden_track() -> None:
    known, _ = judged(track(), look_of(plain(220, 30, 30), MASK), RULES)
    assert looks_like(known, look_of(plain(220, 40, 30), MASK), RULES)
    assert not looks_like(known, look_of(plain(30, 30, 220), MASK), RULES)
    assert looks_like(track(), look_of(plain(1, 2, 3), MASK), RULES)


def test_of_two_tracks_that_meet_the_one_unlike_itself_is_the_intruder() -> None:
    red, blue = (look_of(plain(*colour), MASK) for colour in ((220, 30, 30), (30, 30, 220)))
    was_red, was_blue = judged(track(), red, RULES)[0], judged(track(), blue, RULES)[0]
    assert intruder(was_red, was_blue, blue, RULES) is was_red
    assert intruder(was_red, was_blue, red, RULES) is was_blue
    assert intruder(was_red, track(), red, RULES).look == ()
