"""The camera worker on real files: segments, states, end markers and errors, with a publisher that remembers."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from contracts import topics
from contracts.cameras import CameraSettings, mask_credentials
from contracts.events import CameraStateChanged, Gap
from contracts.segments import HEADER, SegmentHeader
from services.adapters.clock import SystemClock
from services.ingest.app import Fleet
from services.ingest.camera import CameraWorker
from services.ingest.source import Source, SourceError


class RememberingPublisher:
    """Takes everything at once and keeps it."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, Mapping[str, bytes]]] = []

    def publish(
        self, topic: str, key: str, value: bytes, headers: Mapping[str, bytes] | None = None
    ) -> Future:
        self.records.append((topic, value, headers or {}))
        done: Future = Future()
        done.set_result((0, len(self.records)))
        return done

    def flush(self, timeout_s: float) -> None: ...

    def segments(self) -> list[tuple[SegmentHeader, bytes]]:
        return [(SegmentHeader.from_bytes(h[HEADER]), v) for t, v, h in self.records if t == topics.SEGMENTS]

    def states(self) -> list[CameraStateChanged]:
        return [CameraStateChanged.from_bytes(v) for t, v, _ in self.records if t == topics.CAMERA_STATES]

    def gaps(self) -> list[Gap]:
        return [Gap.from_bytes(v) for t, v, _ in self.records if t == topics.GAPS]


class MemoryStore:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, name: str, data: bytes, content_type: str = "") -> None:
        self.objects[name] = data


def write_video(path: Path, seconds: float = 4.0, key_every: int = 10, noise: bool = False) -> Path:
    """A small H.264 file of 10 frames a second with B-frames."""
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10, width=64, height=48, pix_fmt="yuv420p")
        stream.options = {"g": str(key_every), "keyint_min": str(key_every), "bf": "2", "sc_threshold": "0"}
        for i in range(round(seconds * 10)):
            pixels = (
                random.integers(0, 255, (48, 64, 3), np.uint8)
                if noise
                else np.full((48, 64, 3), i * 5, np.uint8)
            )
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        out.mux(stream.encode())
    return path


def play(source: Path | str, **settings: object) -> tuple[RememberingPublisher, MemoryStore, CameraWorker]:
    last_end_s = settings.pop("last_end_s", None)
    camera = CameraSettings(
        camera_id="yard",
        source=str(source),
        created_at=0,
        **{"realtime": False, **settings},  # type: ignore[arg-type]
    )
    publisher, store = RememberingPublisher(), MemoryStore()
    worker = CameraWorker(camera, publisher, store, SystemClock(), last_end_s)  # type: ignore[arg-type]
    worker.start()
    worker.join(1.5 if camera.loop else 20)
    worker.stop()
    worker.join(10)
    assert not worker.is_alive()
    return publisher, store, worker


def test_a_file_becomes_joining_segments_that_decode_alone(tmp_path: Path) -> None:
    publisher, _, _ = play(write_video(tmp_path / "a.mp4"))
    *segments, (marker, no_video) = publisher.segments()
    assert [h.seq for h, _ in segments] == [0, 1, 2, 3] and marker.seq == 4
    assert marker.end == "end_of_file" and no_video == b""
    assert all(a.end_s == b.start_s for (a, _), (b, _) in zip(segments, segments[1:], strict=False))
    for header, video in segments:
        with av.open(io.BytesIO(video)) as container:
            times = sorted(float(f.pts * f.time_base) for f in container.decode(video=0))
        assert len(times) == 10
        assert times[0] == pytest.approx(header.start_s - header.epoch_start_s, abs=2e-3)
        assert times[-1] < header.end_s - header.epoch_start_s
    assert [s.state for s in publisher.states()] == ["connecting", "live", "stopped"]


def test_a_looped_file_begins_new_epochs_without_holes(tmp_path: Path) -> None:
    publisher, _, _ = play(write_video(tmp_path / "a.mp4"), loop=True)
    headers = [h for h, _ in publisher.segments() if h.end is None]
    assert len({h.epoch for h in headers}) > 1
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in zip(headers, headers[1:], strict=False))
    assert not publisher.gaps()


def test_lost_time_before_the_first_segment_is_a_gap(tmp_path: Path) -> None:
    publisher, _, _ = play(write_video(tmp_path / "a.mp4"), last_end_s=SystemClock().now() - 60)
    (gap,) = publisher.gaps()
    assert gap.reason == "camera_lost" and gap.end_s == pytest.approx(publisher.segments()[0][0].start_s)


