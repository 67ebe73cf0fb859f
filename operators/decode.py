"""Decode one segment: encoded video in memory to pictures in order of presentation.

Only Matroska is opened, from bytes, so hostile input can neither name files nor addresses. The number and size of
pictures are limited; conversion to RGB waits until a picture is wanted, since most are never sampled.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np

MAX_SOURCE_PIXELS = 8192 * 4608
MAX_PICTURES = 3600
NOMINAL_FPS = 25.0


class DecodeError(ValueError):
    """The segment holds no usable video; the text says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, not yet converted. ``pts_s`` is media time inside the epoch."""

    pts_s: float
    _source: av.VideoFrame

    def rgb(self, max_side_px: int) -> np.ndarray:
        """RGB uint8 [H, W, 3], shrunk so that the longer side is at most ``max_side_px`` (never enlarged)."""
        width, height = fitted_size(self._source.width, self._source.height, max_side_px)
        return self._source.reformat(width=width, height=height, format="rgb24").to_ndarray()


def fitted_size(width_px: int, height_px: int, max_side_px: int) -> tuple[int, int]:
    """(width, height) of the picture once its longer side fits; even numbers when it must shrink."""
    longest = max(width_px, height_px)
    if longest <= max_side_px:
        return width_px, height_px
    scale = max_side_px / longest
    return max(2, round(width_px * scale / 2) * 2), max(2, round(height_px * scale / 2) * 2)


def decode_segment(data: bytes, threads: int = 1) -> Iterator[Picture]:
    """Pictures in order of presentation; pictures that cannot be decoded are left out.

    A picture without a time stamp gets the one before plus a nominal duration; one not later than the picture
    before is dropped. Raises DecodeError when nothing can be decoded or a limit is passed.
    """
    count, last_s, fault = 0, float("-inf"), "no picture in it"
    try:
        with av.open(io.BytesIO(data), format="matroska") as container:
            stream = _video_stream(container, threads)
            step_s = 1.0 / float(stream.average_rate or NOMINAL_FPS)
            for source, error in _frames(container, stream):
                if source is None:
                    fault = str(error)
                    continue
                _check_size(source)
                pts_s = last_s + step_s if source.pts is None else float(source.pts * source.time_base)
                if source.pts is None and count == 0:
                    pts_s = 0.0
                if pts_s <= last_s:
                    continue
                count, last_s = count + 1, pts_s
                if count > MAX_PICTURES:
                    raise DecodeError(f"more than {MAX_PICTURES} pictures in one segment")
                yield Picture(pts_s, source)
    except (av.FFmpegError, OSError) as error:
        raise DecodeError(f"not readable as Matroska video: {_brief(error)}") from error
    if count == 0:
        raise DecodeError(f"nothing could be decoded: {fault}")


def _video_stream(container: av.container.InputContainer, threads: int) -> av.VideoStream:
    if not container.streams.video:
        raise DecodeError("no video stream in it")
    stream = container.streams.video[0]
    _check_size(stream.codec_context)
    stream.codec_context.thread_count = threads
    stream.thread_type = "AUTO" if threads > 1 else "NONE"
    return stream


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[av.VideoFrame | None, Exception | None]]:
    """Every frame, and in its place the error for each packet that the decoder refuses."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:  # a truncated file: what came before is good
            yield None, error
            return
        try:
            for frame in packet.decode():
                yield frame, None
        except av.FFmpegError as error:
            yield None, error


def _check_size(picture: av.VideoFrame | av.VideoCodecContext) -> None:
    if picture.width * picture.height > MAX_SOURCE_PIXELS:
        raise DecodeError(f"pictures of {picture.width} x {picture.height} are larger than allowed")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
