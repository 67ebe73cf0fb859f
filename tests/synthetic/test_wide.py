"""The widened world: same seed same bytes, truth that agrees with the pixels, returns at another size."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic.class_agnostic import View
from synthetic.wide import sample_way, sample_wide_clip


@pytest.fixture(scope="module")
def clips():
    return [sample_wide_clip(seed, size=96, frames=8) for seed in range(16)]


def test_same_seed_gives_the_same_bytes() -> None:
    first, again = sample_wide_clip(3, 64, 4), sample_wide_clip(3, 64, 4)
    assert first.frames.tobytes() == again.frames.tobytes() and first.ids.tobytes() == again.ids.tobytes()
    assert first.frames.tobytes() != sample_wide_clip(4, 64, 4).frames.tobytes()


def test_areas_are_those_of_the_ids(clips) -> None:
    for clip in clips:
        assert clip.frames.shape == (8, 96, 96, 3) and clip.ids.max() <= len(clip.objects)
        for index, thing in enumerate(clip.objects):
            np.testing.assert_array_equal(thing.visible_px, (clip.ids == index + 1).sum((1, 2)))


def test_some_things_leave_and_come_back_at_another_size(clips) -> None:
    ratios = []
    for clip in clips:
        for thing in clip.objects:
            shown = thing.visible_px > 0
            gaps = np.flatnonzero(~shown[1:-1]) + 1
            if len(gaps) and shown[: gaps[0]].any() and shown[gaps[-1] + 1 :].any():
                ratios.append(thing.full_px[shown][-1] / thing.full_px[shown][0])
    assert len(ratios) >= 3 and np.std(np.log(ratios)) > 0.1


def test_a_way_stays_within_what_can_be_drawn() -> None:
    for seed in range(40):
        still = [View(0.0, 0.0, 1.0, 0.0)] * 7
        place, size, turn = sample_way(np.random.default_rng(seed), 7, still, 0.2 + 0.01 * seed)
        assert place.shape == (7, 2) and size.shape == turn.shape == (7,)
        assert 0.03 <= size.min() and size.max() <= 1.1


def test_a_wrong_request_is_named() -> None:
    with pytest.raises(ValueError, match="48 pixels"):
        sample_wide_clip(0, 20)
