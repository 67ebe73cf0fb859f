"""The narrator in process: its real pipeline over clips in memory, with a captioner that remembers its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from contracts import topics
from contracts.clips import ClipFrame, ClipRecord, SourceRange, clip_id
from contracts.narrations import Narration
from modeling.pixelrefer.generate import Captioner as Network
from modeling.pixelrefer.request import Request
from operators.describe import DescribeSettings, TrackMemory
from operators.types import Masklet
from pipelines.asking import Asking
from pipelines.evidence import Evidence
from pipelines.memory import StoredMemories
from pipelines.narration import Narrating, NarrationSettings
from pipelines.ports import CaptionAnswer, Captioner, CaptionRequest, Record
from recipes.continuity.footage import StreamClip
from recipes.memory_store import MemoryStore

START_S = 1_700_000_000.0
EPOCH = 1_700_000_000_000

Tamper = Callable[[int, dict[str, TrackMemory]], dict[str, TrackMemory]]
"""Given a clip's number and the memories after it, the memories with which to go on."""


@dataclass(frozen=True)
class Scene:
    """One clip as the narrator takes it: its record, and its evidence as bytes."""

    record: ClipRecord
    evidence: bytes


def scene_of(camera_id: str, clip: StreamClip, masklets: Sequence[Masklet], closed: dict[str, str]) -> Scene:
    """A clip with its tracks, encoded as the tracker service stores them."""
    count, fps = len(clip.clip.frames), clip.clip.fps
    begin_s = START_S + clip.index * count / fps
    times = tuple(begin_s + t / fps for t in range(count))
    end_s = begin_s + count / fps
    pictures = tuple(clip.clip.frames)
    evidence = Evidence(
        camera_id, EPOCH, clip.index, begin_s, end_s, pictures, times, times, tuple(masklets), closed=closed
    )
    height, width = clip.clip.frames.shape[1:3]
    record = ClipRecord(
        clip_id=clip_id(camera_id, EPOCH, clip.index),
        camera_id=camera_id,
        epoch=EPOCH,
        index=clip.index,
        start_s=begin_s,
        end_s=end_s,
        frames=[ClipFrame(index=t, pts_s=at - START_S, time_s=at) for t, at in enumerate(times)],
        width_px=width,
        height_px=height,
        closed_by="full",
        source=SourceRange(partition=0, first_offset=clip.index, last_offset=clip.index),
        evidence_ref=f"clips/{camera_id}/{clip.index}/evidence.safetensors",
        track_ids=[masklet.track_id for masklet in masklets],
        model="truth",
        captured_at=end_s,
        committed_at=end_s,
    )
    return Scene(record, evidence.to_bytes())


class LocalCaptioner:
    """The captioner's port over a network in this process. The same question is answered from memory."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[tuple, CaptionAnswer] = {}
        self.asked = 0

    def describe(
        self, request: CaptionRequest, on_token: Callable[[str, float], bool] | None = None
    ) -> CaptionAnswer:
        self.asked += 1
        key = (request.request_id, tuple(request.times_s.tolist()), request.question)
        if key not in self._known:
            self._known[key] = self._answer(request)
        return self._known[key]

    def _answer(self, request: CaptionRequest) -> CaptionAnswer:
        heard: list[tuple[str, float]] = []

        def hear(piece: str, probability: float) -> bool:
            heard.append((piece, probability))
            return True

        answer = self._network.describe(
            Request(
                frames=request.pictures,
                times_s=request.times_s,
                masks=request.masks,
                mask_frames=request.mask_frames,
                objects=request.objects,
                instruction=request.question,
                max_new_tokens=request.max_new_tokens,
            ),
            hear,
        )
        pieces = tuple(piece for piece, _ in heard)
        return CaptionAnswer(
            "".join(pieces).strip(),
            pieces,
            tuple(probability for _, probability in heard),
            answer.finish,
            answer.prompt_tokens,
            answer.object_tokens,
        )


class _Clock:
    """Stands still at the time given: a slow machine must not cost words here."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def narrate(
    scenes: Sequence[Scene],
    captioner: Captioner,
    asking: Asking,
    describe: DescribeSettings,
    tamper: Tamper | None = None,
) -> list[Narration]:
    """Every narration of one camera's clips, those without a sentence among them."""
    store, clock = MemoryStore(), _Clock()
    narrating = Narrating(store, captioner, clock, asking, None, NarrationSettings(describe=describe))
    narrating.assigned(0, None, "")
    said: list[Narration] = []
    for offset, scene in enumerate(scenes):
        store.put(scene.record.evidence_ref, scene.evidence)
        clock.now_s = scene.record.committed_at
        record = Record(topics.CLIPS, 0, offset, 0, scene.record.camera_id, scene.record.to_bytes(), {})
        name = ""
        for commit in narrating.handle(record):
            said += [
                Narration.from_bytes(out.value) for out in commit.outputs if out.topic == topics.NARRATIONS
            ]
            _, name = commit.offsets[0]
        store.delete(scene.record.evidence_ref)
        if tamper is not None:
            narrating.assigned(0, offset + 1, _tampered(store, name, scene.record, tamper))
    return said


def _tampered(store: MemoryStore, name: str, record: ClipRecord, tamper: Tamper) -> str:
    """Rewrite the memories of a commit, as if they had been committed so; returns their new name."""
    stored = StoredMemories.from_bytes(store.get(name))
    before = {
        track: TrackMemory.from_json(m) for track, m in stored.cameras.get(record.camera_id, {}).items()
    }
    after = tamper(record.index, before)
    cameras = {**stored.cameras, record.camera_id: {track: m.to_json() for track, m in after.items()}}
    changed = stored.model_copy(update={"cameras": cameras})
    store.put(changed.name, changed.to_bytes())
    return changed.name


def believing(memory: TrackMemory, label: str, text: str) -> TrackMemory:
    """The memory as it would be, had the captioner called the object ``label`` from the first."""
    votes = tuple((label, weight) for _, weight in memory.card.votes[:1])
    return replace(memory, text=text, card=replace(memory.card.named(label), votes=votes))
