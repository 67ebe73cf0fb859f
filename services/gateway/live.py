"""The live picture: a camera's segments as one endless fragmented MP4, never re-encoded, in step with its masks.

A segment is held back until the tracker has accounted for its time (or HOLD_S passed), so that a viewer always
has the masks of the picture it is shown. A new epoch ends the stream; the viewer opens the next one.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import av
from kafka import TopicPartition

from contracts import topics
from contracts.base import InvalidMessage
from contracts.segments import HEADER, SegmentHeader
from operators.remux import own_packets
from pipelines.ports import ObjectMissing, ObjectStore, StoreUnavailable
from services.adapters.kafka import committed_consumer
from services.gateway.feed import Feed

log = logging.getLogger("streamrefer.gateway")

KEEP_S = 40.0
HOLD_S = 12.0
PLAYABLE = {"h264": "avc1", "av1": "av01", "vp9": "vp09"}
MP4_OPTIONS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
CLOCK = Fraction(1, 90_000)


@dataclass(frozen=True, slots=True)
class Held:
    """One segment in memory. ``offset`` orders the segments of a camera."""

    offset: int
    header: SegmentHeader
    video: bytes
    arrived_s: float


class Unplayable(Exception):
    """There is no picture a browser can show: no segment yet, or a codec it does not know."""


class LiveSegments:
    """The last KEEP_S seconds of every camera's segments, read by one thread for all viewers."""

    def __init__(self, bootstrap: str, store: ObjectStore, feed: Feed) -> None:
        self.bootstrap, self.store, self.feed = bootstrap, store, feed
        self.held: dict[str, deque[Held]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        self._thread.join(timeout_s)

    def released(self, camera_id: str, after: int) -> list[Held]:
        """Segments behind ``after`` whose masks are known, or that waited long enough."""
        until_s = self.feed.tracked_until_s.get(camera_id, 0.0)
        now = time.time()
        out: list[Held] = []
        for held in list(self.held.get(camera_id, ())):
            if held.header.end_s > until_s + 1e-3 and now - held.arrived_s < HOLD_S:
                break
            if held.offset > after:
                out.append(held)
        return out

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except Exception:
                log.exception("live picture starts anew in 1 s")
                self._stopping.wait(1.0)

    def _read(self) -> None:
        consumer = committed_consumer(self.bootstrap, max_poll_records=20)
        try:
            parts = [
                TopicPartition(topics.SEGMENTS, p) for p in consumer.partitions_for_topic(topics.SEGMENTS)
            ]
            consumer.assign(parts)
            found = consumer.offsets_for_times({p: int((time.time() - KEEP_S) * 1000) for p in parts})
            ends = consumer.end_offsets(parts)
            for part in parts:
                consumer.seek(part, found[part].offset if found.get(part) else ends[part])
            while not self._stopping.is_set():
                for records in consumer.poll(timeout_ms=200).values():
                    for record in records:
                        self._take(record)
        finally:
            consumer.close()

    def _take(self, record) -> None:
        try:
            header = SegmentHeader.from_bytes(dict(record.headers or ()).get(HEADER))
            video = self.store.get(header.ref) if header.ref else record.value or b""
        except (InvalidMessage, ObjectMissing, StoreUnavailable):
            return  # the tracker accounts for it; here it is only not shown
        ring = self.held.setdefault(header.camera_id, deque())
        ring.append(Held(record.offset, header, video, time.time()))
        while ring and ring[0].header.end_s < header.end_s - KEEP_S:
            ring.popleft()


class Sink:
    """A file that can only be written: the muxer must not seek in what viewers already have."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


class Fragments:
    """An fMP4 muxer fed with whole segments. Media time 0 is camera time ``base_s``."""

    def __init__(self, first: Held) -> None:
        self._sink = Sink()
        self._last_decode = -(1 << 62)
        self._output = av.open(self._sink, "w", format="mp4", options=MP4_OPTIONS)
        with av.open(io.BytesIO(first.video)) as container:
            video = container.streams.video[0]
            self.codec = codec_string(video)
            self._stream = self._output.add_stream_from_template(video)
            times = [packet.pts for packet in _own(container, first.header)]
            late = max(d - p for d, p in zip(sorted(times), times, strict=True))
            self._delay = round(late * video.time_base / CLOCK)
        self._stream.time_base = CLOCK
        self.base_s = first.header.start_s - float(
            self._delay * CLOCK
        )  # decoding begins at 0, showing a little later

    def add(self, held: Held) -> bytes:
        """Bytes that became ready with this segment."""
        shift = round((held.header.epoch_start_s - self.base_s) / CLOCK)
        with av.open(io.BytesIO(held.video)) as container:
            packets = _own(container, held.header)
            times = [round(p.pts * p.time_base / CLOCK) + shift for p in packets]
            for packet, pts, dts in zip(packets, times, self._decode_times(times), strict=True):
                packet.stream, packet.time_base = self._stream, CLOCK
                packet.pts, packet.dts, packet.duration = pts, dts, 0
                self._output.mux(packet)
        return self._sink.drain()

    def _decode_times(self, times: list[int]) -> list[int]:
        """Matroska keeps no decoding times: presentation times in order, earlier by the stream's reordering delay."""
        ordered = sorted(times)
        decode: list[int] = []
        for place, pts in zip(ordered, times, strict=True):
            self._last_decode = max(min(place - self._delay, pts), self._last_decode + 1)
            decode.append(self._last_decode)
        return decode

    def close(self) -> bytes:
        self._output.close()
        return self._sink.drain()


def _own(container: av.container.InputContainer, header: SegmentHeader) -> list[av.Packet]:
    """The packets of a segment, without what it holds of the next one."""
    packets = [p for p in container.demux(video=0) if p.size and p.pts is not None]
    return own_packets(packets, header.end_s - header.epoch_start_s)


def codec_string(stream: av.VideoStream) -> str:
    """The codec as a browser's ``codecs=`` parameter wants it (RFC 6381). Raises Unplayable."""
    name = stream.codec_context.name
    if name not in PLAYABLE and not name.startswith("libdav1d"):
        raise Unplayable(f"browsers cannot show {name} video")
    extra = stream.codec_context.extradata or b""
    if name == "h264" and len(extra) >= 4 and extra[0] == 1:
        return f"avc1.{extra[1]:02x}{extra[2]:02x}{extra[3]:02x}"
    return {"h264": "avc1.64001f", "vp9": "vp09.00.41.08"}.get(name, "av01.0.08M.08")
