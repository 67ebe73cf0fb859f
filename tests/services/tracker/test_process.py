"""The tracker's own process with the shipped weights: killed without warning, it goes on where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from contracts import topics
from services.settings import Settings
from tests.fakes.video import EPOCH_START_S, Camera
from tests.services.tracker.test_app import CLIPS, SECONDS, Reader, publish

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def process(stack: Settings, group: str, log: Path) -> Iterator[subprocess.Popen]:
    own = {"NAME": f"{group}-one", "GROUP_ID": group, "SESSION_TIMEOUT_S": "4", "DEVICE": "cpu"}
    environment = {**os.environ, **stack.environment(), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {f"STREAMREFER_TRACKER_{name}": value for name, value in own.items()}
    with log.open("ab") as out:
        running = subprocess.Popen(
            [sys.executable, "-m", "services.tracker.app"], env=environment, cwd=ROOT, stdout=out, stderr=out
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait(10)


@pytest.mark.slow
def test_killed_without_warning_it_goes_on_where_it_stopped(s3: Settings, kafka: str, tmp_path: Path) -> None:
    group = f"p-{uuid.uuid4().hex[:8]}"
    names = [f"{group}-{i}" for i in range(2)]
    publish(kafka, [Camera(name, EPOCH_START_S + i, picture_limit=150) for i, name in enumerate(names)])
    with closing(Reader(kafka, set(names))) as reader:
        with process(s3, group, tmp_path / "log") as first:
            reader.wait(clips=2, limit_s=150)
            first.send_signal(signal.SIGKILL)
        with process(s3, group, tmp_path / "log") as second:
            reader.wait(clips=CLIPS * len(names), letters=1, limit_s=150)
            second.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert second.wait(60) == 0, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() - began < 60
    clips = reader.found[topics.CLIPS]
    assert set(Counter(clip.clip_id for clip in clips).values()) == {1}
    for name in names:
        spans = sorted((clip.start_s, clip.end_s) for clip in clips if clip.camera_id == name)
        assert len(spans) == CLIPS and spans[-1][1] - spans[0][0] == pytest.approx(SECONDS)
    assert len(reader.found[topics.DEADLETTER]) == 1
    updates = Counter((track.track_id, track.clip_id) for track in reader.found[topics.TRACKS])
    assert not updates or set(updates.values()) == {1}
