"""Publish one epoch (one unbroken run of a camera's video): its segments, then its end marker."""

from __future__ import annotations

import av

from contracts import segments, topics
from contracts.cameras import CameraSettings
from contracts.events import Gap, gap_id
from contracts.segments import EndCause, SegmentHeader
from operators.remux import remux
from pipelines.ingest import CutSegment
from pipelines.ports import Clock, ObjectStore
from services.ingest.delivery import Delivery
from services.ingest.source import Source


class Epoch:
    """Segments follow one another without holes; ``end_s`` is the camera time up to which video was published."""

    def __init__(
        self,
        camera: CameraSettings,
        source: Source,
        start_s: float,
        delivery: Delivery,
        store: ObjectStore,
        clock: Clock,
    ) -> None:
        """``start_s`` is the camera time of media time 0."""
        self.camera, self.source, self.start_s = camera, source, start_s
        self.delivery, self.store, self.clock = delivery, store, clock
        self.number = round(start_s * 1000)
        self.seq = 0
        self.end_s: float | None = None

    def write(self, segment: CutSegment[av.Packet]) -> SegmentHeader:
        """Remux and publish one segment; video too large for the topic goes to the object store first."""
        base = self.source.base
        video = remux((p.payload for p in segment.packets), self.source.stream, base)
        ref = None
        if len(video) > segments.INLINE_LIMIT_BYTES:
            ref = f"segments/{self.camera.camera_id}/{self.number}/{segment.seq:08d}.mkv"
            name, large = ref, video
            self.delivery.insist(lambda: self.store.put(name, large, "video/x-matroska"), f"store {ref}")
        header = self._header(self.start_s + segment.start_s, self.start_s + segment.end_s).model_copy(
            update={"packets": len(segment.packets), "size_bytes": len(video), "ref": ref}
        )
        self._publish(header, b"" if ref else video)
        self.end_s = header.end_s
        return header

    def finish(self, cause: EndCause, words: str | None) -> None:
        """Publish the end marker, so that the tracker closes the last clip. Nothing when no segment was written."""
        if self.end_s is None:
            return
        header = self._header(self.end_s, self.end_s)
        self._publish(header.model_copy(update={"end": cause, "cause": words and words[:500]}), b"")

    def _header(self, start_s: float, end_s: float) -> SegmentHeader:
        context = self.source.stream.codec_context
        return SegmentHeader.model_construct(
            camera_id=self.camera.camera_id,
            epoch=self.number,
            seq=self.seq,
            epoch_start_s=self.start_s,
            start_s=self.end_s if self.end_s is not None else start_s,
            end_s=end_s,
            codec=context.name,
            width_px=context.width,
            height_px=context.height,
            packets=0,
            size_bytes=0,
            sample_fps=self.camera.sample_fps,
            memory_policy=self.camera.memory_policy,
            find=self.camera.find,
            ref=None,
            end=None,
            cause=None,
            ingested_at=self.clock.now(),
        )

    def _publish(self, header: SegmentHeader, video: bytes) -> None:
        headers = {segments.HEADER: header.to_bytes()}
        self.delivery.publish(topics.SEGMENTS, self.camera.camera_id, video, headers)
        self.seq += 1


def publish_gap(
    delivery: Delivery,
    camera_id: str,
    epoch: int,
    start_s: float,
    end_s: float,
    reason: str,
    cause: str | None,
) -> None:
    """Record camera time [start_s, end_s) for which there is no video."""
    gap = Gap(
        gap_id=gap_id(camera_id, start_s),
        camera_id=camera_id,
        epoch=epoch,
        start_s=start_s,
        end_s=end_s,
        reason=reason,  # type: ignore[arg-type]  # checked by pydantic
        cause=cause and cause[:500],
    )
    delivery.publish(topics.GAPS, camera_id, gap.to_bytes())
