"""The tracker's commits: in order, exactly once wherever the process dies, bad records to the dead letters."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import numpy as np
import pytest

from contracts import topics
from contracts.clips import ClipRecord
from contracts.deadletter import DeadLetter
from contracts.events import Gap, TrackEvent
from contracts.segments import HEADER
from contracts.tracks import TrackUpdate
from operators.track import TrackSettings
from pipelines.camera import StreamSettings
from pipelines.checkpoint import Manifest
from pipelines.evidence import Evidence
from pipelines.ports import Record
from pipelines.restore import TrackerMaker
from pipelines.tracking import Tracking
from tests.fakes.clock import FakeClock
from tests.fakes.kafka import Crash, FakePartition, Fuse
from tests.fakes.objects import MemoryObjects
from tests.fakes.proposer import ColourProposer
from tests.fakes.segmenter import ColourSegmenter
from tests.fakes.video import EPOCH_START_S, Camera, as_record

SETTINGS = TrackSettings(grid_every=4, motion_every=0)


def tracking(
    store: MemoryObjects, clock: FakeClock | None = None, stream: StreamSettings | None = None
) -> Tracking:
    makers = TrackerMaker(store, lambda size: ColourSegmenter(), "colours", settings=SETTINGS)
    return Tracking(store, clock or FakeClock(EPOCH_START_S), makers, stream)


def two_cameras(
    garbage: bool = True, seconds: int = 9, fps: int = 8, sample_fps: float = 4.0
) -> list[Record]:
    """Two cameras side by side with an undecodable segment, a second epoch, garbage and end markers."""
    door, yard = (
        Camera(name, EPOCH_START_S + late_s, fps, sample_fps, 100)
        for name, late_s in (("door", 0), ("yard", 0.5))
    )
    sent = []
    for second in range(seconds):
        sent.append(door.segment(video=b"broken" if second == 5 else None))
        sent.append(yard.segment())
    sent += [door.end()]
    again = Camera("door", EPOCH_START_S + 30, fps, sample_fps, 100)
    sent += [again.segment(), yard.segment(), again.segment(), yard.end(), again.end()]
    records = [as_record(header, video, offset) for offset, (header, video) in enumerate(sent)]
    if garbage:
        bad = Record(topics.SEGMENTS, 0, 7, 0, "door", b"\x00rubbish", {})
        records.insert(7, bad)
        records = [Record(r.topic, 0, at, 0, r.key, r.value, r.headers) for at, r in enumerate(records)]
    return records


def ids(partition: FakePartition) -> dict[str, list[str]]:
    """Everything committed, by topic, in order."""
    return {
        "clips": [
            f"{c.clip_id} {c.start_s:.3f} {c.end_s:.3f} {c.track_ids} {[f.index for f in c.frames]}"
            for c in map(ClipRecord.from_bytes, partition.values(topics.CLIPS))
        ],
        "tracks": [
            f"{t.track_id} {t.clip_id} {[f.box for f in t.frames]}"
            for t in map(TrackUpdate.from_bytes, partition.values(topics.TRACKS))
        ],
        "events": [TrackEvent.from_bytes(v).event_id for v in partition.values(topics.EVENTS)],
        "gaps": [Gap.from_bytes(v).gap_id for v in partition.values(topics.GAPS)],
        "letters": [DeadLetter.from_bytes(v).letter_id for v in partition.values(topics.DEADLETTER)],
    }


def by_camera(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Order is promised within a camera only."""
    return {topic: sorted(values) for topic, values in found.items()}


def run(
    records: list[Record], fuse: Callable[[str], None] = lambda deed: None
) -> tuple[FakePartition, MemoryObjects]:
    partition, store = FakePartition(records, fuse), MemoryObjects(fuse)
    for _ in range(3):
        try:
            partition.work(tracking(store))
            return partition, store
        except Crash:
            continue
    raise AssertionError("crashed more often than told to")


def test_every_second_ends_as_clip_or_gap_and_all_objects_are_there() -> None:
    partition, store = run(two_cameras())
    clips = [ClipRecord.from_bytes(v) for v in partition.values(topics.CLIPS)]
    gaps = [Gap.from_bytes(v) for v in partition.values(topics.GAPS)]
    for camera_id, total_s in (("door", 9 + 2), ("yard", 10)):
        spans = [(x.start_s, x.end_s) for x in [*clips, *gaps] if x.camera_id == camera_id]
        assert sum(end - start for start, end in spans) == pytest.approx(total_s)
        assert len({start for start, _ in spans}) == len(spans)
    assert [(g.camera_id, g.end_s - g.start_s, g.reason) for g in gaps] == [("door", 1.0, "undecodable")]
    tracks = [TrackUpdate.from_bytes(v) for v in partition.values(topics.TRACKS)]
    refs = [c.evidence_ref for c in clips] + [c.video_ref for c in clips]
    refs += [t.crop_ref for t in tracks if t.frames] + [t.mask_ref for t in tracks if t.frames]
    assert refs and all(store.exists(ref) for ref in refs)
    assert partition.offset == len(partition.records)


