"""Cut one connection's packets into segments that start at key frames. No clock, no wire: feed, then ask.

``SegmentCutter.push`` takes packets in decoding order and gives back what became certain: a finished segment, or
a break (time stamps jumped, the picture changed, the key frame did not come) after which a new epoch must begin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P")

TARGET_S = 1.0
MAX_SEGMENT_S = 30.0
MAX_SEGMENT_BYTES = 32_000_000
MAX_JUMP_S = 10.0
KEY_FRAME_WAIT_S = 10.0
SLACK_S = 1e-3


@dataclass(frozen=True, slots=True)
class TimedPacket(Generic[P]):
    """A packet with its media time in seconds; ``payload`` is whatever the remuxer wants back."""

    pts_s: float
    dts_s: float
    duration_s: float
    key: bool
    size_bytes: int
    payload: P


@dataclass(frozen=True, slots=True)
class CutSegment(Generic[P]):
    """Packets from one key frame up to the next; covers media time [start_s, end_s).

    Where pictures are shown before the next key frame but decoded after it (an open group of pictures), that key frame
    and they follow at the end: they need what is in this segment. The next segment begins with them again.
    """

    seq: int
    start_s: float
    end_s: float
    packets: tuple[TimedPacket[P], ...]


@dataclass(frozen=True, slots=True)
class Break:
    """The epoch ends here, with its cause in words; packets are refused until ``SegmentCutter.restart``."""

    cause: str


@dataclass
class SegmentCutter(Generic[P]):
    """Segments of about ``target_s`` seconds, longer where key frames are further apart.

    Limits: a segment of MAX_SEGMENT_S or MAX_SEGMENT_BYTES without a new key frame is closed and the epoch breaks,
    since what follows cannot be decoded on its own. A time stamp that moves by more than MAX_JUMP_S breaks too.
    """

    target_s: float = TARGET_S
    seq: int = 0
    waited_s: float = 0.0
    _open: list[TimedPacket[P]] = field(default_factory=list)
    _head: list[TimedPacket[P]] = field(
        default_factory=list
    )  # of the next segment, until its leading ones are known
    _bytes: int = 0
    _first_dts_s: float | None = None
    _last_dts_s: float | None = None

    def push(self, packet: TimedPacket[P]) -> list[CutSegment[P] | Break]:
        """Take the next packet; returns at most one segment and at most one break, in order."""
        jump = None if self._last_dts_s is None else packet.dts_s - self._last_dts_s
        if jump is not None and not -0.5 <= jump <= MAX_JUMP_S:
            return [*self.flush(), Break(f"time stamps jumped by {jump:.1f} s")]
        self._first_dts_s = packet.dts_s if self._first_dts_s is None else self._first_dts_s
        self._last_dts_s = packet.dts_s
        if not self._open and not packet.key:
            return self._wait_for_key(packet)
        if self._head:
            return self._after_key(packet)
        long_enough = self._open and packet.pts_s - self._open[0].pts_s >= self.target_s - SLACK_S
        if long_enough and packet.key:
            self._head = [packet]
            reordered = packet.pts_s - packet.dts_s > SLACK_S
            return [] if reordered else self._next_segment()
        return self._keep(packet)

    def _after_key(self, packet: TimedPacket[P]) -> list[CutSegment[P] | Break]:
        """A packet behind the key frame that ends the open segment: one that is shown before it still belongs to it."""
        if packet.pts_s < self._head[0].pts_s and not packet.key:
            self._head.append(packet)
            return []
        return [*self._next_segment(), *self._keep(packet)]

    def _next_segment(self) -> list[CutSegment[P] | Break]:
        """Close the open segment before the key frame at hand, and open the next with it."""
        head, self._head = self._head, []
        if len(head) > 1:
            self._open += head
        out: list[CutSegment[P] | Break] = [self._close(head[0].pts_s)]
        for packet in head:
            out += self._keep(packet)
        return out

    def flush(self) -> list[CutSegment[P] | Break]:
        """Close what is open, at the end of its last picture."""
        if self._head:
            return [*self._next_segment(), *self.flush()]
        if not self._open:
            return []
        return [self._close(max(p.pts_s + p.duration_s for p in self._open))]

    def _wait_for_key(self, packet: TimedPacket[P]) -> list[CutSegment[P] | Break]:
        self.waited_s = packet.dts_s - (self._first_dts_s or 0.0)
        if self.waited_s > KEY_FRAME_WAIT_S:
            return [Break(f"no key frame in {self.waited_s:.0f} s of video")]
        return []

    def _keep(self, packet: TimedPacket[P]) -> list[CutSegment[P] | Break]:
        self._open.append(packet)
        self._bytes += packet.size_bytes
        length_s = packet.pts_s - self._open[0].pts_s
        if length_s >= MAX_SEGMENT_S or self._bytes >= MAX_SEGMENT_BYTES:
            size = f"{length_s:.0f} s, {self._bytes / 1e6:.0f} MB"
            return [*self.flush(), Break(f"no key frame within one segment's limits ({size})")]
        return []

    def _close(self, end_s: float) -> CutSegment[P]:
        start_s = self._open[0].pts_s
        segment = CutSegment(self.seq, start_s, max(end_s, start_s + 0.001), tuple(self._open))
        self.seq += 1
        self._open, self._bytes = [], 0
        return segment
