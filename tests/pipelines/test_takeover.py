"""Replicas that die at random steps, with the shipped network and the real checkpoints: nothing shows afterwards."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch

from contracts import topics
from contracts.clips import ClipRecord
from contracts.events import TrackEvent
from contracts.tracks import TrackUpdate
from modeling.sam2.segmenter import load_segmenter
from modeling.sam2.session import Sam2Session
from operators.track import TrackSettings
from operators.types import Step
from pipelines.evidence import Evidence
from pipelines.ports import Record
from pipelines.restore import TrackerMaker
from pipelines.tracking import Tracking
from recipes.evaluate_tracker import WEIGHTS
from synthetic.world import sample_clip
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import FakePartition
from tests.fakes.objects import MemoryObjects
from tests.fakes.video import EPOCH_START_S, Camera, as_record

FPS, SECONDS, DEATHS = 2, 26, 20
CLIPS = 7  # of four seconds, eight pictures; the last of two
WORLDS = (3, 5)  # one after the other: what was in view leaves, other things come
SETTINGS = TrackSettings(max_tracks=3)


class Killed(RuntimeError):
    """The replica died here."""


class Fate:
    """Kills whoever steps next at the numbers given, counted over all replicas."""

    def __init__(self, seed: int, deaths: int) -> None:
        rng = random.Random(seed)
        self.steps, self.died = 0, 0
        # A clip has eight steps: most replicas do not live to the end of one.
        self._gaps = [rng.randint(1, 10) for _ in range(deaths)]

    def step(self) -> None:
        self.steps += 1
        if self._gaps and self.steps >= self._gaps[0]:
            self._gaps.pop(0)
            self.steps, self.died = 0, self.died + 1
            raise Killed


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With several threads two runs of one program already differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def records() -> tuple[Record, ...]:
    half = SECONDS * FPS // len(WORLDS)
    worlds = (sample_clip(seed, "held_out", 192, 144, half, float(FPS)) for seed in WORLDS)
    pictures = [picture for world in worlds for picture in world.frames]
    camera = Camera("yard", EPOCH_START_S, FPS, float(FPS), pictures=pictures)
    sent = [*(camera.segment() for _ in range(SECONDS)), camera.end()]
    return tuple(as_record(header, video, at) for at, (header, video) in enumerate(sent))


def work(opened: Callable[..., Sam2Session], fate: Fate) -> tuple[FakePartition, MemoryObjects, int]:
    """All records tracked, by as many replicas as it takes; each knows only what is stored."""

    def open_mortal(size: tuple[int, int]) -> Sam2Session:
        session = opened(size)
        alive = session.step

        def step() -> dict[int, Step]:
            fate.step()
            return alive()

        session.step = step  # type: ignore[method-assign]
        return session

    partition, store, replicas = FakePartition(records()), MemoryObjects(), 0
    while partition.offset != len(partition.records):
        replicas += 1
        maker = TrackerMaker(store, open_mortal, "embedded", 96, SETTINGS)
        try:
            partition.work(Tracking(store, FakeClock(EPOCH_START_S), maker))
        except Killed:
            continue
    return partition, store, replicas


def told(partition: FakePartition, store: MemoryObjects) -> dict[str, object]:
    """Every id, and every picture and mask of every clip as bytes."""
    clips = [ClipRecord.from_bytes(value) for value in partition.values(topics.CLIPS)]
    return {
        "clips": [(clip.clip_id, clip.track_ids) for clip in clips],
        "events": [TrackEvent.from_bytes(v).event_id for v in partition.values(topics.EVENTS)],
        "tracks": [TrackUpdate.from_bytes(v).model_dump() for v in partition.values(topics.TRACKS)],
        "evidence": [store.get(clip.evidence_ref) for clip in clips],
    }


@cache
def unbroken() -> tuple[FakePartition, MemoryObjects]:
    partition, store, replicas = work(load_segmenter(WEIGHTS), Fate(0, 0))
    assert replicas == 1
    return partition, store


def test_the_film_is_worth_following() -> None:
    partition, store = unbroken()
    clips = [ClipRecord.from_bytes(value) for value in partition.values(topics.CLIPS)]
    assert len(clips) == CLIPS
    masks = [m.masks for clip in clips for m in Evidence.from_bytes(store.get(clip.evidence_ref)).masklets]
    assert sum(bool(np.any(mask)) for mask in masks) >= 10
    assert len({track for clip in clips for track in clip.track_ids}) >= 3


def test_twenty_deaths_at_random_steps_change_no_id_and_no_mask() -> None:
    fate = Fate(20, DEATHS)
    partition, store, replicas = work(load_segmenter(WEIGHTS), fate)
    assert (fate.died, replicas) == (DEATHS, DEATHS + 1)
    broken, whole = told(partition, store), told(*unbroken())
    for name, values in whole.items():
        assert broken[name] == values, name


def test_a_replica_with_other_weights_keeps_the_ids_of_what_is_followed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened = load_segmenter(WEIGHTS)
    partition, store = FakePartition(records()[:8]), MemoryObjects()
    maker = TrackerMaker(store, opened, "embedded", 96, SETTINGS)
    partition.work(Tracking(store, FakeClock(EPOCH_START_S), maker))

    def other(size: tuple[int, int]) -> Sam2Session:
        session = opened(size)
        session._model_hash = "weights of another version"
        return session

    partition.records = list(records()[:12])
    maker = TrackerMaker(store, other, "other", 96, SETTINGS)
    partition.work(Tracking(store, FakeClock(EPOCH_START_S), maker))
    assert "going on from the last masks and their pictures" in caplog.text
    clips = [ClipRecord.from_bytes(value) for value in partition.values(topics.CLIPS)]
    before, after = Evidence.from_bytes(store.get(clips[1].evidence_ref)), clips[2]
    alive = {masklet.track_id for masklet in before.masklets if masklet.state != "retired"}
    assert alive and alive <= set(after.track_ids)