def test_track_ids_live_on_across_clips_and_are_not_used_twice() -> None:
    partition, _ = run(two_cameras())
    events = [TrackEvent.from_bytes(v) for v in partition.values(topics.EVENTS)]
    opened = [e.track_id for e in events if e.kind == "opened"]
    assert len(opened) == len(set(opened))
    yard = [c for c in map(ClipRecord.from_bytes, partition.values(topics.CLIPS)) if c.camera_id == "yard"]
    assert len(yard) == 3
    assert len({tuple(c.track_ids) for c in yard}) == 1 and len(yard[0].track_ids) == 2


def test_evidence_of_a_clip_reads_back() -> None:
    partition, store = run(two_cameras())
    clip = ClipRecord.from_bytes(partition.values(topics.CLIPS)[0])
    evidence = Evidence.from_bytes(store.get(clip.evidence_ref))
    assert (evidence.camera_id, evidence.epoch, evidence.clip_index) == (
        clip.camera_id,
        clip.epoch,
        clip.index,
    )
    assert evidence.times_s == tuple(frame.time_s for frame in clip.frames)
    assert [m.track_id for m in evidence.masklets] == clip.track_ids
    assert evidence.pictures[0].shape == (clip.height_px, clip.width_px, 3)


def test_garbage_goes_to_the_dead_letters_and_the_stream_goes_on() -> None:
    partition, _ = run(two_cameras())
    (letter,) = [DeadLetter.from_bytes(v) for v in partition.values(topics.DEADLETTER)]
    assert (letter.offset, letter.value) == (7, b"\x00rubbish")
    assert "no header" in letter.cause
    assert by_camera(ids(run(two_cameras(garbage=False))[0]))["gaps"] == by_camera(ids(partition))["gaps"]


@pytest.mark.parametrize(
    ("key", "header", "cause"),
    [
        ("door", b"{not json", "JSON"),
        ("door", b"{}", "camera_id"),
        ("yard", None, "key 'yard'"),
        ("door", b"", "JSON"),
    ],
)
def test_bad_headers_are_named(key: str, header: bytes | None, cause: str) -> None:
    good, video = Camera("door").segment()
    headers = {HEADER: good.to_bytes() if header is None else header}
    partition, _ = run([Record(topics.SEGMENTS, 0, 0, 0, key, video, headers)])
    (letter,) = [DeadLetter.from_bytes(v) for v in partition.values(topics.DEADLETTER)]
    assert cause in letter.cause


def test_large_segments_come_from_the_object_store() -> None:
    camera, store = Camera("door"), MemoryObjects()
    _, video = Camera("door").segment()
    store.put("segments/door/1.mkv", video)
    first = as_record(*camera.segment(ref="segments/door/1.mkv"), 0)
    lost = as_record(*camera.segment(ref="segments/door/2.mkv"), 1)
    partition = FakePartition([first, lost, as_record(*camera.end(), 2)])
    partition.work(tracking(store))
    assert len(partition.values(topics.CLIPS)) == 1
    assert "segments/door/2.mkv" in Gap.from_bytes(partition.values(topics.GAPS)[0]).cause


def test_a_crash_anywhere_changes_nothing_that_is_committed() -> None:
    records = two_cameras(seconds=6, fps=2, sample_fps=1.0)
    whole = by_camera(ids(run(records)[0]))
    assert len(whole["clips"]) == 5 and len(whole["letters"]) == 1 and len(whole["gaps"]) == 1
    crashes = 0
    while True:
        fuse = Fuse(crashes)
        partition, store = run(records, fuse)
        if not fuse.burnt:
            break
        crashes += 1
        assert by_camera(ids(partition)) == whole, f"after crash {crashes}"
        refs = [ClipRecord.from_bytes(v).evidence_ref for v in partition.values(topics.CLIPS)]
        assert all(store.exists(ref) for ref in refs)
        assert held(partition, store) == set(store.list("checkpoints/"))
    assert crashes > 50


