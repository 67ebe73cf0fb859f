"""Scores of following: hand-made streams whose scores are known, and one run of the real tracker."""

from __future__ import annotations

import re

import numpy as np
import pytest

from modeling.sam2.segmenter import load_segmenter
from operators.track import TrackSettings
from recipes.evaluate_following import evaluate, scores
from recipes.evaluate_tracker import WEIGHTS
from recipes.following.passages import sample_passages
from recipes.following.record import Seen, record


def square(x: int, size: int = 10) -> np.ndarray:
    mask = np.zeros((20, 100), bool)
    mask[5 : 5 + size, x : x + size] = True
    return mask


def stream(
    *frames: tuple[dict[int, int], dict[str, int]], covered: tuple[frozenset[int], ...] = ()
) -> list[Seen]:
    """Frames at 4 a second; objects and tracks are squares, given by where they begin."""
    hidden = covered or (frozenset(),) * len(frames)
    return [
        record(
            at / 4,
            {key: square(x) for key, x in truth.items()},
            hidden[at],
            {key: square(x) for key, x in found.items()},
        )
        for at, (truth, found) in enumerate(frames)
    ]


def test_a_faultless_stream_scores_one() -> None:
    result = scores([stream(*[({1: x, 2: 80 - x}, {"a": x, "b": 80 - x}) for x in range(0, 20, 2)])])
    assert result["hota"] == result["idf1"] == result["mota"] == result["found_in_2_s"] == 1.0
    assert result["switches_per_object_minute"] == result["false_births"] == 0.0
    assert result["object_minutes"] == pytest.approx(20 / 4 / 60, abs=0.01)


def test_a_switch_costs_identity_and_is_counted() -> None:
    frames = [({1: x}, {"a" if x < 10 else "b": x}) for x in range(20)]
    result = scores([stream(*frames)])
    assert result["idf1"] == 0.5 and result["deta"] == 1.0 and result["assa"] == 0.5
    assert result["switches_per_object_minute"] == pytest.approx(1 / (20 / 4 / 60), rel=0.01)


def test_an_object_found_too_late_and_a_track_on_nothing_are_told() -> None:
    frames = [({1: 0}, {"a": 0, "ghost": 60} if at > 8 else {"ghost": 60}) for at in range(20)]
    result = scores([stream(*frames)])
    assert result["found_in_2_s"] == 0.0 and result["found_of"] == 1
    assert result["false_births"] == 0.5 and result["tracks"] == 2


@pytest.mark.parametrize(("after", "kept"), [("a", 1.0), ("b", 0.0)])
def test_identity_over_an_occlusion(after: str, kept: float) -> None:
    frames = [({1: 0}, {"a": 0})] * 3 + [({}, {})] * 4 + [({1: 0}, {}), ({1: 0}, {after: 0})]
    covered = (frozenset(),) * 3 + (frozenset({1}),) * 4 + (frozenset(),) * 2
    result = scores([stream(*frames, covered=covered)])
    assert result["occlusions"] == 1 and result["kept_through_occlusion"] == kept


def test_an_object_counts_as_followed_into_an_occlusion_while_it_is_half_hidden() -> None:
    frames = [({1: 0}, {"a": 0})] * 3 + [({1: 0}, {}), ({}, {}), ({1: 0}, {"b": 0})]
    covered = (frozenset(),) * 4 + (frozenset({1}), frozenset())
    result = scores([stream(*frames, covered=covered)])
    assert result["occlusions"] == 1 and result["kept_through_occlusion"] == 0.0


def test_passages_count_for_occlusions_alone() -> None:
    usual = stream(*[({1: 0}, {"a": 0})] * 4)
    frames = [({1: 0}, {"a": 0})] * 3 + [({}, {}), ({1: 0}, {"b": 0})]
    passage = stream(*frames, covered=(frozenset(),) * 3 + (frozenset({1}), frozenset()))
    result = scores([usual], [passage])
    assert result["idf1"] == 1.0 and result["tracks"] == 1
    assert result["occlusions"] == 1 and result["kept_through_occlusion"] == 0.0


def test_small_things_pass_behind_a_large_one_and_come_out_again() -> None:
    hidden: dict[int, str] = {}
    for _, _, rows in sample_passages(3, 30.0, "train", 4.0):
        for number, _, visible_px, full_px in rows:
            assert full_px > 0
            hidden[number] = hidden.get(number, "") + (
                "o" if visible_px >= 60 else "." if not visible_px else "-"
            )
    behind = [re.search(r"o-*\.[-.]*o", seen) for seen in hidden.values()]
    assert sum(match is not None for match in behind) >= 2, hidden
    assert all(len(match.group()) <= 14 for match in behind if match), "up to 3 s at 4 a second"


def test_an_absence_outside_the_picture_is_no_occlusion() -> None:
    frames = [({1: 0}, {"a": 0})] * 3 + [({}, {})] * 4 + [({1: 0}, {"b": 0})]
    assert scores([stream(*frames)])["occlusions"] == 0


def test_a_track_on_a_small_object_is_neither_right_nor_false() -> None:
    small, other = square(0, size=6), square(50)
    seen = record(0.0, {1: small, 2: other}, frozenset(), {"a": small, "b": other})
    assert seen.objects == (2,) and seen.tracks == ("b",) and set(seen.inside) == {"a", "b"}
    assert scores([[seen]])["mota"] == 1.0


@pytest.mark.slow
def test_the_embedded_tracker_follows_a_stream() -> None:
    result = evaluate(load_segmenter(WEIGHTS, "cpu"), TrackSettings(), streams=1, minutes=0.2, seed=1)
    assert 0.2 < result["hota"] <= 1 and result["tracks"] >= 2 and result["object_minutes"] > 0.1
