"""Cameras that fall silent, behind or rest: what the tracker's commits keep and let go of."""

from __future__ import annotations

import pytest

from contracts import topics
from contracts.clips import ClipRecord
from contracts.events import Gap
from pipelines.camera import StreamSettings, stride_of
from pipelines.checkpoint import Manifest
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import FakePartition
from tests.fakes.objects import MemoryObjects
from tests.fakes.video import EPOCH_START_S, Camera, as_record
from tests.pipelines.test_tracking import tracking


def test_a_silent_camera_is_closed_by_the_clock() -> None:
    camera, store, clock = Camera("door"), MemoryObjects(), FakeClock(EPOCH_START_S)
    partition = FakePartition([as_record(*camera.segment(), 0), as_record(*camera.segment(), 1)])
    worker = tracking(store, clock)
    partition.work(worker)
    assert partition.values(topics.CLIPS) == []
    clock.sleep(11)
    for commit in worker.tick():
        partition.transact(commit)
    assert len(partition.values(topics.CLIPS)) == 1 and partition.offset == 2


def test_a_cameras_place_is_kept_whatever_its_own_time_and_forgotten_after_long_disuse() -> None:
    door, yard = Camera("door", 1_000.0), Camera("yard", 1_000.0)
    store, clock = MemoryObjects(), FakeClock(EPOCH_START_S)
    partition = FakePartition([as_record(*door.segment(), 0), as_record(*door.end(), 1)])
    partition.work(tracking(store, clock))
    clock.sleep(3600.0)
    partition.records += [as_record(*yard.segment(), 2), as_record(*yard.end(), 3)]
    partition.work(tracking(store, clock))
    assert set(Manifest.from_bytes(store.get(partition.metadata)).cameras) == {"door", "yard"}
    clock.sleep(8 * 24 * 3600.0)
    again = Camera("yard", 9_000.0)
    partition.records += [as_record(*again.segment(), 4), as_record(*again.end(), 5)]
    partition.work(tracking(store, clock))
    assert set(Manifest.from_bytes(store.get(partition.metadata)).cameras) == {"yard"}


def test_a_camera_that_is_behind_is_sampled_more_thinly_and_still_tiles() -> None:
    camera, store, clock = Camera("door"), MemoryObjects(), FakeClock(EPOCH_START_S + 30)
    sent = [*(camera.segment() for _ in range(20)), camera.end()]
    partition = FakePartition([as_record(header, video, at) for at, (header, video) in enumerate(sent)])
    partition.work(tracking(store, clock))
    clips = [ClipRecord.from_bytes(v) for v in partition.values(topics.CLIPS)]
    assert [(c.start_s - EPOCH_START_S, c.end_s - EPOCH_START_S) for c in clips] == [
        (4 * i, 4 * i + 4) for i in range(5)
    ]
    assert [frame.pts_s for frame in clips[0].frames] == [i / 2 for i in range(8)]
    assert [len(c.frames) for c in clips] == [8, 8, 8, 8, 10]  # caught up in the last second


def test_clips_of_a_camera_too_far_behind_are_shed_as_gaps_until_it_has_caught_up() -> None:
    camera, store, clock = Camera("door"), MemoryObjects(), FakeClock(EPOCH_START_S + 30)
    sent = [*(camera.segment() for _ in range(20)), camera.end()]
    partition = FakePartition([as_record(header, video, at) for at, (header, video) in enumerate(sent)])
    partition.work(tracking(store, clock, StreamSettings(shed_after_s=20.0)))
    gaps = [Gap.from_bytes(v) for v in partition.values(topics.GAPS)]
    clips = [ClipRecord.from_bytes(v) for v in partition.values(topics.CLIPS)]
    assert [(gap.start_s - EPOCH_START_S, gap.end_s - EPOCH_START_S) for gap in gaps] == [(0, 4), (4, 8)]
    assert {gap.reason for gap in gaps} == {"shed"} and "s behind this camera" in gaps[0].cause
    assert [(c.start_s - EPOCH_START_S, c.end_s - EPOCH_START_S) for c in clips] == [
        (8, 12),
        (12, 16),
        (16, 20),
    ]


@pytest.mark.parametrize(
    ("lag_s", "before", "stride"),
    [(0, 1, 1), (19, 1, 1), (20, 1, 2), (12, 2, 2), (9, 2, 1), (60, 2, 4), (25, 4, 4), (5, 4, 1)],
)
def test_thinning_begins_and_ends_at_different_lags(lag_s: float, before: int, stride: int) -> None:
    assert stride_of(lag_s, before, 20.0) == stride
    assert stride_of(lag_s, before, 0.0) == 1


def test_a_camera_that_rests_costs_no_memory_and_goes_on_with_its_tracks() -> None:
    camera, store, clock = Camera("door"), MemoryObjects(), FakeClock(EPOCH_START_S)
    worker, partition = (
        tracking(store, clock),
        FakePartition([as_record(*camera.segment(), at) for at in range(4)]),
    )
    partition.work(worker)
    clock.sleep(3600.0)
    assert list(worker.tick()) == []
    assert worker.lag_s == {}
    for at in range(4, 8):
        for commit in worker.handle(as_record(*camera.segment(), at)):
            partition.transact(commit)
    first, second = (ClipRecord.from_bytes(v) for v in partition.values(topics.CLIPS))
    assert (first.end_s, first.track_ids) == (second.start_s, second.track_ids)