def test_large_segments_go_to_the_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.segments.INLINE_LIMIT_BYTES", 1000)
    publisher, store, _ = play(write_video(tmp_path / "a.mp4", noise=True))
    header, video = publisher.segments()[0]
    assert video == b"" and header.ref and len(store.objects[header.ref]) == header.size_bytes > 1000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"this is not a video" * 50, "not a readable video"),
        (b"", "not a readable video"),
        (None, "no such file"),
    ],
)
def test_a_file_that_is_no_video_stops_with_one_clear_line(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    publisher, _, _ = play(path)
    last = publisher.states()[-1]
    assert last.state == "stopped" and words in (last.cause or "") and "\n" not in (last.cause or "")
    assert not publisher.segments()


@pytest.mark.parametrize(("name", "content"), [("notes.txt", b"only words\n" * 50), ("photo.png", None)])
def test_text_and_pictures_are_no_video(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is None:
        Image.new("RGB", (64, 48)).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="is not a (readable video|video that can be cut)") as refused:
        Source(str(path))
    assert refused.value.permanent


def test_a_scheme_may_be_written_in_capitals(tmp_path: Path) -> None:
    source = Source(f"FILE://{write_video(tmp_path / 'a.mp4')}")
    assert source.finite
    source.close()


def test_a_truncated_file_says_how_much_was_read(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mkv", noise=True).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    publisher, _, _ = play(tmp_path / "cut.mkv")
    assert publisher.segments()[-1][0].end == "end_of_file"
    assert "truncated" in (publisher.states()[-1].cause or "")


def test_a_video_without_key_frames_is_refused(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", key_every=1000)
    with av.open(str(source)) as given, av.open(str(tmp_path / "b.mkv"), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size and not packet.is_keyframe:
                packet.stream = stream
                out.mux(packet)
    publisher, _, _ = play(tmp_path / "b.mkv")
    assert publisher.states()[-1].state == "stopped" and "no key frame" in (
        publisher.states()[-1].cause or ""
    )


def test_a_dead_host_is_lost_and_its_password_is_hidden() -> None:
    camera = CameraSettings(camera_id="yard", source="rtsp://me:secret@127.0.0.1:9/x?token=abc", created_at=0)
    publisher = RememberingPublisher()
    worker = CameraWorker(camera, publisher, MemoryStore(), SystemClock())  # type: ignore[arg-type]
    worker.start()
    worker.join(2.5)
    worker.stop()
    worker.join(10)
    lost = next(s for s in publisher.states() if s.state == "lost")
    assert "connection refused" in (lost.cause or "") and lost.attempt == 0
    text = b"".join(v for _, v, _ in publisher.records)
    assert b"secret" not in text and b"token" not in text


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(SourceError, match="scheme 'gopher' is not supported"):
        Source("gopher://host/x")


@pytest.mark.parametrize(
    "address", ["rtsp://[door/cam", "rtsp://me:se/cret@door/cam", "rtsp://door:99999/cam"]
)
def test_an_address_that_cannot_be_taken_apart_is_refused_and_hidden(address: str) -> None:
    assert mask_credentials(address) == "rtsp://***"
    with pytest.raises(SourceError, match="rtsp://\\*\\*\\* is not a valid address") as refused:
        Source(address)
    assert refused.value.permanent


def test_what_to_find_changes_without_a_break_in_the_video(tmp_path: Path) -> None:
    source = str(write_video(tmp_path / "a.mp4", seconds=6))
    camera = CameraSettings(camera_id="yard", source=source, created_at=0.0)
    publisher = RememberingPublisher()
    fleet = Fleet(publisher, MemoryStore(), {})
    fleet.apply("yard", camera)
    worker = fleet.workers["yard"]
    deadline = time.monotonic() + 60
    while not publisher.segments() and time.monotonic() < deadline:
        time.sleep(0.05)
    fleet.apply("yard", camera.model_copy(update={"find": ("person",)}))
    worker.join(60)
    assert fleet.workers["yard"] is worker
    headers = [header for header, _ in publisher.segments()]
    assert len({header.epoch for header in headers}) == 1 and not publisher.gaps()
    assert [header.end for header in headers] == [None] * (len(headers) - 1) + ["end_of_file"]
    wishes = [header.find for header in headers]
    assert wishes[0] is None and wishes[-1] == ("person",)
    assert wishes == sorted(wishes, key=lambda words: words or ()), "changed once"