def test_commit_order_objects_then_checkpoint_then_manifest_then_transaction() -> None:
    deeds: list[str] = []
    run(two_cameras(garbage=False), deeds.append)
    first = deeds[: deeds.index("after transaction") + 1]
    starts = [d for d in first if d.startswith("before")]
    kinds = [d.split()[1] if d == "before transaction" else d.split()[2].split("/")[0] for d in starts]
    assert kinds[0] == "clips" and kinds[-3:] == ["checkpoints", "manifests", "transaction"]
    checkpoints = [deed for deed in starts if deed.startswith("before put checkpoints/")]
    assert all("/parts/" in deed for deed in checkpoints[:-1]) and "/parts/" not in checkpoints[-1]
    assert len(checkpoints) > 2


def held(partition: FakePartition, store: MemoryObjects) -> set[str]:
    """Names of all objects of memory that the committed manifest and the one before it name."""
    newest = Manifest.from_bytes(store.get(partition.metadata))
    before = Manifest.from_bytes(store.get(newest.previous))
    assert set(store.list("manifests/")) == {partition.metadata, newest.previous}
    return newest.objects | before.objects


def test_old_checkpoints_parts_and_manifests_go() -> None:
    partition, store = run(two_cameras())
    assert set(store.list("checkpoints/")) == held(partition, store)


def test_lasting_parts_are_written_once() -> None:
    deeds: list[str] = []
    camera = Camera("door")
    sent = [*(camera.segment() for _ in range(16)), camera.end()]
    partition = FakePartition([as_record(header, video, at) for at, (header, video) in enumerate(sent)])
    store = MemoryObjects(deeds.append)
    partition.work(tracking(store))
    written = [deed for deed in deeds if deed.startswith("after put checkpoints/door/parts/")]
    assert len(written) == len(set(written)), "no part twice"
    colours = [deed for deed in written if len(store.objects.get(deed.split()[-1], b"12")) == 1]
    assert len(colours) == 2 and len(partition.values(topics.CLIPS)) == 4


def test_a_takeover_leaves_nothing_that_nobody_names() -> None:
    records = two_cameras()
    partition, store = FakePartition(records[:6]), MemoryObjects()
    for count in range(6, len(records) + 1):  # another replica for every record
        partition.records = records[:count]
        partition.work(tracking(store))
        if partition.metadata and Manifest.from_bytes(store.get(partition.metadata)).previous:
            assert set(store.list("checkpoints/")) == held(partition, store), f"after record {count}"
    assert by_camera(ids(partition)) == by_camera(ids(run(records)[0]))


@pytest.mark.parametrize("damage", [None, b"not a checkpoint"])
def test_a_lost_or_foreign_checkpoint_starts_fresh_without_using_an_id_twice(damage: bytes | None) -> None:
    records = two_cameras(garbage=False)
    partition, store = FakePartition(records[:12]), MemoryObjects()
    partition.work(tracking(store))
    for name in store.list("checkpoints/"):
        store.delete(name) if damage is None else store.put(name, damage)
    partition.records = records
    partition.work(tracking(store))
    events = [TrackEvent.from_bytes(v) for v in partition.values(topics.EVENTS)]
    opened = [e.track_id for e in events if e.kind == "opened"]
    assert len(opened) == len(set(opened)) and len(opened) > 4
    assert len(partition.values(topics.CLIPS)) == len(run(records)[0].values(topics.CLIPS))


def test_checkpoints_of_the_older_layout_are_refused_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = two_cameras(garbage=False)
    partition, store = FakePartition(records[:12]), MemoryObjects()
    partition.work(tracking(store))
    manifest = Manifest.from_bytes(store.get(partition.metadata))
    old = {"schema_version": 1, "partition": 0, "settled": manifest.settled, "cameras": {}}
    for camera_id, position in manifest.cameras.items():
        archive = io.BytesIO()
        np.savez(archive, header=np.frombuffer(b'{"schema": "streamrefer.tracker.1"}', np.uint8))
        store.put(position.checkpoint_ref, archive.getvalue())
        old["cameras"][camera_id] = position.model_dump(exclude={"parts"})
    partition.metadata = "manifests/0000/old.json"
    store.put(partition.metadata, json.dumps(old).encode())
    partition.records = records
    partition.work(tracking(store))
    assert "unusable, tracking starts fresh: tracker state: not a safetensors file" in caplog.text
    assert len(partition.values(topics.CLIPS)) == len(run(records)[0].values(topics.CLIPS))
    opened = [
        e.track_id
        for v in partition.values(topics.EVENTS)
        if (e := TrackEvent.from_bytes(v)).kind == "opened"
    ]
    assert len(opened) == len(set(opened)) > 4
    assert not store.exists("manifests/0000/old.json")


