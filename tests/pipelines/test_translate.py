"""Values become messages that are valid against their schemas and say the same."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.tracks import Rle
from operators.types import TrackedClip
from pipelines.translate import mask_of, rle, track_events, track_update
from tests.pipelines.test_evidence import tracked


@pytest.mark.parametrize("seed", range(5))
def test_masks_survive_run_lengths(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 11)) > 0.6
    np.testing.assert_array_equal(mask_of(rle(mask)), mask)


def test_runs_begin_with_zeros() -> None:
    assert rle(np.ones((2, 2), bool)).counts == [0, 4]
    assert rle(np.zeros((2, 2), bool)).counts == [4]


def test_runs_that_do_not_fill_the_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="cover 3 of 4"):
        mask_of(Rle(height=2, width=2, counts=[1, 2]))


def test_hidden_frames_are_left_out_of_updates() -> None:
    clip = tracked([5, None, 30])
    update = track_update(clip.clip, clip.masklets[0], "crop", "mask")
    assert [frame.time_s for frame in update.frames] == [100.0, 100.5]
    assert update.frames[0].area == pytest.approx(100 / 4800)
    assert (update.clip_id, update.crop_ref) == ("door-7-c000003", "crop")


def test_events_have_times_and_ids_of_their_own() -> None:
    clip = tracked([None, 5, 30, None])
    one = clip.masklets[0].track_id
    events = track_events(TrackedClip(clip.clip, clip.masklets, (one,), (one,), (one,), {one: "left"}))
    assert [(e.kind, e.time_s) for e in events] == [
        ("opened", 100.25),
        ("returned", 100.25),
        ("hidden", 100.5),
        ("closed", 101.0),
    ]
    assert len({e.event_id for e in events}) == 4
    assert events[-1].reason == "left"
