"""The demo film: H.264 with a key frame every second and no reordering, beside its truth."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest

from recipes.make_demo_video import main
from synthetic.video import write_h264


def test_a_film_and_its_truth(tmp_path):
    film, truth = tmp_path / "demo.mp4", tmp_path / "truth.json"
    main(
        [
            str(film),
            "--seconds",
            "3",
            "--fps",
            "8",
            "--width",
            "160",
            "--height",
            "120",
            "--truth",
            str(truth),
        ]
    )
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and float(stream.average_rate) == 8
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [packet.is_keyframe for packet in packets] == ([True] + [False] * 7) * 3
    assert all(packet.pts == packet.dts for packet in packets)
    told = json.loads(truth.read_text())
    numbers = {thing["number"] for thing in told["objects"]}
    assert len(told["visible_each_second"]) == 3
    assert set().union(*told["visible_each_second"]) == numbers


def test_odd_sides_and_empty_films_are_refused(tmp_path):
    with pytest.raises(ValueError, match="even sides"):
        write_h264(tmp_path / "a.mp4", [np.zeros((33, 32, 3), np.uint8)], 4)
    with pytest.raises(ValueError, match="at least one frame"):
        write_h264(tmp_path / "b.mp4", [], 4)
