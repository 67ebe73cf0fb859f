"""Whose pixels are whose when two tracks claim the same."""

from __future__ import annotations

import numpy as np

from operators.contend import Claim, contend


def bar(start: int, end: int) -> np.ndarray:
    mask = np.zeros((1, 40), bool)
    mask[0, start:end] = True
    return mask


def always(a: int, b: int) -> bool:
    return True


def test_of_two_claims_on_one_thing_the_better_wins() -> None:
    claims = [Claim(1, bar(0, 10), 1.5), Claim(2, bar(1, 10), 2.6), Claim(3, bar(20, 30), 0.1)]
    left = contend(claims, always)
    assert set(left) == {2, 3}
    np.testing.assert_array_equal(left[2], bar(1, 10))
    np.testing.assert_array_equal(left[3], bar(20, 30))


def test_what_is_small_before_something_large_keeps_its_pixels() -> None:
    left = contend([Claim(1, bar(0, 30), 3.0), Claim(2, bar(10, 16), 2.8)], always)
    np.testing.assert_array_equal(left[2], bar(10, 16))
    np.testing.assert_array_equal(left[1], bar(0, 30) & ~bar(10, 16))


def test_a_mask_that_leaks_is_cut_at_its_neighbour() -> None:
    left = contend([Claim(1, bar(0, 14), 2.0), Claim(2, bar(10, 20), 3.0)], always)
    np.testing.assert_array_equal(left[1], bar(0, 10))
    np.testing.assert_array_equal(left[2], bar(10, 20))


def test_what_a_fallen_claim_had_won_goes_back() -> None:
    # The second wins of the first, and falls to the third.
    claims = [Claim(1, bar(0, 20), 1.0), Claim(2, bar(6, 26), 1.2), Claim(3, bar(8, 26), 3.0)]
    assert set(contend(claims, lambda a, b: {a, b} != {1, 3})) == {1, 3}
    np.testing.assert_array_equal(contend(claims, lambda a, b: {a, b} != {1, 3})[1], bar(0, 20))


def test_those_who_may_be_one_object_do_not_contend() -> None:
    left = contend([Claim(1, bar(0, 10), 1.0), Claim(2, bar(0, 10), 2.0)], lambda a, b: False)
    assert set(left) == {1, 2}
