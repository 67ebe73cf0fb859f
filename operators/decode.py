"""Decode one segment: encoded video in memory to pictures in order of presentation, upright.

Only Matroska is opened, from bytes, so hostile input can neither name files nor addresses. The number and size of
pictures are limited; conversion to RGB waits until a picture is wanted, since most are never sampled.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from operators.damage import Lost, Packet, doubtful, is_damage, lost_spans
from operators.hardware import OFF, Hardware

MAX_SOURCE_PIXELS = 8192 * 4608
MAX_PICTURES = 3600
NOMINAL_FPS = 25.0
STRICT = {"err_detect": "explode"}
"""Damaged parts of a picture are an error, where the decoder would else paint over them and say nothing."""
SILENT = "the decoder gave no picture"
_NO_HARDWARE = Hardware()


class DecodeError(ValueError):
    """The segment holds no usable video; the text says why."""


class _Flawed(Exception):
    """Something was refused: the segment has to be looked at with care."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, not yet converted. ``pts_s`` is media time inside the epoch."""

    pts_s: float
    _source: av.VideoFrame

    def rgb(self, max_side_px: int) -> np.ndarray:
        """RGB uint8 [H, W, 3] as it is to be seen, turned where the video says so.

        Shrunk so that the longer side is at most ``max_side_px``, never enlarged.
        """
        width, height = fitted_size(self._source.width, self._source.height, max_side_px)
        pixels = self._source.reformat(width=width, height=height, format="rgb24").to_ndarray()
        quarters = round(self._source.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def fitted_size(width_px: int, height_px: int, max_side_px: int) -> tuple[int, int]:
    """(width, height) of the picture once its longer side fits; even numbers when it must shrink."""
    longest = max(width_px, height_px)
    if longest <= max_side_px:
        return width_px, height_px
    scale = max_side_px / longest
    return max(2, round(width_px * scale / 2) * 2), max(2, round(height_px * scale / 2) * 2)


def decode_segment(
    data: bytes, threads: int = 1, lost: list[Lost] | None = None, hardware: Hardware = _NO_HARDWARE
) -> Iterator[Picture]:
    """Pictures in order of presentation; those that cannot be decoded, or only from damaged ones, are left out.

    ``lost`` gets the stretches of time that are without pictures for that reason, when the last picture has been
    given. Video without times of presentation is shown in order at the times at which it is decoded. Raises
    DecodeError when nothing can be decoded or a limit is passed.
    """
    try:
        plan = _Plan.of(data)
        given: list[float] = []
        try:
            for picture in _flawless(plan, threads, hardware):
                given.append(picture.pts_s)
                yield picture
        except _Flawed:
            done_s = given[-1] if given else float("-inf")
            for picture in _careful(plan, hardware):
                if picture.pts_s > done_s:
                    given.append(picture.pts_s)
                    yield picture
    except (av.FFmpegError, OSError) as error:
        raise DecodeError(f"not readable as Matroska video: {_brief(error)}") from error
    if not given:
        raise DecodeError(f"nothing could be decoded: {plan.fault}")
    if lost is not None:
        lost += plan.lost(given)


@dataclass
class _Plan:
    """A segment's packets as the container lists them: nothing is decoded yet.

    ``straight``: times rise in order of decoding, as they do without reordering, and where a container gave times of
    decoding for want of others. ``fault``: what went wrong last, in words.
    """

    data: bytes
    unit: Fraction
    packets: list[Packet]
    fault: str = SILENT
    torn: bool = False  # the container breaks off
    straight: bool = field(init=False)

    def __post_init__(self) -> None:
        stamps = [packet.pts for packet in self.packets]
        self.straight = all(a < b for a, b in zip(stamps, stamps[1:], strict=False))

    @staticmethod
    def of(data: bytes) -> _Plan:
        """Raises DecodeError where there is no video, av.FFmpegError where nothing can be read."""
        with av.open(io.BytesIO(data), format="matroska") as container:
            stream = _video_stream(container, 1, {})
            unit = stream.time_base or Fraction(1, 1000)
            plan = _Plan(data, unit, [])
            step = max(1, round(1 / (float(stream.average_rate or NOMINAL_FPS) * unit)))
            for number, packet in enumerate(_packets(container, stream, plan)):
                last = plan.packets[-1].pts if plan.packets else -step
                stamp = last + step if packet.pts is None else packet.pts
                plan.packets.append(Packet(stamp, packet.is_keyframe))
                if number >= MAX_PICTURES:
                    raise DecodeError(f"more than {MAX_PICTURES} pictures in one segment")
        plan.__post_init__()
        return plan

    def lost(self, given_s: list[float]) -> list[Lost]:
        """Stretches of time without pictures. Time before the first key frame belongs to the segment before."""
        first = self.packets[0].pts
        times = [float(packet.pts * self.unit) for packet in self.packets if packet.pts >= first]
        spans = lost_spans(times, given_s, self.fault)
        if self.torn:
            spans.append(Lost(max(times) + 0.001, None, self.fault))
        return spans


def _flawless(plan: _Plan, threads: int, hardware: Hardware) -> Iterator[Picture]:
    """Pictures as long as nothing is wrong. Raises _Flawed at the first thing that is."""

    def refused(stamp: int, error: Exception) -> None:
        plan.fault = _brief(error)
        raise _Flawed

    with hardware.open(plan.data) as container:
        yield from _timed(plan, container, _video_stream(container, threads, STRICT), refused)
    if plan.torn:
        raise _Flawed


def _careful(plan: _Plan, hardware: Hardware) -> Iterator[Picture]:
    """What can be trusted of a segment with damage, one thread and in software: refusals are told where they belong."""
    fault = plan.fault
    strict, plain = _refusals(plan, STRICT), _refusals(plan, {})
    if not strict and not plan.torn and hardware.kind != OFF:
        hardware.give_up(DecodeError(fault))  # software finds nothing wrong with it
    bad = doubtful(plan.packets, plain | (strict if is_damage(plan.packets, strict) else set()))
    with av.open(io.BytesIO(plan.data), format="matroska") as container:
        stream = _video_stream(container, 1, {})
        yield from _timed(plan, container, stream, lambda stamp, error: None, bad)


def _refusals(plan: _Plan, options: dict[str, str]) -> set[int]:
    """Time stamps of the packets that a decoder with these options refuses."""
    found: set[int] = set()
    with av.open(io.BytesIO(plan.data), format="matroska") as container:
        for _, stamp, error in _frames(plan, container, _video_stream(container, 1, options)):
            if error is not None:
                found.add(stamp)
                plan.fault = _brief(error)
    return found


def _timed(
    plan: _Plan,
    container: av.container.InputContainer,
    stream: av.VideoStream,
    refused: Callable[[int, Exception], None],
    bad: set[int] | None = None,
) -> Iterator[Picture]:
    """Pictures with their times, rising; without those whose time stamp is ``bad`` or that say they are corrupt."""
    waiting: list[int] = []
    last_s = float("-inf")
    for frame, stamp, error in _frames(plan, container, stream):
        if error is not None:
            refused(stamp, error)
            waiting = [other for other in waiting if other != stamp]
            heapq.heapify(waiting)
        if frame is None:
            if error is None:
                heapq.heappush(waiting, stamp)
            continue
        _check_size(frame)
        own = stamp if frame.pts is None else frame.pts
        ordered = plan.straight and stream.codec_context.reorder_depth > 0 and bool(waiting)
        pts_s = float((heapq.heappop(waiting) if ordered else own) * plan.unit)
        if frame.is_corrupt or own in (bad or ()) or pts_s <= last_s:
            continue
        last_s = pts_s
        yield Picture(pts_s, frame)


def _frames(
    plan: _Plan, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[tuple[av.VideoFrame | None, int, Exception | None]]:
    """For each packet its time stamp alone as it goes in, then every frame that comes out, or the decoder's refusal."""
    stamp, first = 0, plan.packets[0].pts if plan.packets else 0
    for number, packet in enumerate(_packets(container, stream, plan)):
        stamp = plan.packets[number].pts
        if stamp < first:  # shown before the key frame, predicted from pictures that are not here
            continue
        packet.pts = stamp
        yield None, stamp, None
        try:
            for frame in packet.decode():
                yield frame, stamp, None
        except av.FFmpegError as error:
            yield None, stamp, error
    try:
        for frame in stream.codec_context.decode(None):
            yield frame, stamp, None
    except av.FFmpegError as error:
        yield None, stamp, error


def _packets(
    container: av.container.InputContainer, stream: av.VideoStream, plan: _Plan
) -> Iterator[av.Packet]:
    """Packets with something in them; what came before the place where the container breaks off is good."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            plan.torn, plan.fault = True, _brief(error)
            return
        if packet.size:
            yield packet


def _video_stream(
    container: av.container.InputContainer, threads: int, options: dict[str, str]
) -> av.VideoStream:
    if not container.streams.video:
        raise DecodeError("no video stream in it")
    stream = container.streams.video[0]
    _check_size(stream.codec_context)
    stream.codec_context.options = options
    stream.codec_context.thread_count = threads
    stream.thread_type = "AUTO" if threads > 1 else "NONE"
    return stream


def _check_size(picture: av.VideoFrame | av.VideoCodecContext) -> None:
    if picture.width * picture.height > MAX_SOURCE_PIXELS:
        raise DecodeError(f"pictures of {picture.width} x {picture.height} are larger than allowed")


def _brief(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error)  # without number and function
    return " ".join(words.split())[:200] or type(error).__name__
