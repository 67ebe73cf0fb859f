"""The segment cutter: list of packets in, list of segments and breaks out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import ingest
from pipelines.ingest import Break, CutSegment, SegmentCutter, TimedPacket


def packet(time_s: float, key: bool = False, size: int = 100) -> TimedPacket[int]:
    return TimedPacket(time_s, time_s, 0.04, key, size, round(time_s * 1000))


def cut(packets: list[TimedPacket[int]], **settings: float) -> list[CutSegment[int] | Break]:
    cutter: SegmentCutter[int] = SegmentCutter(**settings)
    out = [result for p in packets for result in cutter.push(p)]
    return out + cutter.flush()


def test_segments_start_at_key_frames_and_join() -> None:
    packets = [packet(i * 0.04, key=i % 25 == 0) for i in range(100)]
    segments = cut(packets)
    assert [s.start_s for s in segments] == pytest.approx([0.0, 1.0, 2.0, 3.0])
    assert all(a.end_s == b.start_s for a, b in zip(segments, segments[1:], strict=False))
    assert all(s.packets[0].key for s in segments)
    assert segments[-1].end_s == pytest.approx(4.0)


def test_frequent_key_frames_are_gathered_to_the_target_length() -> None:
    segments = cut([packet(i * 0.1, key=True) for i in range(40)])
    assert [len(s.packets) for s in segments] == [10, 10, 10, 10]


def test_packets_before_the_first_key_frame_are_left_out() -> None:
    (segment,) = cut([packet(0.0), packet(0.04), packet(0.08, key=True), packet(0.12)])
    assert segment.start_s == pytest.approx(0.08) and len(segment.packets) == 2


def test_pictures_shown_before_the_next_key_frame_stay_with_what_they_need() -> None:
    order = [
        0.1,
        0.3,
        0.2,
        0.6,
        0.4,
        0.5,
        0.8,
        0.7,
    ]  # of decoding; 0.4 and 0.5 are shown before their key frame
    packets = [
        TimedPacket(at, 0.1 * number, 0.1, at in (0.1, 0.6), 100, at) for number, at in enumerate(order)
    ]
    first, second = cut(packets, target_s=0.4)
    assert [p.payload for p in first.packets] == [0.1, 0.3, 0.2, 0.6, 0.4, 0.5]
    assert [p.payload for p in second.packets] == [0.6, 0.4, 0.5, 0.8, 0.7]
    assert (first.start_s, first.end_s, second.start_s) == (0.1, 0.6, 0.6)


def test_no_key_frame_breaks_with_its_cause() -> None:
    (result,) = cut([packet(i * 0.5) for i in range(22)])
    assert isinstance(result, Break) and "no key frame" in result.cause


def test_a_jump_of_time_closes_the_segment_and_breaks() -> None:
    segment, broken = cut([packet(0.0, key=True), packet(0.04), packet(500.0)])[:2]
    assert isinstance(segment, CutSegment) and len(segment.packets) == 2
    assert isinstance(broken, Break) and "jumped by 500.0 s" in broken.cause


def test_a_segment_without_end_is_closed_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "MAX_SEGMENT_BYTES", 1000)
    results = cut([packet(i * 0.04, key=i == 0) for i in range(20)])
    assert isinstance(results[0], CutSegment) and len(results[0].packets) == 10
    assert isinstance(results[1], Break) and "limits" in results[1].cause


@given(st.lists(st.tuples(st.floats(0.01, 2.0), st.booleans()), min_size=1, max_size=80))
def test_no_packet_after_the_first_key_frame_is_lost_or_doubled(steps: list[tuple[float, bool]]) -> None:
    time_s, packets = 0.0, []
    for step_s, key in steps:
        packets.append(packet(time_s, key))
        time_s += step_s
    first = next((i for i, p in enumerate(packets) if p.key), len(packets))
    results = cut(packets)
    if not any(isinstance(r, Break) for r in results):
        kept = [p for s in results for p in s.packets]
        assert kept == packets[first:]
