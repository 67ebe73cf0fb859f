"""Splice the encoded video of a span of time out of its segments, without re-encoding."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import av

from operators.remux import own_packets

KEEP_TIMES = {"avoid_negative_ts": "disabled"}


def splice_segments(segments: Sequence[bytes], end_s: float) -> bytes:
    """One Matroska file: everything from the first segment's key frame up to media time ``end_s``.

    The segments follow each other and have the same codec. Packets are kept in order of decoding up to the last
    one shown before ``end_s``, so that every picture before it can be decoded. Time stamps stay as they are.
    Raises ValueError when there is no video in them or it cannot be written.
    """
    if not segments:
        raise ValueError("splice: no segments")
    target = io.BytesIO()
    try:
        with av.open(target, "w", format="matroska", options=KEEP_TIMES) as out:
            written = _write(out, segments, end_s)
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"splice: {error}") from error
    if not written:
        raise ValueError("splice: no packet before the end")
    return target.getvalue()


def _write(out: av.container.OutputContainer, segments: Sequence[bytes], end_s: float) -> int:
    stream, parts = None, []
    for data in segments:
        with av.open(io.BytesIO(data), format="matroska") as source:
            if not source.streams.video:
                raise ValueError("splice: a segment holds no video")
            template = source.streams.video[0]
            stream = stream or out.add_stream_from_template(template)
            parts.append([p for p in source.demux(template) if p.size and p.pts is not None])
    packets = list(_before(_joined(parts), end_s))
    _order(packets)
    for packet in packets:
        packet.stream = stream
        out.mux(packet)
    return len(packets)


def _joined(parts: Sequence[Sequence[av.Packet]]) -> Iterator[av.Packet]:
    """The packets of all segments, each once."""
    for part, after in zip_longest(parts, parts[1:]):
        begin_s = float(after[0].pts * after[0].time_base) if after else math.inf
        yield from own_packets(part, begin_s)


def _order(packets: list[av.Packet]) -> None:
    """Give packets decoding times that a muxer accepts: never falling, never after the presentation.

    Matroska keeps presentation times only; each segment's reader guesses the others from its own beginning.
    """
    soonest: int | None = None
    for packet in reversed(packets):
        soonest = packet.pts if soonest is None else min(soonest, packet.pts)
        packet.dts = soonest


def _before(packets: Iterable[av.Packet], end_s: float) -> Iterator[av.Packet]:
    """Packets up to the last one shown before ``end_s``; later ones in between are needed to decode it."""
    held: list[av.Packet] = []
    for packet in packets:
        held.append(packet)
        if float(packet.pts * packet.time_base) < end_s:
            yield from held
            held = []
