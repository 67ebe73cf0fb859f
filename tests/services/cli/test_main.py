"""The program itself: its commands, its version, and one-line answers to wrong options."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contracts.segments import SegmentHeader
from services.adapters.topic_reader import Results
from services.cli.camera import words_to_find
from services.cli.main import app


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_every_command_explains_itself() -> None:
    for command in ("up", "down", "demo", "camera", "models", "watch", "ask", "ledger", "doctor", "version"):
        assert _run(command, "--help").exit_code == 0, command


def test_version_is_that_of_the_project() -> None:
    assert _run("version").stdout == "streamrefer 0.1.0\n"
    versions = json.loads(_run("version", "--json").stdout)
    assert versions["streamrefer"] == "0.1.0" and versions["apache-kafka"] == "4.3.1"
    assert "missing" not in versions.values()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--engine-port", "kafka"), "--engine-port wants NAME=PORT"),
        (("--engine-port", "kafka=70000"), "--engine-port wants NAME=PORT"),
        (("--s3", "ceph"), "--s3 is minio or juicefs, not ceph"),
    ],
)
def test_wrong_options_of_up_are_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    answer = _run("up", "--data", str(tmp_path), *arguments)
    assert answer.exit_code == 2
    assert words in answer.stderr and answer.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["up", "demo"])
@pytest.mark.parametrize("port", ["-1", "70000"])
def test_a_port_that_cannot_be_is_refused(tmp_path: Path, command: str, port: str) -> None:
    answer = _run(command, "--data", str(tmp_path), "--port", port)
    assert answer.exit_code == 2 and "Invalid value for '--port'" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--engine-port", "kafak=31000"), "no port here is called kafak; there are gateway, kafka,"),
        (("--host", "999.1.1.1"), "cannot listen on 999.1.1.1"),
    ],
)
def test_unusable_names_and_hosts_are_told_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    answer = _run("up", "--data", str(tmp_path), *arguments)
    assert answer.exit_code == 1
    assert words in answer.stderr and answer.stderr.count("\n") == 1


@pytest.mark.parametrize("seconds", ["-5", "nan"])
def test_a_demo_of_no_duration_is_refused(tmp_path: Path, seconds: str) -> None:
    answer = _run("demo", "--data", str(tmp_path / "data"), "--duration", seconds)
    assert answer.exit_code == 2 and "--duration wants seconds" in answer.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("fps", ["0", "-1", "31", "nan"])
def test_a_camera_of_an_impossible_frame_rate_is_refused(fps: str) -> None:
    answer = _run("camera", "add", "door", "rtsp://door/cam", "--fps", fps)
    assert answer.exit_code == 2 and "--fps wants more than 0" in answer.stderr


@pytest.mark.parametrize("command", [("add", "door", "rtsp://door/cam"), ("set", "door")])
def test_a_memory_policy_that_nobody_knows_is_refused(command: tuple[str, ...]) -> None:
    answer = _run("camera", *command, "--memory-policy", "best")
    assert answer.exit_code == 2 and answer.stderr.count("\n") == 1
    assert (
        "--memory-policy is one of official, skip-absent, quality, motion, distractor, not best"
        in answer.stderr
    )


@pytest.mark.parametrize("words", ["x" * 61, ",".join(str(n) for n in range(21)), "a\nb"])
def test_words_that_cannot_be_looked_for_are_refused(words: str) -> None:
    answer = _run("camera", "add", "door", "rtsp://door/cam", "--find", words)
    assert answer.exit_code == 2 and "--find takes up to 20 words" in answer.stderr


def test_words_are_what_stands_between_commas() -> None:
    assert words_to_find("person, fire hydrant,,person ") == {"find": ["person", "fire hydrant"]}
    assert words_to_find(" ") == {"find": None} and words_to_find(None) == {}


@pytest.mark.parametrize("command", [("ledger",), ("camera", "list"), ("watch",)])
def test_an_unreadable_settings_file_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STREAMREFER_SETTINGS", "/no/such/file")
    answer = _run(*command)
    assert answer.exit_code == 2
    assert "/no/such/file cannot be read" in answer.stderr and answer.stderr.count("\n") == 1


def test_the_account_of_an_unknown_camera_does_not_balance(monkeypatch: pytest.MonkeyPatch) -> None:
    header = SegmentHeader(
        camera_id="yard", epoch=1, seq=0, epoch_start_s=100.0, start_s=100.0, end_s=101.0, ingested_at=101.0
    )
    monkeypatch.setenv("STREAMREFER_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    monkeypatch.setattr("services.cli.ledger.read_results", lambda *_: Results(segments=[header]))
    assert _run("ledger", "--no-references", "--camera", "yard").exit_code == 0
    answer = _run("ledger", "--no-references", "--camera", "unknown", "--json")
    assert answer.exit_code == 1 and answer.stdout == ""
    assert "no message is of camera 'unknown'" in answer.stderr


def test_up_without_a_model_repository_says_so(tmp_path: Path) -> None:
    answer = _run("up", "--data", str(tmp_path / "data"), "--models", str(tmp_path))
    assert answer.exit_code == 1
    assert f"triton: no model (a folder with config.pbtxt) in {tmp_path}" in answer.stderr


def test_a_taken_port_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        answer = _run("up", "--data", str(tmp_path), "--port", str(port))
    assert answer.exit_code == 1
    assert f"port {port} for gateway is already taken" in answer.stderr and "--port" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_down_where_nothing_runs_says_so(tmp_path: Path) -> None:
    answer = _run("down", "--data", str(tmp_path))
    assert answer.exit_code == 1 and "nothing is running" in answer.stderr
