"""The data folder: one owner, secrets that stay, a file only its owner reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from services.engines.errors import EngineError
from services.engines.state import State
from services.settings import STATE_FILE


def test_secrets_and_ports_survive(tmp_path: Path) -> None:
    state = State(tmp_path)
    secret = state.remembered("s3_secret_key")
    state.values["ports"] = {"kafka": 20_001}
    state.close()
    again = State(tmp_path)
    assert again.remembered("s3_secret_key") == secret
    assert again.values["ports"] == {"kafka": 20_001}


def test_the_file_is_private(tmp_path: Path) -> None:
    State(tmp_path).remembered("s3_secret_key")
    assert stat.S_IMODE((tmp_path / STATE_FILE).stat().st_mode) == 0o600


def test_a_folder_has_one_owner(tmp_path: Path) -> None:
    first = State(tmp_path)
    with pytest.raises(EngineError, match=r"already runs on .*--data"):
        State(tmp_path)
    first.close()
    State(tmp_path).close()


def test_closing_forgets_the_run(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.values |= {"pid": 1, "run_id": "x", "settings": {"kafka_bootstrap": "a:1"}}
    state.close()
    assert State(tmp_path).values.keys() == {"version"}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text("{")
    with pytest.raises(EngineError, match=STATE_FILE):
        State(tmp_path)
    (tmp_path / STATE_FILE).unlink()
    State(tmp_path).close()  # the lock was given up all the same


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="cannot be used"):
        State(tmp_path / "file")
