"""A tracked clip as objects to store and messages to send, under names derived from the clip."""

from __future__ import annotations

import logging

from contracts import topics
from contracts.clips import ClipRecord, SourceRange, clip_id
from operators.splice import splice_segments
from operators.types import Clip, TrackedClip
from pipelines.camera import Span
from pipelines.checkpoint import Artefact, clip_folder
from pipelines.evidence import Evidence, best_look, safe_name
from pipelines.ports import Output
from pipelines.translate import clip_frames, output, outputs_of, rounded, track_events, track_update

log = logging.getLogger(__name__)


class Telling:
    """A tracked clip as objects to store and messages to send."""

    def __init__(
        self,
        tracked: TrackedClip,
        span: Span,
        partition: int,
        model: str,
        checkpoint_ref: str,
        mark: str = "",
    ) -> None:
        """``mark`` names the prompts that took effect in the clip."""
        clip = tracked.clip
        self._tracked, self._span, self._partition = tracked, span, partition
        self._model, self._checkpoint_ref = model, checkpoint_ref
        self._folder = folder_of(clip, mark)
        looks = (best_look(tracked, masklet) for masklet in tracked.masklets)
        self._looks = {look.track_id: look for look in looks if look is not None}
        self._video = self._spliced()
        self.clip_id = clip_id(clip.camera_id, clip.epoch, clip.index)

    def __str__(self) -> str:
        clip, source = self._tracked.clip, self.source
        return (
            f"clip {self.clip_id}: {len(clip.frames)} frames, {len(self._tracked.masklets)} tracks, "
            f"closed by {clip.closed_by}, offsets {source.first_offset} to {source.last_offset}"
        )

    @property
    def source(self) -> SourceRange:
        offsets = [held.offset for held in self._span.segments] or [0]
        return SourceRange(partition=self._partition, first_offset=min(offsets), last_offset=max(offsets))

    def artefacts(self) -> tuple[Artefact, ...]:
        found = [Artefact(self._evidence_ref, Evidence.of(self._tracked).to_bytes())]
        if self._video is not None:
            found.append(Artefact(self._video_ref, self._video, "video/x-matroska"))
        for track_id, look in self._looks.items():
            found.append(Artefact(self._crop_ref(track_id), look.crop, "image/jpeg"))
            found.append(Artefact(self._mask_ref(track_id), look.mask, "image/png"))
        return tuple(found)

    def outputs(self, stages: dict[str, float], now_s: float) -> tuple[Output, ...]:
        clip, camera_id = self._tracked.clip, self._tracked.clip.camera_id
        tracks = [
            track_update(
                clip,
                masklet,
                self._crop_ref(masklet.track_id) if masklet.track_id in self._looks else None,
                self._mask_ref(masklet.track_id) if masklet.track_id in self._looks else None,
            )
            for masklet in self._tracked.masklets
        ]
        return (
            *outputs_of(topics.TRACKS, camera_id, tracks),
            *outputs_of(topics.EVENTS, camera_id, track_events(self._tracked)),
            output(topics.CLIPS, camera_id, self._record(stages, now_s)),
        )

    def _record(self, stages: dict[str, float], now_s: float) -> ClipRecord:
        clip = self._tracked.clip
        height, width = clip.frames[0].pixels.shape[:2]
        return ClipRecord(
            clip_id=self.clip_id,
            camera_id=clip.camera_id,
            epoch=clip.epoch,
            index=clip.index,
            start_s=clip.start_s,
            end_s=clip.end_s,
            frames=clip_frames(clip),
            width_px=width,
            height_px=height,
            closed_by=clip.closed_by,
            source=self.source,
            evidence_ref=self._evidence_ref,
            video_ref=self._video_ref if self._video is not None else None,
            checkpoint_ref=self._checkpoint_ref,
            track_ids=[masklet.track_id for masklet in self._tracked.masklets],
            names={m.track_id: m.name for m in self._tracked.masklets if m.name} or None,
            model=self._model,
            captured_at=max((held.header.ingested_at for held in self._span.segments), default=now_s),
            committed_at=now_s,
            stage_s=rounded(stages),
        )

    def _spliced(self) -> bytes | None:
        clip, segments = self._tracked.clip, self._span.segments
        if not segments:
            return None
        try:
            return splice_segments(
                [held.video for held in segments], clip.end_s - segments[0].header.epoch_start_s
            )
        except ValueError as error:
            log.warning("camera %s: clip %d has no video: %s", clip.camera_id, clip.index, error)
            return None

    @property
    def _evidence_ref(self) -> str:
        return evidence_name(self._folder)

    @property
    def _video_ref(self) -> str:
        return f"{self._folder}/video.mkv"

    def _crop_ref(self, track_id: str) -> str:
        return f"{self._folder}/{safe_name(track_id)}.jpg"

    def _mask_ref(self, track_id: str) -> str:
        return f"{self._folder}/{safe_name(track_id)}.png"


def folder_of(clip: Clip, mark: str = "") -> str:
    """Where a clip's objects are."""
    return clip_folder(clip.camera_id, clip.epoch, clip.index, clip.end_s, mark)


def evidence_name(folder: str) -> str:
    """The evidence of the clip of that folder."""
    return f"{folder}/evidence.safetensors"
