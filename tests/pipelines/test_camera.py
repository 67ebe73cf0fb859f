"""A camera's stream of clips: its time is tiled exactly, whatever comes."""

from __future__ import annotations

import itertools

import pytest

from contracts.segments import SegmentHeader
from operators.chunk import Hole
from operators.decode import DecodeError
from operators.types import Clip
from pipelines.camera import CameraStream, Span, StaleEpoch, StreamSettings
from tests.fakes.video import EPOCH_START_S, Camera, encode, squares

Sent = tuple[SegmentHeader, bytes]


def push_all(stream: CameraStream, sent: list[Sent], first_offset: int = 0) -> list[Span]:
    spans = (stream.push(h, v, first_offset + i, h.end_s) for i, (h, v) in enumerate(sent))
    return list(itertools.chain.from_iterable(spans))


def seconds(camera: Camera, count: int) -> list[Sent]:
    return [camera.segment() for _ in range(count)]


def told(spans: list[Span]) -> list[tuple[float, float, str]]:
    return [
        (
            round(s.item.start_s - EPOCH_START_S, 3),
            round(s.item.end_s - EPOCH_START_S, 3),
            s.item.closed_by if isinstance(s.item, Clip) else s.item.reason,
        )
        for s in spans
    ]


def frames(spans: list[Span]) -> list[tuple[int, float]]:
    clips = [span.item for span in spans if isinstance(span.item, Clip)]
    return [(frame.index, frame.pts_s) for clip in clips for frame in clip.frames]


def test_clips_and_the_end_marker_tile_the_epoch() -> None:
    camera = Camera()
    spans = push_all(CameraStream("door", StreamSettings()), [*seconds(camera, 10), camera.end()])
    assert told(spans) == [(0, 4, "full"), (4, 8, "full"), (8, 10, "end")]
    assert frames(spans) == [(i, i / 4) for i in range(40)]


def test_offsets_stay_needed_until_their_clip_is_given() -> None:
    camera, stream = Camera(), CameraStream("door", StreamSettings())
    push_all(stream, seconds(camera, 3))
    assert stream.needed_offset == 0
    (span,) = push_all(stream, seconds(camera, 1), first_offset=3)
    assert [held.offset for held in span.segments] == [0, 1, 2, 3]
    assert stream.needed_offset is None


def test_a_segment_that_two_clips_share_stays_needed() -> None:
    camera, stream = Camera(), CameraStream("door", StreamSettings())
    (span,) = push_all(stream, [camera.segment(5.0)])
    assert told([span]) == [(0, 4, "full")]
    assert stream.needed_offset == 0


def test_an_undecodable_segment_is_a_gap_of_exactly_its_time() -> None:
    camera = Camera()
    sent = [*seconds(camera, 2), camera.segment(video=b"garbage"), *seconds(camera, 1), camera.end()]
    spans = push_all(CameraStream("door", StreamSettings()), sent)
    assert told(spans) == [(0, 2, "end"), (2, 3, "undecodable"), (3, 4, "end")]
    assert isinstance(spans[1].item, Hole) and "Matroska" in spans[1].item.cause


def test_video_that_could_not_be_fetched_is_a_gap_too() -> None:
    camera, stream = Camera(), CameraStream("door", StreamSettings())
    header, _ = camera.segment()
    (span,) = stream.push(header, DecodeError("not in the object store"), 0, 0.0)
    assert told([span]) == [(0, 1, "undecodable")]


def test_a_missing_segment_is_a_gap() -> None:
    camera = Camera()
    sent = seconds(camera, 4)
    spans = push_all(CameraStream("door", StreamSettings()), [sent[0], sent[3], camera.end()])
    assert told(spans) == [(0, 1, "end"), (1, 3, "undecodable"), (3, 4, "end")]


