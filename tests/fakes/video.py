"""Small videos and segment records made on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np

from contracts.segments import HEADER, SegmentHeader
from contracts.topics import SEGMENTS
from pipelines.ports import Record

EPOCH_START_S = 1_700_000_000.0
MILLISECOND = Fraction(1, 1000)


def encode(
    pictures: Sequence[np.ndarray], times_s: Sequence[float], codec: str = "ffv1", **options: str
) -> bytes:
    """A Matroska file of RGB pictures at media times. ``ffv1`` keeps every value exactly."""
    target = io.BytesIO()
    with av.open(target, "w", format="matroska", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        for picture, time_s in zip(pictures, times_s, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s * 1000), MILLISECOND
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target.getvalue()


def squares(count: int, colours: Sequence[int] = (80, 160), size_px: tuple[int, int] = (96, 128)) -> list:
    """Pictures of squares (by their red value) that move to the right and back on black."""
    pictures = []
    for i in range(count):
        picture = np.zeros((*size_px, 3), np.uint8)
        for row, red in enumerate(colours):
            x, y = 8 + abs((2 * i + 76) % 152 - 76) + 16 * row, 12 + 40 * row
            picture[y : y + 24, x : x + 24] = (red, 255 - red, red)
        pictures.append(picture)
    return pictures


class Camera:
    """Makes the segment records of one camera's epoch, one second each."""

    def __init__(
        self,
        camera_id: str = "door",
        epoch_start_s: float = EPOCH_START_S,
        fps: int = 8,
        sample_fps: float = 4.0,
        picture_limit: int = 400,
        pictures: Sequence[np.ndarray] | None = None,
        memory_policy: str | None = None,
        find: tuple[str, ...] | None = None,
    ) -> None:
        self.camera_id, self.epoch_start_s, self.fps, self.sample_fps = (
            camera_id,
            epoch_start_s,
            fps,
            sample_fps,
        )
        self.seq, self.end_s = 0, epoch_start_s
        self._pictures = squares(picture_limit) if pictures is None else pictures
        self.memory_policy, self.find = memory_policy, find

    def segment(
        self, duration_s: float = 1.0, video: bytes | None = None, ref: str | None = None
    ) -> tuple[SegmentHeader, bytes]:
        """The next segment; ``video`` replaces what the camera saw."""
        start_s = self.end_s - self.epoch_start_s
        if video is None:
            first, count = round(start_s * self.fps), max(1, round(duration_s * self.fps))
            times = [start_s + i / self.fps for i in range(count)]
            video = encode(self._pictures[first : first + count], times)
        header = self._header(self.end_s, self.end_s + duration_s, ref=ref)
        self.end_s += duration_s
        return header, b"" if ref else video

    def end(self) -> tuple[SegmentHeader, bytes]:
        return self._header(self.end_s, self.end_s, end="end_of_file"), b""

    def _header(self, start_s: float, end_s: float, **more: object) -> SegmentHeader:
        self.seq += 1
        return SegmentHeader(
            camera_id=self.camera_id,
            epoch=round(self.epoch_start_s * 1000),
            seq=self.seq - 1,
            epoch_start_s=self.epoch_start_s,
            start_s=start_s,
            end_s=end_s,
            sample_fps=self.sample_fps,
            memory_policy=self.memory_policy,
            find=self.find,
            ingested_at=end_s,
            **more,
        )


def as_record(header: SegmentHeader, video: bytes, offset: int, partition: int = 0) -> Record:
    return Record(SEGMENTS, partition, offset, 0, header.camera_id, video, {HEADER: header.to_bytes()})
