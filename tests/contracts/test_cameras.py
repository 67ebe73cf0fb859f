"""Camera settings: what is wording, what is video, and what older records mean."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize(
    "wrong", [b'"style": "long"', b'"language": "German"', b'"instruction": "%s"' % (b"x" * 501)]
)
def test_wrong_wording_is_named(wrong: bytes) -> None:
    field = wrong.split(b'"')[1].decode()
    value = b'{"camera_id": "yard", "source": "a", "created_at": 1.0, %s}' % wrong
    with pytest.raises(InvalidMessage, match=f"CameraSettings: {field}: "):
        CameraSettings.from_bytes(value)