def test_a_new_epoch_closes_the_one_without_end_marker() -> None:
    first, second = Camera(), Camera(epoch_start_s=EPOCH_START_S + 60)
    spans = push_all(
        CameraStream("door", StreamSettings()), [*seconds(first, 2), *seconds(second, 2), second.end()]
    )
    assert told(spans) == [(0, 2, "end"), (60, 62, "end")]
    assert [span.item.index for span in spans] == [0, 0]


def test_a_commit_made_on_the_way_does_not_pass_the_record_at_hand() -> None:
    first, second = Camera(), Camera(epoch_start_s=EPOCH_START_S + 60)
    stream = CameraStream("door", StreamSettings())
    push_all(stream, seconds(first, 2))
    header, video = second.segment()
    for _ in stream.push(header, video, 2, 0.0):
        assert stream.needed_offset == 2


def test_an_epoch_of_the_past_is_refused_but_its_replay_is_skipped() -> None:
    first, second = Camera(), Camera(epoch_start_s=EPOCH_START_S + 60)
    stream, old = CameraStream("door", StreamSettings()), first.segment()
    push_all(stream, [old, second.segment()])
    assert push_all(stream, [old]) == []
    with pytest.raises(StaleEpoch):
        push_all(stream, [old], first_offset=9)


def test_a_silent_camera_has_its_clip_closed_after_a_while() -> None:
    camera, stream = Camera(), CameraStream("door", StreamSettings(stall_s=10))
    push_all(stream, seconds(camera, 2))
    assert list(stream.close_stalled(camera.end_s + 9)) == []
    assert told(list(stream.close_stalled(camera.end_s + 11))) == [(0, 2, "end")]
    assert list(stream.close_stalled(camera.end_s + 30)) == []
    spans = push_all(stream, [*seconds(camera, 2), camera.end()], first_offset=2)
    assert told(spans) == [(2, 4, "end")]


def test_a_clip_full_before_its_segments_end_leaves_the_rest_to_the_next() -> None:
    camera = Camera(fps=10)
    sent = [camera.segment(0.9), camera.segment(3.0), camera.segment(0.1), camera.segment(1.0), camera.end()]
    spans = push_all(CameraStream("door", StreamSettings()), sent)
    assert told(spans)[-1][1] == 5.0
    assert all(a.item.end_s == b.item.start_s for a, b in itertools.pairwise(spans))
    assert all(isinstance(span.item, Clip) for span in spans)


@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
@pytest.mark.parametrize(
    "durations", [[1.0] * 9, [5.0, 4.0], [0.7, 2.3, 0.55, 1.95, 3.1, 0.4], [0.9, 3.0, 0.1, 5.0]]
)
def test_restored_after_any_commit_gives_the_same(durations: list[float], codec: str) -> None:
    """Only offsets from the first needed one on come again, as after a restart."""
    pictures = squares(250, colours=(80,), size_px=(48, 600))
    camera, sent = Camera(fps=20), []
    for duration_s in durations:
        start_s = camera.end_s - EPOCH_START_S
        first, count = round(start_s * 20), round(duration_s * 20)
        times = [(first + i) / 20 for i in range(count)]
        sent.append(camera.segment(duration_s, encode(pictures[first : first + count], times, codec)))
    sent.append(camera.end())
    whole = push_all(CameraStream("door", StreamSettings()), sent)
    for stop_after in range(1, len(whole)):
        given, position, needed = _until(sent, stop_after)
        again = CameraStream("door", StreamSettings(), position)
        given += push_all(again, sent[needed:], needed)
        assert told(given) == told(whole)
        assert frames(given) == frames(whole)


def _until(sent: list[Sent], stop_after: int) -> tuple[list[Span], object, int]:
    stream, given = CameraStream("door", StreamSettings()), []
    for offset, (header, video) in enumerate(sent):
        for span in stream.push(header, video, offset, 0.0):
            given.append(span)
            if len(given) == stop_after:
                needed = stream.needed_offset
                return given, span.position, offset + 1 if needed is None else needed
    raise AssertionError("too few spans")
