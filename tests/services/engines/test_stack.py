"""Whole stacks: side by side, one folder, by address, killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from kafka.admin import KafkaAdminClient

from services.engines import leftovers
from services.engines.child import REPOSITORY
from services.engines.errors import EngineError
from services.engines.kafka import check_kafka
from services.engines.plan import StackOptions
from services.engines.ray import ServeApp
from services.engines.stack import Stack, running_stack
from services.settings import STATE_FILE, load_settings

APP = "tests.services.engines.echo_app:build"
PATIENCE_S = 60.0


@pytest.mark.connected
@pytest.mark.slow
def test_an_application_runs_on_ray_with_everything_around_it(tmp_path: Path) -> None:
    app = ServeApp(APP, {"word": "hello"}, http_port=31_870)
    with running_stack(tmp_path, {"kafka", "s3", "ray"}, {"gateway", "ingest"}, app=app) as stack:
        known = stack.settings
        assert httpx.get("http://127.0.0.1:31870/", timeout=30).json() == {
            "word": "hello",
            "kafka": known.kafka_bootstrap,
        }
        assert httpx.get(f"{known.gateway_url}/readyz", timeout=30).is_success
        assert load_settings(tmp_path) == known  # what the command line finds
        assert set(stack.pids()) == {"kafka", "s3", "ray", "serve", "gateway", "ingest"}
        run_id = stack.run_id
    assert leftovers.marked(run_id) == []
    assert load_settings(tmp_path).kafka_bootstrap == ""


@pytest.mark.connected
@pytest.mark.slow
def test_an_application_that_cannot_be_built_is_named(tmp_path: Path) -> None:
    app = ServeApp("tests.services.engines.echo_app:build_broken")
    with (
        pytest.raises(EngineError, match=r"(?s)serve: .*no such weights.*whole log: .*serve\.log"),
        running_stack(tmp_path, {"ray"}, app=app),
    ):
        pass


@pytest.mark.connected
def test_a_folder_runs_one_stack_and_a_taken_port_is_named(juicefs_s3, tmp_path: Path) -> None:
    taken = int(juicefs_s3.s3_endpoint.rpartition(":")[2])
    with pytest.raises(EngineError, match="already runs"):
        Stack(StackOptions(juicefs_s3.data, frozenset({"s3"}), frozenset(), None))
    with pytest.raises(EngineError, match=f"port {taken} for s3 is already taken"):
        Stack(StackOptions(tmp_path, frozenset({"s3"}), frozenset(), None, ports={"s3": taken}))


def test_an_engine_given_by_address_is_used_and_not_started(
    juicefs_s3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in juicefs_s3.environment().items():
        if "_S3_" in name:
            monkeypatch.setenv(name, value)
    with running_stack(tmp_path, {"s3"}) as stack:
        assert stack.settings.s3_endpoint == juicefs_s3.s3_endpoint
        assert stack.pids() == {}


def test_an_engine_given_by_address_that_is_silent_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMREFER_TRITON_URL", "127.0.0.1:9")
    with pytest.raises(
        EngineError, match=r"triton: 127\.0\.0\.1:9 \(from STREAMREFER_TRITON_URL\) does not answer"
    ):
        Stack(StackOptions(tmp_path, frozenset({"triton"}), frozenset(), None))


@pytest.mark.connected
def test_a_killed_stack_leaves_nothing_and_the_next_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from services.engines.stack import running_stack\n"
        "with running_stack(Path(sys.argv[1]), {'s3'}, s3_kind='juicefs') as stack:\n"
        "    Path(sys.argv[1], 'up').touch(); time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=REPOSITORY)
    _until((tmp_path / "up").exists)
    state = json.loads((tmp_path / STATE_FILE).read_text())
    process.kill()
    process.wait()
    _until(lambda: leftovers.marked(state["run_id"]) == [])
    with running_stack(tmp_path, {"s3"}) as stack:
        assert stack.settings.s3_endpoint == state["settings"]["s3_endpoint"]
        assert stack.settings.s3_secret_key.get_secret_value() == state["settings"]["s3_secret_key"]


@pytest.mark.connected
def test_a_killed_engine_comes_back_with_its_data(tmp_path: Path) -> None:
    with running_stack(tmp_path, {"kafka"}) as stack:
        before = stack.pids()["kafka"]
        topics = _topics(stack.settings.kafka_bootstrap)
        os.kill(before, signal.SIGKILL)
        _until(lambda: stack.pids()["kafka"] != before)
        stack.wait(0.0)  # no failure
        _until(lambda: _answers(lambda: check_kafka(stack.settings.kafka_bootstrap)))
        assert topics and _topics(stack.settings.kafka_bootstrap) == topics


@pytest.mark.connected
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_stops_on_a_signal_even_while_it_starts(tmp_path: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-m", "services.cli.main", "up", "--data", str(tmp_path), "--app", APP]
    models = ["--models", str(Path(__file__).parent / "models")]
    process = subprocess.Popen(
        [*argv, *models], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    _until((tmp_path / "logs" / "kafka.log").exists)
    run_id = json.loads((tmp_path / STATE_FILE).read_text())["run_id"]
    os.kill(process.pid, number)
    text, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0 and b"stopped; everything is kept" in text
    assert leftovers.marked(run_id) == []


def _until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _answers(check) -> bool:  # type: ignore[no-untyped-def]
    try:
        check()
    except Exception:  # any error of the client: not yet
        return False
    return True


def _topics(bootstrap: str) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    names = set(admin.list_topics())
    admin.close()
    return names
