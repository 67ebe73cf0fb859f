"""Settings: where they come from, which source wins, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from services.settings import STATE_FILE, Settings, SettingsError, load_settings


def _announce(folder: Path, pid: int, **addresses: str) -> None:
    (folder / STATE_FILE).write_text(json.dumps({"pid": pid, "settings": addresses}))


def test_the_environment_wins_over_file_and_running_stack(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"kafka_bootstrap": "file:1", "s3_bucket": "file"}))
    _announce(tmp_path, os.getpid(), kafka_bootstrap="running:1", triton_url="running:2", s3_bucket="running")
    environ = {"STREAMREFER_SETTINGS": str(file), "STREAMREFER_KAFKA_BOOTSTRAP": "environment:1"}
    settings = load_settings(tmp_path, environ)
    assert (settings.kafka_bootstrap, settings.s3_bucket, settings.triton_url) == (
        "environment:1",
        "file",
        "running:2",
    )


def test_addresses_of_a_dead_stack_are_not_used(tmp_path: Path) -> None:
    _announce(tmp_path, 2**22 + 1, kafka_bootstrap="dead:1")
    assert load_settings(tmp_path, {}).kafka_bootstrap == ""


def test_a_stack_that_starts_does_not_take_its_own_old_addresses_for_external(tmp_path: Path) -> None:
    _announce(tmp_path, os.getpid(), kafka_bootstrap="old:1")
    assert load_settings(tmp_path, {}, running=False).kafka_bootstrap == ""


def test_a_child_reads_what_its_parent_wrote(tmp_path: Path) -> None:
    parent = Settings(data=tmp_path, s3_secret_key="secret", s3_secure=True, kafka_bootstrap="host:9092")
    assert load_settings(None, parent.environment()) == parent


def test_secrets_do_not_show() -> None:
    assert "hidden" not in repr(Settings(s3_secret_key="hidden", ray_token="hidden"))


@pytest.mark.parametrize("text", ["{", "[1]", '{"kafka_bootstrp": "typo:1"}'])
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path, {"STREAMREFER_SETTINGS": str(file)})
    assert "\n" not in str(caught.value)


def test_a_value_of_the_wrong_form_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="s3_secure"):
        load_settings(tmp_path, {"STREAMREFER_S3_SECURE": "perhaps"})