def test_a_lost_manifest_starts_fresh() -> None:
    partition, store = FakePartition(two_cameras()[:14]), MemoryObjects()
    partition.work(tracking(store))
    store.delete(partition.metadata)
    partition.records = two_cameras()
    partition.work(tracking(store))
    assert partition.offset == len(partition.records)


def test_a_clip_that_always_fails_becomes_a_gap_after_three_tries() -> None:
    camera = Camera("door")
    sent = [*(camera.segment() for _ in range(8)), camera.end()]
    records = [as_record(h, v, i) for i, (h, v) in enumerate(sent)]

    class Broken(ColourSegmenter):
        def begin_clip(self, pictures: object) -> None:
            raise RuntimeError("out of memory")

    store, partition = MemoryObjects(), FakePartition(records)
    worker = Tracking(store, FakeClock(), TrackerMaker(store, lambda size: Broken(), "broken"))
    failures = 0
    while len(partition.values(topics.GAPS)) < 2:
        try:
            partition.work(worker)
        except RuntimeError:
            failures += 1
            worker.revoked(0)
        assert failures < 10
    assert failures == 4  # two for each of two clips; the third try gives up
    assert [Gap.from_bytes(v).reason for v in partition.values(topics.GAPS)] == ["undecodable"] * 2


def test_a_camera_chooses_its_memory_policy_and_a_change_keeps_its_tracks() -> None:
    cameras = [
        Camera("door", EPOCH_START_S, memory_policy="skip-absent"),
        Camera("door", EPOCH_START_S + 8, memory_policy="distractor"),
    ]
    sent = [part for camera in cameras for part in [*(camera.segment() for _ in range(8)), camera.end()]]
    partition, store, wanted = (
        FakePartition([as_record(h, v, at) for at, (h, v) in enumerate(sent)]),
        MemoryObjects(),
        [],
    )

    def opened(size: tuple[int, int], policy: str = "usual") -> ColourSegmenter:
        wanted.append(policy)
        return ColourSegmenter()

    maker = TrackerMaker(store, opened, "colours", settings=SETTINGS)
    partition.work(Tracking(store, FakeClock(EPOCH_START_S), maker))
    assert wanted == ["skip-absent", "distractor"]
    clips = [ClipRecord.from_bytes(v) for v in partition.values(topics.CLIPS)]
    assert len(clips) == 4 and clips[1].track_ids == clips[2].track_ids != []


def test_a_policy_changed_while_the_camera_runs_keeps_what_is_remembered() -> None:
    """Not only ids and tracks: the new session goes on from the tensors of the old one."""
    handed: list[set[str]] = []

    class Noted(ColourSegmenter):
        def import_state(self, state) -> None:
            handed.append(set(state))
            super().import_state(state)

    def played(*policies: str | None) -> FakePartition:
        store = MemoryObjects()
        maker = TrackerMaker(store, lambda size, policy="usual": Noted(), "colours", settings=SETTINGS)
        camera, sent = Camera(), []
        for policy in policies:
            camera.memory_policy = policy
            sent += [camera.segment() for _ in range(4)]
        partition = FakePartition([as_record(h, v, at) for at, (h, v) in enumerate(sent)])
        partition.work(Tracking(store, FakeClock(EPOCH_START_S), maker))
        return partition

    changed, steady = played(None, None, "quality", "quality"), played(None, None, None, None)
    assert handed == [{"session", "colour-80", "colour-160"}], "once, where the policy changed"
    for topic in (topics.TRACKS, topics.EVENTS):
        assert changed.values(topic) == steady.values(topic) != []


def test_words_of_a_camera_reach_the_detector_from_the_segment_on_that_carries_them() -> None:
    cameras = [Camera("door", EPOCH_START_S), Camera("door", EPOCH_START_S + 8, find=("80",))]
    sent = [part for camera in cameras for part in [*(camera.segment() for _ in range(8)), camera.end()]]
    partition = FakePartition([as_record(h, v, at) for at, (h, v) in enumerate(sent)])
    store, proposer = MemoryObjects(), ColourProposer()
    maker = TrackerMaker(
        store, lambda size: ColourSegmenter(), "colours", settings=SETTINGS, proposer=proposer
    )
    partition.work(Tracking(store, FakeClock(EPOCH_START_S), maker))
    first = proposer.asked.index(("80",))
    assert first and set(proposer.asked[:first]) == {()} and set(proposer.asked[first:]) == {("80",)}
