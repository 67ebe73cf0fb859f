"""The tracker's work on the topic of segments: clips tracked, stored and told, each exactly once.

A ``Handler`` for the transactional loop. Per partition it keeps what is committed, per camera a stream of clips
and a tracker; both are made when the camera's first record comes, from where the partition was committed last.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from contracts import topics
from contracts.base import InvalidMessage
from contracts.segments import HEADER, SegmentHeader
from operators.chunk import Hole, HoleReason
from operators.decode import DecodeError
from operators.track import Tracker
from operators.types import Clip, TrackedClip
from pipelines.camera import CameraStream, Span, StaleEpoch, StreamSettings, stride_of
from pipelines.checkpoint import CameraPosition, Checkpoint, PartitionLedger, Step, checkpoint_name
from pipelines.inbox import PromptInbox
from pipelines.ports import Clock, Commit, ObjectMissing, ObjectStore, Output, Record
from pipelines.prompting import Prompting
from pipelines.restore import TrackerMaker
from pipelines.snapshot import pack
from pipelines.telling import Telling, evidence_name, folder_of
from pipelines.translate import dead_letter, gap, output, outputs_of

log = logging.getLogger(__name__)

OFFSETS_AFTER_S = 5.0
IDLE_S = 600.0
HURRIED_FRAMES = 4  # a clip that a prompt waits for is closed when it has so many
MAX_STRIKES = 3  # a clip that fails so often is given up as a gap, so that it cannot stop its partition


class Unusable(ValueError):
    """A record that is not a segment; the text says why."""


@dataclass
class CameraWork:
    """One camera's running parts; the tracker is made when the first clip's size is known."""

    stream: CameraStream
    tracker: Tracker | None = None
    policy: str | None = None  # of the tracker's memory


@dataclass
class PartitionWork:
    """One assigned partition."""

    ledger: PartitionLedger
    cameras: dict[str, CameraWork] = field(default_factory=dict)

    def needed(self) -> dict[str, int | None]:
        """For each camera the smallest offset its unfinished clip needs."""
        return {camera_id: work.stream.needed_offset for camera_id, work in self.cameras.items()}


class Tracking:
    """Takes segment records, gives commits. Bad input goes to the dead letters; a failing store raises."""

    def __init__(
        self,
        store: ObjectStore,
        clock: Clock,
        trackers: TrackerMaker,
        settings: StreamSettings | None = None,
        inbox: PromptInbox | None = None,
    ) -> None:
        """``inbox`` holds people's prompts, of these and of other cameras."""
        self._store = store
        self._clock = clock
        self._trackers = trackers
        self._prompting = Prompting(inbox or PromptInbox(), store, clock, trackers.session_for)
        self._settings = settings or StreamSettings()
        self._partitions: dict[int, PartitionWork] = {}
        self._committed_at = 0.0
        self._strikes: dict[str, tuple[tuple[str, int, int], int]] = {}
        self.clips_done = 0
        self.lag_s: dict[str, float] = {}

    def assigned(self, partition: int, offset: int | None, metadata: str) -> None:
        ledger = PartitionLedger(partition, self._store)
        ledger.restore(offset, metadata)
        self._partitions[partition] = PartitionWork(ledger)

    def revoked(self, partition: int) -> None:
        work = self._partitions.pop(partition, None)
        for camera_id in work.cameras if work else ():
            self.lag_s.pop(camera_id, None)

    def full(self) -> bool:
        return False  # records are worked off one by one, so nothing queues up here

    def handle(self, record: Record) -> Iterator[Commit]:
        work = self._partitions[record.partition]
        work.ledger.next_offset = record.offset + 1
        if work.ledger.is_settled(record.offset):
            return
        try:
            header = read_header(record)
            yield from self._follow(work, header, record)
        except (Unusable, StaleEpoch) as error:
            log.warning(
                "record %s-%d-%d (key %s) is unusable: %s",
                record.topic,
                record.partition,
                record.offset,
                record.key,
                error,
            )
            letter = dead_letter(record, str(error), self._clock.now())
            yield from self._commit(work, Step((letter,), settled_offset=record.offset))

    def tick(self) -> Iterator[Commit]:
        """Close clips of cameras that fell silent; commit offsets of partitions where nothing is unfinished."""
        now_s = self._clock.now()
        for work in list(self._partitions.values()):
            for camera_id, camera in list(work.cameras.items()):
                yield from self._settle(work, camera, camera.stream.close_stalled(now_s))
                yield from self._refuse_overdue(work, camera_id, camera)
                if self._is_awaited(camera_id, camera):
                    yield from self._settle(work, camera, camera.stream.close_now())
                if camera.stream.needed_offset is None and now_s - camera.stream.arrived_at > IDLE_S:
                    del work.cameras[camera_id]  # made again from the ledger when it sends something
                    self.lag_s.pop(camera_id, None)
            ledger = work.ledger
            behind = ledger.next_offset > (ledger.committed_offset or 0)
            if (
                behind
                and now_s - self._committed_at > OFFSETS_AFTER_S
                and not any(at is not None for at in work.needed().values())
            ):
                yield from self._commit(work, Step(()))

    def _follow(self, work: PartitionWork, header: SegmentHeader, record: Record) -> Iterator[Commit]:
        camera = work.cameras.get(header.camera_id)
        if camera is None:
            position = work.ledger.position(header.camera_id)
            camera = CameraWork(CameraStream(header.camera_id, self._settings, position))
            work.cameras[header.camera_id] = camera
        self._note_lag(camera.stream, max(0.0, self._clock.now() - header.ingested_at))
        spans = camera.stream.push(header, self._video(header, record), record.offset, self._clock.now())
        yield from self._settle(work, camera, spans)
        if header.end is not None:
            self.lag_s[header.camera_id] = 0.0

    def _note_lag(self, stream: CameraStream, lag_s: float) -> None:
        """A camera that is behind is sampled more thinly until it has caught up."""
        self.lag_s[stream.camera_id] = lag_s
        stride = stride_of(lag_s, stream.stride, self._settings.thin_after_s)
        if stride != stream.stride:
            log.warning("camera %s: %.0f s behind, sampling 1 frame in %d", stream.camera_id, lag_s, stride)
            stream.stride = stride

    def _video(self, header: SegmentHeader, record: Record) -> bytes | DecodeError:
        if header.ref is None:
            return record.value or b""
        try:
            return self._store.get(header.ref)
        except ObjectMissing:
            return DecodeError(f"its video {header.ref} is not in the object store")

    def _settle(self, work: PartitionWork, camera: CameraWork, spans: Iterable[Span]) -> Iterator[Commit]:
        for span in spans:
            if isinstance(span.item, Hole):
                step = self._gap_step(work, span, span.item)
            elif (cause := self._too_late(span.item)) is not None:
                step = self._gap_step(work, span, _untracked(span.item, "shed", cause))
            else:
                step = self._clip_step(work, camera, span, span.item)
            yield from self._commit(work, step)

    def _too_late(self, clip: Clip) -> str | None:
        """Why a clip is not tracked: its camera is so far behind that thinner sampling did not help."""
        lag_s, limit_s = self.lag_s.get(clip.camera_id, 0.0), self._settings.shed_after_s
        if not 0 < limit_s <= lag_s:
            return None
        return f"the tracker was {lag_s:.0f} s behind this camera, clips are shed from {limit_s:g} s"

    def _is_awaited(self, camera_id: str, camera: CameraWork) -> bool:
        """Whether somebody waits for the pending clip, and there is something of it."""
        stream = camera.stream
        return stream.pending >= HURRIED_FRAMES and self._prompting.waits(
            camera_id, camera.tracker, stream.end_s
        )

    def _refuse_overdue(self, work: PartitionWork, camera_id: str, camera: CameraWork) -> Iterator[Commit]:
        if late := self._prompting.overdue(camera_id, camera.tracker):
            yield from self._commit(work, Step(outputs_of(topics.PROMPTS, camera_id, late)))
            self._prompting.forget(late)

    def _commit(self, work: PartitionWork, step: Step) -> Iterator[Commit]:
        yield from work.ledger.commit(step, work.needed(), self._clock.now())
        self._committed_at = self._clock.now()

    def _gap_step(self, work: PartitionWork, span: Span, hole: Hole) -> Step:
        log.info("camera %s: gap %.3f to %.3f: %s", hole.camera_id, hole.start_s, hole.end_s, hole.cause)
        before = work.ledger.position(hole.camera_id)
        position = _carried(span.position, before)
        return Step((output(topics.GAPS, hole.camera_id, gap(hole)),), position=position)

    def _clip_step(self, work: PartitionWork, camera: CameraWork, span: Span, clip: Clip) -> Step:
        before = work.ledger.position(clip.camera_id)
        began = time.perf_counter()
        try:
            tracked, checkpoint, mark, answers = self._track(camera, span, clip, before)
        except Exception as error:
            if self._strike(clip) < MAX_STRIKES:
                raise
            log.exception("clip %d of camera %s given up", clip.index, clip.camera_id)
            camera.tracker = None
            cause = f"tracking failed {MAX_STRIKES} times: {type(error).__name__}: {error}"
            return self._gap_step(work, span, _untracked(clip, "undecodable", cause))
        stages = {"decode": span.decode_s, "track": time.perf_counter() - began}
        told = Telling(tracked, span, work.ledger.partition, self._trackers.model, checkpoint.name, mark)
        position = _carried(span.position, before)
        opened = position.opened + len(tracked.opened)
        held = {"checkpoint_ref": checkpoint.name, "parts": sorted(checkpoint.parts)}
        position = position.model_copy(update={**held, "opened": opened})
        self.clips_done += 1
        log.info("%s, partition %d, tracked in %.2f s", told, work.ledger.partition, stages["track"])
        outputs = (*told.outputs(stages, self._clock.now()), *answers)
        return Step(outputs, told.artefacts(), checkpoint, position)

    def _track(
        self, camera: CameraWork, span: Span, clip: Clip, before: CameraPosition | None
    ) -> tuple[TrackedClip, Checkpoint, str, tuple[Output, ...]]:
        """The tracked clip, its checkpoint, the name of the prompts met in it, and their answers."""
        policy = span.segments[-1].header.memory_policy if span.segments else camera.policy
        if policy != camera.policy:  # another session goes on from what is committed
            camera.tracker, camera.policy = None, policy
        camera.tracker = self._trackers.ready(camera.tracker, clip, before, policy)
        find = span.segments[-1].header.find if span.segments else None
        camera.tracker.search_by(self._trackers.proposer, find or ())
        due = self._prompting.due(camera.tracker, clip, poisoned=self._failures(clip) == MAX_STRIKES - 1)
        tracked = camera.tracker.push(clip, due.requests)
        evidence = evidence_name(folder_of(clip, due.mark))
        answers = self._prompting.settle(camera.tracker, clip, due, tracked.outcomes, evidence)
        name = checkpoint_name(clip.camera_id, clip.epoch, clip.index, clip.end_s, due.mark)
        packed = pack(camera.tracker.snapshot())
        return tracked, Checkpoint(name, packed.main, packed.parts), due.mark, answers

    def _failures(self, clip: Clip) -> int:
        """How often this very clip has failed so far."""
        key, count = self._strikes.get(clip.camera_id, (None, 0))
        return count if key == (clip.camera_id, clip.epoch, clip.index) else 0

    def _strike(self, clip: Clip) -> int:
        """How often this very clip has failed now; a success elsewhere does not forget it, a new clip does."""
        count = self._failures(clip) + 1
        self._strikes[clip.camera_id] = ((clip.camera_id, clip.epoch, clip.index), count)
        return count


def read_header(record: Record) -> SegmentHeader:
    """The record's segment header, checked against the record. Raises Unusable."""
    if HEADER not in record.headers:
        raise Unusable(f"no header '{HEADER}' on the record")
    try:
        header = SegmentHeader.from_bytes(record.headers[HEADER])
    except InvalidMessage as error:
        raise Unusable(str(error)) from error
    if record.key != header.camera_id:
        raise Unusable(f"key {record.key!r} is not the camera of its header, {header.camera_id!r}")
    if header.end is None and header.ref is None and not record.value:
        raise Unusable("a segment without video")
    return header


def _carried(position: CameraPosition, before: CameraPosition | None) -> CameraPosition:
    """The new position with what only the ledger knows: the last checkpoint, and the tracks of the same epoch."""
    if before is None:
        return position
    opened = before.opened if before.epoch == position.epoch else 0
    held = {"checkpoint_ref": before.checkpoint_ref, "parts": before.parts}
    return position.model_copy(update={**held, "opened": opened})


def _untracked(clip: Clip, reason: HoleReason, cause: str) -> Hole:
    return Hole(clip.camera_id, clip.epoch, clip.start_s, clip.end_s, reason, cause)
