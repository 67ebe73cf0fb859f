"""The narrator's work on the topic of clips: for each clip decide, ask, and say or stay silent, each exactly once.

A ``Handler`` for the transactional loop. One clip's narrations, its place in the topic and what is remembered of
its tracks are committed together. Words come from the captioner within a budget of seconds: what does not fit is
recorded as shed, newest first sight asked first, so that a slow captioner means fewer words, not a growing lag.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from contracts.base import InvalidMessage
from contracts.clips import ClipRecord
from operators.describe import LOSSES, Decision, DescribeSettings, TrackMemory, decide
from operators.judge import Verdict, judge, worth_streaming
from operators.observe import Look
from operators.wording import begins_loss
from pipelines.asking import Asking, PartialTeller, request_of
from pipelines.clip_work import ClipWork, Told, span_of
from pipelines.evidence import Evidence
from pipelines.memory import Memories, PartitionMemory
from pipelines.ports import (
    Captioner,
    CaptionerUnavailable,
    CaptionRefused,
    Clock,
    Commit,
    ObjectMissing,
    ObjectStore,
    Output,
    Publisher,
    Record,
)
from pipelines.scene_trail import SceneTrail
from pipelines.translate import dead_letter

log = logging.getLogger(__name__)

MAX_STRIKES = 3
"""A clip that fails so often is given up, so that it cannot stop its partition."""

_RANK = {"new": 0, "lost": 1, "found": 1}
"""Kinds in the order in which they are asked; all others come last."""


@dataclass(frozen=True, slots=True)
class NarrationSettings:
    """Bounds of the work on one clip."""

    describe: DescribeSettings = DescribeSettings()
    budget_share: float = 0.8  # of a clip's duration: the seconds its questions may take
    budget_least_s: float = 1.0
    behind_limit_s: float = 20.0  # older clips are asked about for first sights, losses and returns only
    answer_s: float = 20.0
    answer_when_down_s: float = 1.0


class Narrating:
    """Takes clip records, gives commits. Bad input goes to the dead letters; a failing store raises."""

    def __init__(
        self,
        store: ObjectStore,
        captioner: Captioner,
        clock: Clock,
        asking: Asking,
        publisher: Publisher | None = None,
        settings: NarrationSettings = NarrationSettings(),
        asking_of: Callable[[str], Asking] | None = None,
    ) -> None:
        """``asking_of`` gives the way of asking that a camera's settings want, in place of ``asking``."""
        self._store = store
        self._captioner = captioner
        self._clock = clock
        self._asking_of = asking_of or (lambda camera_id: asking)
        self._publisher = publisher
        self._settings = settings
        self._partitions: dict[int, PartitionMemory] = {}
        self._down = False
        self._trail = SceneTrail()
        self._strikes: tuple[tuple[int, int], int] = ((-1, -1), 0)
        self.clips_done = 0
        self.lag_s: dict[str, float] = {}

    def assigned(self, partition: int, offset: int | None, metadata: str) -> None:
        memory = PartitionMemory(partition, self._store)
        memory.restore(metadata)
        self._partitions[partition] = memory

    def revoked(self, partition: int) -> None:
        memory = self._partitions.pop(partition, None)
        for camera_id in memory.cameras if memory else ():
            self.lag_s.pop(camera_id, None)
            self._trail.forget(camera_id)

    def full(self) -> bool:
        return False  # records are worked off one by one, so nothing queues up here

    def tick(self) -> Iterator[Commit]:
        return iter(())

    def handle(self, record: Record) -> Iterator[Commit]:
        memory = self._partitions[record.partition]
        try:
            work = self._open(record, memory)
        except (InvalidMessage, ObjectMissing, ValueError) as error:
            cause = str(error.args[0]) if isinstance(error, ObjectMissing) else str(error)
            yield from self._bury(record, memory, cause)
            return
        try:
            outputs, after = self._narrate(work)
        except Exception as error:
            if self._strike(record) < MAX_STRIKES:
                raise
            log.exception("clip %s given up", work.clip.clip_id)
            yield from self._bury(record, memory, f"narration failed {MAX_STRIKES} times: {error!r}")
            return
        yield from memory.commit(outputs, record.offset + 1, {work.clip.camera_id: after})
        self._trail.passed(work.clip, any(told.answer is not None for told in work.told.values()))
        self.clips_done += 1
        self.lag_s[work.clip.camera_id] = max(0.0, self._clock.now() - work.clip.captured_at)

    def _bury(self, record: Record, memory: PartitionMemory, cause: str) -> Iterator[Commit]:
        """Give the record to the dead letters and go on behind it."""
        where = f"{record.topic}-{record.partition}-{record.offset}"
        log.warning("record %s (key %s) is unusable: %s", where, record.key, cause)
        letter = dead_letter(record, cause, self._clock.now(), met_by="narrator")
        yield from memory.commit((letter,), record.offset + 1, {})

    def _strike(self, record: Record) -> int:
        """How often this very record has failed now, in a row."""
        key = (record.partition, record.offset)
        self._strikes = (key, self._strikes[1] + 1 if self._strikes[0] == key else 1)
        return self._strikes[1]

    def _open(self, record: Record, memory: PartitionMemory) -> ClipWork:
        """The clip with its evidence. Raises InvalidMessage, ObjectMissing, ValueError, StoreUnavailable."""
        clip = ClipRecord.from_bytes(record.value)
        began = self._clock.now()
        try:
            evidence = Evidence.from_bytes(self._store.get(clip.evidence_ref))
        except ObjectMissing:
            raise ObjectMissing(f"evidence {clip.evidence_ref} is not in the object store") from None
        if not evidence.pictures:
            raise ValueError(f"evidence {clip.evidence_ref} holds no picture")
        fetch_s = self._clock.now() - began
        asking = self._asking_of(clip.camera_id)
        return ClipWork(clip, evidence, memory.tracks(clip.camera_id), fetch_s, asking)

    def _narrate(self, work: ClipWork) -> tuple[tuple[Output, ...], Memories]:
        """1 look and decide; 2 ask within the budget; 3 judge, and put into messages."""
        work.look()
        settings = replace(self._settings.describe, evidence_frames=work.asking.frames)
        for track_id, look in work.looks.items():
            work.decisions[track_id] = decide(work.before.get(track_id), look, settings)
        self._ask_all(work)
        outputs: list[Output] = []
        after: Memories = {}
        for track_id in sorted(work.looks):
            verdict = self._judge(work, track_id)
            if not _forgettable(verdict.memory, work.looks[track_id], settings):
                after[track_id] = verdict.memory
            if work.looks[track_id].state != "tentative":
                outputs.append(work.message(track_id, verdict, self._clock.now()))
        log.info(
            "clip %s: %d tracks, %d asked about, %d spoken of",
            work.clip.clip_id,
            len(work.looks),
            sum(told.answer is not None for told in work.told.values()),
            sum(memory.spoken_at_s == work.clip.end_s for memory in after.values()),
        )
        return tuple(outputs), after

    def _ask_all(self, work: ClipWork) -> None:
        wanted = sorted(
            (decision for decision in work.decisions.values() if decision.ask),
            key=lambda decision: (
                _RANK.get(decision.kind, 2),
                -(work.looks[decision.track_id].first_seen_s or 0.0),
                decision.track_id,
            ),
        )
        behind = self._clock.now() - work.clip.committed_at > self._settings.behind_limit_s
        share_s = self._settings.budget_share * (work.clip.end_s - work.clip.start_s)
        until = self._clock.now() + max(self._settings.budget_least_s, share_s)
        failed = False
        for position, decision in enumerate(wanted):
            # One question is always asked, so that even a captioner slower than its budget gets on.
            late = position > 0 and self._clock.now() >= until
            if failed or late or (behind and decision.kind not in _RANK):
                work.told[decision.track_id] = Told(reason="captioner unavailable" if failed else "shed")
                continue
            told = self._ask(work, decision)
            work.told[decision.track_id] = told
            failed = failed or self._down

    def _ask(self, work: ClipWork, decision: Decision) -> Told:
        began = self._clock.now()
        own_id, camera_id = work.narration_id(decision.track_id), work.clip.camera_id
        limit_s = self._settings.answer_when_down_s if self._down else self._settings.answer_s
        before = work.before.get(decision.track_id)
        previous = before.text if before is not None and decision.history else None
        request = request_of(
            own_id,
            work.evidence,
            work.masklet(decision.track_id),
            decision.frames,
            work.asking,
            limit_s,
            previous,
            self._trail.scene(work.clip, work.evidence.times_s[0], work.asking.compression_of(camera_id)),
        )
        in_sight = work.contradicts_loss(decision.track_id)
        partials = PartialTeller(
            self._publisher,
            lambda text: not (in_sight and begins_loss(text)) and worth_streaming(before, decision, text),
            narration_id=own_id,
            camera_id=work.clip.camera_id,
            track_id=decision.track_id,
            kind=decision.kind,
            span_s=span_of(work.looks[decision.track_id]),
            name=work.name_of(decision.track_id),
        )
        try:
            answer = self._captioner.describe(request, partials)
        except CaptionerUnavailable as error:
            log.warning("camera %s: %s: %s", work.clip.camera_id, own_id, error)
            self._down = True
            return Told(reason="captioner unavailable", seconds=self._clock.now() - began)
        except CaptionRefused as error:
            log.error("camera %s: %s: %s", work.clip.camera_id, own_id, error)
            return Told(reason=str(error)[:200], seconds=self._clock.now() - began)
        self._down = False
        fresh = previous is None or not work.asking.history_line(work.clip.camera_id, previous)
        return Told(answer, seconds=self._clock.now() - began, fresh=fresh)

    def _judge(self, work: ClipWork, track_id: str) -> Verdict:
        told = work.told.get(track_id, Told())
        decision = work.decisions[track_id]
        if decision.ask and told.answer is None:
            decision = Decision(track_id, "silent", told.reason)
        return judge(
            work.before.get(track_id),
            work.looks[track_id],
            decision,
            work.heard(track_id),
            lambda revision: work.narration_id(track_id, revision),
            self._settings.describe,
        )


def _forgettable(memory: TrackMemory, look: Look, settings: DescribeSettings) -> bool:
    """Whether nothing more will come of the track: it is gone and that was said, or it never was anything."""
    said = memory.lost or memory.text is None or memory.closed_for not in LOSSES
    unseen_s = look.end_s - (memory.seen_at_s or look.end_s)
    return (memory.gone and said) or unseen_s > settings.forget_s
