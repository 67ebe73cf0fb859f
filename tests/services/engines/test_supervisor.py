"""Starting, restarting and stopping children, with small Python programs in the place of engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from services.engines import leftovers
from services.engines.child import REPOSITORY, ChildSpec, Launch, python_command
from services.engines.errors import EngineError
from services.engines.progress import Progress
from services.engines.supervisor import Restarts, Supervisor

PATIENCE_S = 30.0
SLEEP = "import time; time.sleep(600)"


def _ready() -> None:
    """Passes at once."""


def _never() -> None:
    raise ConnectionError("nobody listens")


def _spec(name: str, code: str, ready: Callable[[], None] = _ready, **rest: object) -> ChildSpec:
    return ChildSpec(name, lambda _say: Launch(python_command("-c", code)), ready, **rest)  # type: ignore[arg-type]


def _supervisor(tmp_path: Path, *specs: ChildSpec) -> Supervisor:
    return Supervisor(specs, tmp_path, uuid.uuid4().hex, Progress())


def _eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_children_start_after_those_they_need_and_stop_before_them(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    code = (
        "import signal, sys, time, pathlib\n"
        "def note(text):\n"
        "    with open({diary!r}, 'a') as file: file.write(text + '\\n')\n"
        "def leave(*_):\n"
        "    note('stop {name}'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "note('start {name}')\n"
        "time.sleep(600)\n"
    )

    def noted(name: str) -> Callable[[], None]:
        def check() -> None:
            assert f"start {name}" in diary.read_text()

        return check

    def one(name: str, **rest: object) -> ChildSpec:
        return _spec(name, code.format(diary=str(diary), name=name), noted(name), **rest)

    supervisor = _supervisor(tmp_path, one("service", after=("engine",), layer=1), one("engine", layer=0))
    supervisor.start()
    supervisor.stop()
    assert diary.read_text().split("\n")[:4] == [
        "start engine",
        "start service",
        "stop service",
        "stop engine",
    ]


def test_a_child_that_dies_at_its_start_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    supervisor = _supervisor(
        tmp_path, _spec("broken", "raise SystemExit('no such disk')", _never), _spec("good", SLEEP)
    )
    with pytest.raises(EngineError) as caught:
        supervisor.start()
    supervisor.stop()
    text = str(caught.value)
    assert text.startswith("broken: ended with exit code 1 before it was ready")
    assert "no such disk" in text and str(tmp_path / "broken.log") in text
    assert leftovers.marked(supervisor.run_id) == []


def test_a_child_that_never_serves_fails_in_time_with_the_reason(tmp_path: Path) -> None:
    supervisor = _supervisor(tmp_path, _spec("deaf", SLEEP, _never, ready_timeout_s=0.5))
    with pytest.raises(EngineError, match=r"deaf: not ready after 0 s .*nobody listens"):
        supervisor.start()
    supervisor.stop()


def test_a_failing_preparation_is_reported_as_it_is(tmp_path: Path) -> None:
    def prepare(_say: object) -> Launch:
        raise EngineError("kafka: its jars could not be downloaded")

    supervisor = _supervisor(tmp_path, ChildSpec("kafka", prepare, _ready))
    with pytest.raises(EngineError, match="jars could not be downloaded"):
        supervisor.start()
    supervisor.stop()


def test_a_child_that_dies_later_is_started_again(tmp_path: Path) -> None:
    supervisor = _supervisor(tmp_path, _spec("engine", SLEEP))
    supervisor.start()
    before = supervisor.pids()["engine"]
    os.kill(before, signal.SIGKILL)
    assert _eventually(lambda: supervisor.pids()["engine"] != before and supervisor.is_ready("engine"))
    assert not supervisor.failed.is_set()
    supervisor.stop()


def test_a_child_that_is_found_unwell_is_started_again(tmp_path: Path) -> None:
    sick = tmp_path / "sick"

    def unwell(mark: str) -> str | None:
        assert leftovers.marked(mark) == [supervisor.pids()["engine"]]
        return "half of it is gone" if sick.exists() else None

    supervisor = _supervisor(tmp_path, _spec("engine", SLEEP, unwell=unwell))
    supervisor.start()
    before = supervisor.pids()["engine"]
    sick.touch()
    assert _eventually(lambda: supervisor.pids()["engine"] != before)
    sick.unlink()
    assert _eventually(lambda: supervisor.is_ready("engine"))
    assert not supervisor.failed.is_set()
    supervisor.stop()


def test_a_child_that_keeps_dying_fails_the_run(tmp_path: Path) -> None:
    code = "import time; time.sleep(0.5); raise SystemExit(7)"
    supervisor = _supervisor(tmp_path, _spec("weak", code, deaths_per_minute=1))
    supervisor.start()
    assert supervisor.wait(PATIENCE_S)
    with pytest.raises(EngineError, match="weak: ended with exit code 7, more than 1 times in a minute"):
        supervisor.raise_failure()
    supervisor.stop()


def test_a_child_that_ignores_sigterm_is_killed_with_its_descendants(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)\n"
        "print('both run', flush=True)\n"
        "time.sleep(600)\n"
    )
    log = tmp_path / "stubborn.log"

    def both_run() -> None:
        assert "both run" in log.read_text()

    supervisor = _supervisor(tmp_path, _spec("stubborn", code, both_run, stop_grace_s=0.3))
    supervisor.start()
    assert len(leftovers.marked(supervisor.run_id)) == 2
    supervisor.stop()
    assert leftovers.marked(supervisor.run_id) == []


def test_a_warm_child_starts_at_once_and_is_told_when_to_go(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    gate = tmp_path / "gate"

    def open_gate() -> None:
        assert "started" in (tmp_path / "warm.log").read_text()  # it runs although the other is not ready
        gate.touch()

    def went() -> None:
        assert seen.read_text() == f"go\n{True}"

    code = (
        "import os, sys, time\n"
        "print('started', flush=True)\n"
        f"line = sys.stdin.readline(); open({str(seen)!r}, 'w').write(line + str(os.path.exists({str(gate)!r})))\n"
        "time.sleep(600)\n"
    )
    supervisor = _supervisor(
        tmp_path, _spec("slow", SLEEP, open_gate), _spec("warm", code, went, after=("slow",), warm=True)
    )
    supervisor.start()
    supervisor.stop()


def test_nothing_is_left_when_the_owner_is_killed(tmp_path: Path) -> None:
    """Even SIGKILL of the owner: its warden ends the children, and theirs in other sessions."""
    run_id = uuid.uuid4().hex
    owner = (
        "import sys, time; from pathlib import Path\n"
        "from services.engines.child import ChildSpec, Launch, python_command\n"
        "from services.engines.progress import Progress\n"
        "from services.engines.supervisor import Supervisor\n"
        'code = \'import subprocess, sys, time; subprocess.Popen([sys.executable, "-c",'
        ' "import time; time.sleep(600)"], start_new_session=True); time.sleep(600)\'\n'
        "spec = ChildSpec('engine', lambda say: Launch(python_command('-c', code)), lambda: None)\n"
        f"Supervisor([spec], Path({str(tmp_path)!r}), {run_id!r}, Progress()).start()\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", owner], cwd=REPOSITORY)
    try:
        assert _eventually(lambda: len(leftovers.marked(run_id)) == 2)
    finally:
        process.kill()
        process.wait()
    assert _eventually(lambda: leftovers.marked(run_id) == [])


def test_the_pause_before_a_restart_doubles_and_old_deaths_are_forgotten() -> None:
    restarts = Restarts(deaths_per_minute=3)
    assert [restarts.backoff_s(t) for t in (0.0, 1.0, 2.0)] == [0.5, 1.0, 2.0]
    assert restarts.backoff_s(3.0) is None
    assert restarts.backoff_s(100.0) == 0.5


def test_a_big_log_is_set_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.engines.child.LOG_LIMIT_BYTES", 10)
    (tmp_path / "engine.log").write_text("old " * 10)
    supervisor = _supervisor(tmp_path, _spec("engine", SLEEP))
    supervisor.start()
    supervisor.stop()
    assert (tmp_path / "engine.1.log").read_text().startswith("old")
    assert "old" not in (tmp_path / "engine.log").read_text()
