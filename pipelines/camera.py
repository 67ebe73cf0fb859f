"""One camera's segments, in order, to clips and holes that tile its time: decode, sample, chunk.

Keeps which segment records the clips not yet committed still need, so that the consumer's offset never passes
them; a record that comes again is recognised by its time and skipped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.segments import SegmentHeader
from operators.chunk import Chunker, ChunkerState, ChunkSettings, Hole
from operators.damage import Lost
from operators.decode import DecodeError, decode_segment
from operators.hardware import Hardware
from operators.sample import Sampler
from operators.types import Clip, Frame
from pipelines.checkpoint import CameraPosition

log = logging.getLogger(__name__)

TIME_SLACK_S = 0.002  # Matroska keeps milliseconds


class StaleEpoch(ValueError):
    """A record of an epoch that another one has followed: the camera's time went backwards."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """``max_side_px`` bounds the pictures kept; ``stall_s`` is how long a pending clip waits for its camera.

    From ``thin_after_s`` behind on every second frame is sampled, from three times that on every fourth; clips of a
    camera that is ``shed_after_s`` behind are not tracked but told as gaps. 0: never.
    """

    max_side_px: int = 640
    decode_threads: int = 1
    hardware: Hardware = field(default_factory=Hardware)
    stall_s: float = 10.0
    thin_after_s: float = 20.0
    shed_after_s: float = 0.0
    chunk: ChunkSettings = field(default_factory=ChunkSettings)


@dataclass(frozen=True, slots=True)
class Received:
    """A segment record that a clip may still need."""

    offset: int
    header: SegmentHeader
    video: bytes

    def lies_before(self, epoch: int, end_s: float) -> bool:
        """Whether some of it comes before the time."""
        return self.header.epoch == epoch and self.header.start_s < end_s

    def is_done_with(self, epoch: int, end_s: float) -> bool:
        """Whether all of it comes before the time."""
        return self.header.epoch < epoch or (self.header.epoch == epoch and self.header.end_s <= end_s)


@dataclass(frozen=True, slots=True)
class Span:
    """A clip or hole that is complete: the segments it was made from, and where the camera stands after it."""

    item: Clip | Hole
    segments: tuple[Received, ...]
    position: CameraPosition
    decode_s: float


class CameraStream:
    """Takes a camera's segments; gives what they complete. Create it from where the camera was committed last."""

    def __init__(
        self, camera_id: str, settings: StreamSettings, position: CameraPosition | None = None
    ) -> None:
        self.camera_id = camera_id
        self._settings = settings
        self._position = position
        self._parts: tuple[Chunker, Sampler] | None = None  # of the epoch at hand
        self._held: deque[Received] = deque()
        self._end_s = position.start_s if position else 0.0
        self._next_frame = position.next_frame if position else 0
        self._seen_offset = position.seen_offset if position else -1
        self._decode_s = 0.0
        self.arrived_at = 0.0
        self.stride = 1

    @property
    def needed_offset(self) -> int | None:
        """The smallest offset that a clip not yet given needs; None when nothing is held."""
        return self._held[0].offset if self._held else None

    def push(
        self, header: SegmentHeader, video: bytes | DecodeError, offset: int, now_s: float
    ) -> Iterator[Span]:
        """Take the next record. ``video`` is an error when its bytes could not be had."""
        replayed, self._seen_offset = offset <= self._seen_offset, max(offset, self._seen_offset)
        if header.epoch < self._epoch and not replayed:
            raise StaleEpoch(f"epoch {header.epoch} comes after epoch {self._epoch} of the same camera")
        if self._is_known(header):
            log.debug("camera %s: record at offset %d was seen before", self.camera_id, offset)
            return
        self.arrived_at = now_s
        if header.end is None:  # held from the start: no commit made on the way may pass it
            self._held.append(Received(offset, header, b"" if isinstance(video, DecodeError) else video))
        if self._parts is None or header.epoch != self._epoch:
            yield from self._begin_epoch(header)
        elif header.start_s > self._end_s + TIME_SLACK_S:
            yield from self._missing(header)
        if header.end is not None:
            yield from self._leave(self._chunker.end(max(header.end_s, self._end_s)))
            return
        self._end_s = header.end_s
        yield from self._decode(header, video)

    def close_stalled(self, now_s: float) -> Iterator[Span]:
        """Close the pending clip when its camera has sent nothing for too long."""
        if self._parts is not None and self._held and now_s - self.arrived_at >= self._settings.stall_s:
            yield from self._leave(self._chunker.end(self._end_s))

    def close_now(self) -> Iterator[Span]:
        """Close the pending clip: somebody waits for it."""
        if self.pending and self._held:
            yield from self._leave(self._chunker.end(self._end_s))

    @property
    def end_s(self) -> float:
        """Camera time up to which segments have been taken."""
        return self._end_s

    @property
    def _chunker(self) -> Chunker:
        assert self._parts is not None, "no segment of any epoch has come yet"
        return self._parts[0]

    @property
    def _sampler(self) -> Sampler:
        assert self._parts is not None, "no segment of any epoch has come yet"
        return self._parts[1]

    @property
    def _epoch(self) -> int:
        if self._parts is not None:
            return self._chunker.epoch
        return self._position.epoch if self._position else -1

    def _is_known(self, header: SegmentHeader) -> bool:
        """Whether everything in it has been taken: an older epoch, or time that is over."""
        if header.epoch != self._epoch:
            return header.epoch < self._epoch
        if header.end is not None:
            return header.end_s <= (self._chunker.start_s if self._parts else self._end_s)
        return header.end_s <= self._end_s + TIME_SLACK_S

    @property
    def pending(self) -> int:
        return self._chunker.pending if self._parts else 0

    def _begin_epoch(self, header: SegmentHeader) -> Iterator[Span]:
        """Close what an epoch without end marker left, and start at the record, or where we were committed."""
        if self._parts is not None:
            yield from self._leave(self._chunker.end(self._end_s))
        fps, position = header.sample_fps, self._position
        settings = chunk_settings(self._settings.chunk, fps)
        if position is not None and position.epoch == header.epoch:
            state = ChunkerState(self.camera_id, header.epoch, position.next_index, position.start_s)
            self._parts = Chunker.restore(state, settings), Sampler(fps, position.last_cell)
            if header.start_s > position.start_s + TIME_SLACK_S:
                yield from self._missing(header)
        else:
            self._parts = Chunker(self.camera_id, header.epoch, header.start_s, settings), Sampler(fps)
            self._next_frame, self._end_s = 0, header.start_s

    def _missing(self, header: SegmentHeader) -> Iterator[Span]:
        """Segments that never came: the pending clip ends where they should have begun."""
        yield from self._leave(self._chunker.end(self._end_s))
        cause = f"segments before number {header.seq} of the epoch never arrived"
        yield from self._leave(self._chunker.end(header.start_s, "undecodable", cause))

    def _decode(self, header: SegmentHeader, video: bytes | DecodeError) -> Iterator[Span]:
        """Decode the whole segment before any of it is used: it counts as a whole or not at all."""
        began = time.perf_counter()
        try:
            if isinstance(video, DecodeError):
                raise video
            lost: list[Lost] = []
            pictures = list(self._sampled(header, video, lost))
        except DecodeError as error:
            log.warning("camera %s: segment %d cannot be decoded: %s", self.camera_id, header.seq, error)
            start_s = max(header.start_s, self._chunker.start_s)
            yield from self._leave(self._chunker.end(start_s))
            yield from self._leave(self._chunker.end(header.end_s, "undecodable", str(error)))
            return
        self._decode_s += time.perf_counter() - began
        gaps = self._gaps(header, lost)
        for frame in pictures:
            while gaps and gaps[0].start_s <= frame.pts_s:
                yield from self._cut_out(header, gaps.pop(0))
            cell = self._sampler.cell(frame.pts_s)
            borders = (self._camera_s(header, cell), self._camera_s(header, cell + 1))
            yield from self._leave(self._chunker.push(frame, borders, header.end_s))
        for gap in gaps:
            yield from self._cut_out(header, gap)
        yield from self._leave(self._chunker.advance(header.end_s))

    def _gaps(self, header: SegmentHeader, lost: list[Lost]) -> list[Lost]:
        """Damage that left whole cells of the sampling grid without a picture; less costs no sample."""
        end_s, found = header.end_s - header.epoch_start_s, []
        for span in lost:
            until_s = end_s if span.end_s is None else min(span.end_s, end_s)
            cell = self._sampler.cell(span.start_s)
            if span.start_s - self._sampler.border_s(cell) > TIME_SLACK_S:
                cell += 1
            whole = self._sampler.border_s(cell + 1) <= until_s + TIME_SLACK_S
            level = logging.WARNING if whole else logging.INFO
            words = "camera %s: segment %d: no pictures from %.2f to %.2f s: %s"
            log.log(level, words, self.camera_id, header.seq, span.start_s, until_s, span.cause)
            if whole:
                found.append(Lost(span.start_s, until_s, span.cause))
        return found

    def _cut_out(self, header: SegmentHeader, gap: Lost) -> Iterator[Span]:
        """Close the pending clip where damage begins; the damage is a gap."""
        assert gap.end_s is not None
        if self._chunker.pending:
            yield from self._leave(self._chunker.end(header.epoch_start_s + gap.start_s))
        yield from self._leave(
            self._chunker.end(header.epoch_start_s + gap.end_s, "undecodable", gap.cause[:200])
        )

    def _sampled(self, header: SegmentHeader, video: bytes, lost: list[Lost]) -> Iterator[Frame]:
        before = self._sampler.last_cell, self._next_frame
        due = self._is_due(header)
        try:
            for picture in decode_segment(
                video, self._settings.decode_threads, lost, self._settings.hardware
            ):
                time_s = header.epoch_start_s + picture.pts_s
                if time_s < self._chunker.start_s - TIME_SLACK_S or time_s >= header.end_s - TIME_SLACK_S:
                    continue  # taken already; or the next segment's, here for what is shown before it
                if self._sampler.take(picture.pts_s, due, self.stride):
                    due = False
                    pixels = picture.rgb(self._settings.max_side_px)
                    yield Frame(pixels, picture.pts_s, time_s, self._next_frame)
                    self._next_frame += 1
        except DecodeError:
            self._sampler.last_cell, self._next_frame = before
            raise

    def _is_due(self, header: SegmentHeader) -> bool:
        """Whether the last clip ended inside its last frame's cell, so that the next picture begins the next clip."""
        cell_end_s = self._camera_s(header, self._sampler.last_cell + 1)
        return self._chunker.pending == 0 and cell_end_s > self._chunker.start_s + TIME_SLACK_S

    def _camera_s(self, header: SegmentHeader, cell: int) -> float:
        return header.epoch_start_s + self._sampler.border_s(cell)

    def _leave(self, items: list[Clip | Hole]) -> Iterator[Span]:
        for item in items:
            used = tuple(
                held for held in self._held if held.lies_before(item.epoch, item.end_s - TIME_SLACK_S)
            )
            while self._held and self._held[0].is_done_with(item.epoch, item.end_s + TIME_SLACK_S):
                self._held.popleft()
            decode_s, self._decode_s = self._decode_s, 0.0
            self._position = self._after(item)
            yield Span(item, used, self._position, decode_s)

    def _after(self, item: Clip | Hole) -> CameraPosition:
        """Where the camera stands once the item is committed; what follows is decoded again after a restart."""
        before = self._position
        if before is None or before.epoch != item.epoch:
            before = CameraPosition(camera_id=self.camera_id, epoch=item.epoch, start_s=item.start_s)
        here = {"start_s": item.end_s, "seen_offset": self._seen_offset}
        if isinstance(item, Hole):
            return before.model_copy(update=here)
        last = item.frames[-1]
        return before.model_copy(
            update={
                **here,
                "next_index": item.index + 1,
                "last_cell": self._sampler.cell(last.pts_s),
                "next_frame": last.index + 1,
            }
        )


def stride_of(lag_s: float, before: int, thin_after_s: float) -> int:
    """How thinly to sample a camera that is so far behind; back to all only when it has caught up by half."""
    if thin_after_s <= 0:
        return 1
    wanted = 4 if lag_s >= 3 * thin_after_s else 2 if lag_s >= thin_after_s else 1
    return max(wanted, before if lag_s > thin_after_s / 2 else 1)


def chunk_settings(base: ChunkSettings, fps: float) -> ChunkSettings:
    """The same limits, but a clip lasts long enough for a few frames when they are sampled slowly."""
    return ChunkSettings(
        base.max_frames,
        max(base.max_duration_s, 4.0 / fps),
        base.cut_grey,
        base.cut_colour,
        base.min_frames_before_cut,
    )
