"""Splicing: the encoded video of a clip, whole and decodable."""

from __future__ import annotations

import pytest

from operators.decode import decode_segment
from operators.splice import splice_segments
from tests.fakes.video import encode, squares


def h264(first: int, count: int) -> bytes:
    """Pictures first..first+count of a 25 fps video, with reordered pictures in it."""
    pictures = squares(first + count, colours=(80,), size_px=(96, 320))[first:]
    return encode(pictures, [(first + i) / 25 for i in range(count)], "libx264", bf="3", g="25")


def test_segments_join_up_to_the_end_and_keep_their_times() -> None:
    joined = splice_segments([h264(25, 25), h264(50, 25)], end_s=2.5)
    times = [picture.pts_s for picture in decode_segment(joined)]
    assert times[0] == pytest.approx(1.0, abs=1e-3)
    whole = [(25 + i) / 25 for i in range(38)]
    assert times[: len(whole)] == pytest.approx(whole, abs=1e-3)
    assert len(times) <= len(whole) + 4  # references of the last pictures may lie after the end


def test_one_whole_segment_is_the_same_video() -> None:
    data = h264(0, 25)
    assert len(list(decode_segment(splice_segments([data], end_s=1.0)))) == 25


@pytest.mark.parametrize("segments", [[], [b"garbage"]])
def test_no_video_is_an_error(segments: list[bytes]) -> None:
    with pytest.raises(ValueError, match="splice"):
        splice_segments(segments, 1.0)
