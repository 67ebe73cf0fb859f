"""Put encoded packets into a container of their own without touching the encoding.

Matroska is used since it holds any codec and keeps media time: a segment cut from the middle of a stream still
carries the stream's own timestamps, where fragmented MP4 would start again at 0.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction

import av

MILLISECOND = Fraction(1, 1000)


def remux(
    packets: Iterable[av.Packet], template: av.VideoStream, base: int, container: str = "matroska"
) -> bytes:
    """Container bytes of the packets with ``base`` (in the template's time base) subtracted from their times.

    The first packet must be a key frame. Packets are left as they were.
    Raises av.error.FFmpegError when the codec cannot be held by the container.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options={"avoid_negative_ts": "disabled"}) as output:
        stream = output.add_stream_from_template(template)
        stream.time_base = template.time_base
        for packet in packets:
            kept = packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration
            packet.stream = stream
            packet.pts = None if packet.pts is None else packet.pts - base
            packet.dts = None if packet.dts is None else packet.dts - base
            output.mux(packet)
            packet.stream, packet.time_base, packet.pts, packet.dts, packet.duration = kept
    return buffer.getvalue()


def own_packets(packets: Sequence[av.Packet], end_s: float) -> list[av.Packet]:
    """A segment's packets without those at its end that the next one, from media time ``end_s`` on, begins with.

    They are there where pictures shown before that time are decoded after the next key frame.
    """
    border_s = end_s - 2 * float(MILLISECOND)
    for at, packet in enumerate(packets):
        if at and packet.is_keyframe and packet.pts is not None:
            if float(packet.pts * packet.time_base) >= border_s:
                return list(packets[:at])
    return list(packets)
