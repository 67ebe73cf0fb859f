"""A camera over RTSP with a password: streams, survives the server going away, and says what is wrong."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.cameras import CameraSettings
from services.adapters.clock import SystemClock
from services.engines.ports import Ports
from services.ingest.camera import CameraWorker
from tests.services.ingest.test_camera import MemoryStore, RememberingPublisher, write_video

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parents[2] / "e2e" / "rtsp_server.py"
IMPORTS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(SYSTEM_PYTHON).exists()
        or subprocess.run([SYSTEM_PYTHON, "-c", IMPORTS], capture_output=True).returncode != 0,
        reason="GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0, python3-gi)",
    ),
]


class Server:
    """Starts and stops the RTSP server on one port."""

    def __init__(self, film: Path) -> None:
        self.film, self.port = film, Ports({}).of("rtsp")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        argv = [SYSTEM_PYTHON, str(SERVER), str(self.film), str(self.port), "me", "secret"]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout and self.process.stdout.readline().strip() == "serving"

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)

    def address(self, password: str = "secret", path: str = "cam") -> str:
        return f"rtsp://me:{password}@127.0.0.1:{self.port}/{path}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(write_video(tmp_path / "cam.mkv", seconds=60))
    running.start()
    yield running
    running.stop()


def camera(address: str) -> tuple[RememberingPublisher, CameraWorker]:
    publisher = RememberingPublisher()
    settings = CameraSettings(camera_id="door", source=address, created_at=0)
    worker = CameraWorker(settings, publisher, MemoryStore(), SystemClock())  # type: ignore[arg-type]
    worker.start()
    return publisher, worker


def until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


def test_a_camera_comes_back_after_its_server_was_away(server: Server) -> None:
    publisher, worker = camera(server.address())
    try:
        until(lambda: len(publisher.segments()) >= 3, 40)
        server.stop()
        until(lambda: publisher.states()[-1].state == "lost", 40)
        before = len(publisher.segments())
        time.sleep(4)
        server.start()
        until(lambda: len(publisher.segments()) >= before + 3, 60)
    finally:
        worker.stop()
        worker.join(20)
    epochs = list(dict.fromkeys(h.epoch for h, _ in publisher.segments()))
    assert len(epochs) == 2
    first, second = ([h for h, _ in publisher.segments() if h.epoch == e] for e in epochs)
    assert first[-1].end == "lost" and second[0].seq == 0
    (gap,) = publisher.gaps()
    assert gap.start_s == pytest.approx(first[-1].end_s) and gap.end_s == pytest.approx(second[0].start_s)
    assert gap.reason == "camera_lost" and gap.end_s - gap.start_s > 3.5
    assert b"secret" not in b"".join(value for _, value, _ in publisher.records)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (lambda s: s.address(password="wrong"), "wrong user name or password"),
        (lambda s: s.address(path="none"), "does not exist on the server"),
    ],
)
def test_refusals_are_told_in_words(server: Server, address: Callable[[Server], str], words: str) -> None:
    publisher, worker = camera(address(server))
    try:
        until(lambda: any(s.state == "lost" for s in publisher.states()), 30)
    finally:
        worker.stop()
        worker.join(20)
    lost = next(s for s in publisher.states() if s.state == "lost")
    assert words in (lost.cause or "") and "wrong@" not in (lost.cause or "")
