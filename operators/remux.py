"""Put encoded packets into a container of their own without touching the encoding.

Matroska is used since it holds any codec and keeps media time: a segment cut from the middle of a stream still
carries the stream's own timestamps, where fragmented MP4 would start again at 0.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction

import av

MILLISECOND = Fraction(1, 1000)


def remux(
    packets: Iterable[av.Packet], template: av.VideoStream, base: int, container: str = "matroska"
) -> bytes:
    """Container bytes of the packets with ``base`` (in the template's time base) subtracted from their times.

    The first packet must be a key frame. Packets are consumed: their stream and times are rewritten.
    Raises av.error.FFmpegError when the codec cannot be held by the container.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options={"avoid_negative_ts": "disabled"}) as output:
        stream = output.add_stream_from_template(template)
        stream.time_base = template.time_base
        for packet in packets:
            packet.stream = stream
            packet.pts = None if packet.pts is None else packet.pts - base
            packet.dts = None if packet.dts is None else packet.dts - base
            output.mux(packet)
    return buffer.getvalue()
