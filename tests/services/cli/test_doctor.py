"""What the doctor finds, and what it says about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.doctor import Finding, examine, is_fit, memory, packages, weights
from services.cli.main import app
from services.settings import Settings


def test_scarce_memory_is_worth_a_look_and_no_fault() -> None:
    assert memory("MemTotal: 1 kB\nMemAvailable:    8000000 kB\n").state == "ok"
    scarce = memory("MemAvailable:    1000000 kB\n")
    assert scarce.state == "warn" and scarce.words.startswith("1.0 GB available")
    assert is_fit([scarce]) and not is_fit([Finding("java", "fail", "")])


def test_each_model_needs_its_weights(tmp_path: Path) -> None:
    folders = {
        "STREAMREFER_TRACKER_WEIGHTS": tmp_path / "tracker",
        "STREAMREFER_CAPTIONER": tmp_path / "captioner",
    }
    for folder in folders.values():
        folder.mkdir()
    (tmp_path / "tracker" / "weights.safetensors").touch()
    lacking = weights(folders)
    assert lacking.state == "fail" and "captioner (STREAMREFER_CAPTIONER)" in lacking.words
    (tmp_path / "captioner" / "model.safetensors").touch()
    assert weights(folders) == Finding("weights", "ok", "tracker, captioner")


def test_the_environment_is_the_locked_one() -> None:
    assert packages().state == "ok", packages().words


@pytest.mark.connected
def test_running_engines_answer_and_dead_ones_are_faults(
    s3: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    findings = {finding.what: finding for finding in examine(s3.data)}
    assert findings["kafka"].state == findings["s3"].state == "ok"
    assert findings["triton"].state == "off"
    monkeypatch.setenv("STREAMREFER_TRITON_URL", "127.0.0.1:9")
    answer = CliRunner().invoke(app, ["doctor", "--json", "--data", str(tmp_path)])
    found = {finding["what"]: finding for finding in json.loads(answer.stdout)["findings"]}
    assert answer.exit_code == 1
    assert found["triton"]["state"] == "fail" and "127.0.0.1:9 does not answer" in found["triton"]["words"]
