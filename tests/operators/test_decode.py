"""Decoding segments: right pictures at right times, and one clear error for anything else."""

from __future__ import annotations

import numpy as np
import pytest

from operators.decode import DecodeError, decode_segment, fitted_size
from tests.fakes.video import encode, squares


def times(data: bytes) -> list[float]:
    return [picture.pts_s for picture in decode_segment(data)]


def test_pictures_come_back_exactly_at_their_media_times() -> None:
    pictures = squares(5)
    decoded = list(decode_segment(encode(pictures, [3.0, 3.04, 3.08, 3.2, 3.9])))
    assert [picture.pts_s for picture in decoded] == [3.0, 3.04, 3.08, 3.2, 3.9]
    for before, after in zip(pictures, decoded, strict=True):
        np.testing.assert_array_equal(after.rgb(640), before)


def test_reordered_pictures_come_in_order_of_presentation() -> None:
    data = encode(squares(25), [i / 25 for i in range(25)], "libx264", bf="3", g="25")
    assert times(data) == pytest.approx([i / 25 for i in range(25)], abs=1e-3)


def test_large_pictures_shrink_and_small_ones_stay() -> None:
    large = list(decode_segment(encode([np.zeros((720, 1280, 3), np.uint8)], [0.0])))[0]
    assert large.rgb(640).shape == (360, 640, 3)
    assert fitted_size(320, 240, 640) == (320, 240)
    assert fitted_size(1080, 1920, 640) == (360, 640)


@pytest.mark.parametrize(
    "data", [b"", b"no video at all", b"\x1a\x45\xdf\xa3" + b"\x00" * 64, b"#EXTM3U\nfile:///etc/passwd\n"]
)
def test_garbage_is_one_clear_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        list(decode_segment(data))


def test_a_truncated_segment_gives_what_is_whole() -> None:
    data = encode(squares(25), [i / 25 for i in range(25)])
    found = times(data[: len(data) // 2])
    assert 1 <= len(found) < 25


def test_a_segment_of_broken_packets_is_an_error() -> None:
    data = bytearray(encode(squares(25), [i / 25 for i in range(25)], "libx264"))
    data[600:] = bytes(b ^ 0x5A for b in data[600:])
    with pytest.raises(DecodeError):
        list(decode_segment(bytes(data)))


def test_sound_alone_is_not_video() -> None:
    import io

    import av

    target = io.BytesIO()
    with av.open(target, "w", format="matroska") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        out.mux(stream.encode(sound))
    with pytest.raises(DecodeError, match="no video stream"):
        list(decode_segment(target.getvalue()))
