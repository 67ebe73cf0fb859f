"""A tracker's snapshot as objects: everything comes back, lasting parts stay the same, damage is noticed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from operators.glimpse import Glimpse
from operators.lifecycle import Track
from operators.motion import MotionState
from operators.track_state import TrackerState
from pipelines.snapshot import pack, part_names, read_header, unpack

PICTURE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def state(step: int = 0) -> TrackerState:
    mask = np.zeros((9, 13), bool)
    mask[2:5, 3:7] = True
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return TrackerState(
        "yard",
        {"session": b"rings %d" % step, "anchor": b"lasting"},
        epoch=3,
        next_key=5,
        next_number=4,
        since_grid=None,
        since_motion=1,
        searches=6,
        tracks=(
            Track(
                1,
                7,
                "active",
                8.0,
                (0.1, 0.2, 0.3, 0.4),
                0.02,
                track_id="yard-3-0001",
                look=(0.5, 0.5),
                velocity=(0.1, -0.2),
            ),
        ),
        twins={(1, 2): 3},
        apart={(1, 3): 2},
        motion=MotionState((grey, grey + 1), ((0, 0), (1, -2)), grey, 9, (((0.0, 0.0, 0.5, 0.5), 2),)),
        glimpses={1: Glimpse(mask, PICTURE, 8.0), 2: Glimpse(~mask, PICTURE, 8.0)},
    )


def test_everything_comes_back() -> None:
    packed, was = pack(state()), state()
    found = unpack(packed.main, packed.parts.get)
    plain = (
        "camera_id",
        "segmenter",
        "epoch",
        "next_key",
        "next_number",
        "since_grid",
        "searches",
        "cut",
        "tracks",
        "twins",
        "apart",
    )
    assert all(getattr(found, name) == getattr(was, name) for name in plain)
    assert all((a == b).all() for a, b in zip(found.motion.ground, was.motion.ground, strict=True))
    assert found.motion.offsets == was.motion.offsets and found.motion.moving == was.motion.moving
    assert found.motion.before is not None and (found.motion.before == was.motion.before).all()
    for key, glimpse in was.glimpses.items():
        assert (found.glimpses[key].mask == glimpse.mask).all() and found.glimpses[key].time_s == 8.0
        assert found.glimpses[key].picture.shape == PICTURE.shape
    assert pack(was) == packed


def test_only_what_changed_has_another_name() -> None:
    first, second = pack(state(0)), pack(state(1))
    assert len(first.parts) == 3, "rings, one lasting memory, one picture for two tracks"
    assert len(first.parts.keys() & second.parts.keys()) == 2
    assert part_names(read_header(first.main)) == first.parts.keys()
    assert sorted(name.rpartition(".")[2] for name in first.parts) == ["jpg", "safetensors", "safetensors"]


def test_missing_and_damaged_parts_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    packed = pack(state())
    found = unpack(packed.main, lambda name: None)
    assert found.segmenter == {} and found.glimpses == {} and len(found.tracks) == 1
    found = unpack(packed.main, lambda name: packed.parts[name] + b"!")
    assert found.segmenter == {} and found.glimpses == {}
    assert "is missing" in caplog.text and "is damaged" in caplog.text


def test_what_was_stored_before_there_were_velocities_is_read() -> None:
    packed = pack(state())
    header = read_header(packed.main)
    del header["apart"], header["searches"]
    for fields in header["tracks"]:
        del fields["velocity"]
    older = save(load(packed.main), metadata={"tracker": json.dumps(header)})
    found = unpack(older, packed.parts.get)
    assert (
        found.apart == {}
        and found.searches == 0
        and [track.velocity for track in found.tracks] == [(0.0, 0.0)]
    )
    assert found.twins == {(1, 2): 3} and found.tracks[0].box == (0.1, 0.2, 0.3, 0.4)


def newer(main: bytes) -> bytes:
    header = read_header(main) | {"schema": "streamrefer.tracker.99"}
    return save(load(main), metadata={"tracker": json.dumps(header)})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda main: b"", "not a safetensors file"),
        (lambda main: b"PK\x03\x04" + bytes(400), "not a safetensors file"),  # what was written before: a zip
        (lambda main: main[: len(main) - 20], "cannot be read"),
        (lambda main: save({}, metadata={"other": "x"}), "header cannot be read"),
        (newer, "schema 'streamrefer.tracker.99', this version reads 'streamrefer.tracker.2'"),
        (
            lambda main: save({}, metadata={"tracker": '{"schema": "streamrefer.tracker.2"}'}),
            "cannot be read",
        ),
    ],
)
def test_what_is_no_snapshot_is_refused(damage, says: str) -> None:
    packed = pack(state())
    with pytest.raises(ValueError, match=f"tracker state: .*{says}"):
        unpack(damage(packed.main), packed.parts.get)
