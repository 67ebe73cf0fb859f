"""What the embedded Ray is given before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.engines.errors import EngineError
from services.engines.plan import StackOptions
from services.engines.ray import LONGEST_FOLDER, ServeApp, _folder
from services.engines.stack import Stack
from services.engines.state import State


def test_a_long_data_path_gets_a_short_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    state = State(tmp_path / ("long" * 20))
    folder = _folder(state)
    assert len(str(folder)) <= LONGEST_FOLDER
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert _folder(state) == folder  # the same at the next start
    folder.parent.chmod(0o777)
    with pytest.raises(EngineError, match="not this user's alone"):
        _folder(state)
    folder.rmdir()
    folder.parent.rmdir()


def test_a_new_data_folder_is_closed_to_others(tmp_path: Path) -> None:
    State(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_an_application_needs_a_module_and_a_name(tmp_path: Path) -> None:
    options = StackOptions(tmp_path, frozenset({"ray"}), frozenset(), ServeApp("services.app"))
    with pytest.raises(EngineError, match="'services.app' must have the form module:name"):
        Stack(options)
