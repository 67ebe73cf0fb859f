"""Camera settings: what is wording, what is video, and what older records mean."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contracts.base import InvalidMessage
from contracts.cameras import CameraSettings

PLAIN = {"camera_id": "yard", "source": "rtsp://host/a", "created_at": 1.0}


def test_settings_written_before_there_were_styles_mean_detailed_english() -> None:
    camera = CameraSettings.from_bytes(b'{"camera_id": "yard", "source": "rtsp://host/a", "created_at": 1.0}')
    assert (camera.style, camera.instruction, camera.language) == ("detailed", None, None)


def test_a_change_of_wording_or_memory_is_the_same_stream() -> None:
    camera = CameraSettings(**PLAIN)
    wording = {"style": "short", "instruction": "look for helmets", "language": "de"}
    other = CameraSettings(**PLAIN, **wording, memory_policy="quality")
    assert camera.same_stream(other) and other.same_stream(camera) and camera != other
    assert not camera.same_stream(CameraSettings(**{**PLAIN, "source": "rtsp://host/b"}))
    assert not camera.same_stream(CameraSettings(**PLAIN, wanted="paused"))


def test_a_change_of_what_to_find_is_the_same_stream() -> None:
    camera = CameraSettings(**PLAIN)
    other = CameraSettings(**PLAIN, find=["person", "fire hydrant "])
    assert other.find == ("person", "fire hydrant") and camera.find is None
    assert camera.same_stream(other) and CameraSettings.from_bytes(other.to_bytes()) == other
    assert b"find" not in camera.to_bytes(), "readers of an earlier version know no such field"


@pytest.mark.parametrize("words", [[""], [" "], ["a, b"], ["a\nb"], ["x" * 61], ["x"] * 21])
def test_words_that_cannot_be_looked_for_are_refused(words: list[str]) -> None:
    with pytest.raises(ValidationError, match="find"):
        CameraSettings(**PLAIN, find=words)


@pytest.mark.parametrize(
    "wrong", [b'"style": "long"', b'"language": "German"', b'"instruction": "%s"' % (b"x" * 501)]
)
def test_wrong_wording_is_named(wrong: bytes) -> None:
    field = wrong.split(b'"')[1].decode()
    value = b'{"camera_id": "yard", "source": "a", "created_at": 1.0, %s}' % wrong
    with pytest.raises(InvalidMessage, match=f"CameraSettings: {field}: "):
        CameraSettings.from_bytes(value)
