"""What is believed of a damaged segment."""

from __future__ import annotations

import logging

import pytest

from operators.damage import Lost, Packet, doubtful, is_damage, lost_spans
from operators.decode import decode_segment
from operators.hardware import Hardware
from tests.fakes.video import encode, squares


def group(*stamps: int, key: int = 0) -> list[Packet]:
    return [Packet(stamp, stamp == key) for stamp in stamps]


def test_doubt_lasts_until_the_next_key_frame() -> None:
    packets = group(0, 1, 2, 3) + group(4, 5, key=4)
    assert doubtful(packets, {2}) == {2, 3}
    assert doubtful(packets, {4}) == {4, 5}
    assert doubtful(packets, set()) == set()


def test_pictures_shown_before_a_key_frame_need_the_group_before() -> None:
    packets = group(0, 3, 1, 2) + group(6, 4, 5, 7, key=6)
    assert doubtful(packets, {3}) == {3, 1, 2, 4, 5}


def test_where_every_picture_stands_alone_only_the_refused_one_is_lost() -> None:
    packets = [Packet(stamp, True) for stamp in range(5)]
    assert doubtful(packets, {2}) == {2} and is_damage(packets, {2})


def test_habits_of_an_encoder_are_no_damage() -> None:
    packets = group(0, 1, 2, 3) + group(4, 5, 6, 7, key=4)
    assert not is_damage(packets, set())
    assert not is_damage(packets, {0, 4}), "only what is written beside key frames"
    assert not is_damage(packets, {0, 1, 2, 4, 5, 6}), "everywhere"
    assert is_damage(packets, {2}) and is_damage(packets, {4, 6})


def test_lost_time_goes_to_the_next_good_picture() -> None:
    times = [0.0, 0.1, 0.2, 0.3, 0.4]
    assert lost_spans(times, times, "x") == []
    assert lost_spans(times, [0.0, 0.3], "x") == [Lost(0.1, 0.3, "x"), Lost(0.4, None, "x")]


def test_hardware_that_does_not_exist_is_told_once_and_done_without(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="hardware 'abacus' is none of off, auto"):
        Hardware("abacus")
    data = encode(squares(5), [i / 25 for i in range(5)], "libx264")
    plain = [picture.pts_s for picture in decode_segment(data)]
    for kind in ("cuda", "auto"):
        hardware = Hardware(kind)
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert [p.pts_s for p in decode_segment(data, hardware=hardware)] == plain
        told = [record for record in caplog.records if "no video decoding by" in record.message]
        assert len(told) == (hardware.kind == "off")
        caplog.clear()
