"""What the tracker's variables mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.settings import SettingsError
from services.tracker import app
from services.tracker.settings import PREFIX, load_tracker_settings


def test_video_hardware_is_used_only_where_it_is_named() -> None:
    assert load_tracker_settings({}).stream().hardware.kind == "off"
    chosen = load_tracker_settings({f"{PREFIX}DECODE_HARDWARE": "cuda", f"{PREFIX}DECODE_THREADS": "3"})
    assert (chosen.stream().hardware.kind, chosen.stream().decode_threads) == ("cuda", 3)


def test_hardware_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}DECODE_HARDWARE: .*'abacus' is none of off, auto"):
        load_tracker_settings({f"{PREFIX}DECODE_HARDWARE": "abacus"})


@pytest.mark.parametrize(
    ("device", "precision", "mixed"),
    [("cpu", "auto", False), ("cuda", "auto", True), ("cuda", "float32", False), ("cpu", "bfloat16", True)],
)
def test_mixed_precision_and_compiling_are_switches(
    monkeypatch: pytest.MonkeyPatch, device: str, precision: str, mixed: bool
) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(app, "load_segmenter", lambda *where, **how: asked.update(how))
    chosen = {f"{PREFIX}DEVICE": device, f"{PREFIX}PRECISION": precision}
    app.load(load_tracker_settings(chosen))
    assert asked == {"bfloat16": mixed, "compiled": False, "hidden_every": 1, "input_px": None}
    app.load(load_tracker_settings(chosen | {f"{PREFIX}COMPILED": "true", f"{PREFIX}HIDDEN_EVERY": "4"}))
    assert asked["compiled"] is True and asked["hidden_every"] == 4


def test_shedding_is_off_unless_asked_for() -> None:
    assert load_tracker_settings({}).stream().shed_after_s == 0
    assert load_tracker_settings({f"{PREFIX}SHED_AFTER_S": "120"}).stream().shed_after_s == 120


def test_another_input_size_is_warned_of_and_told_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model": {"image_size": 1024}}))
    (tmp_path / "weights.safetensors").write_bytes(b"weights")
    folder = {f"{PREFIX}WEIGHTS": str(tmp_path)}
    own = load_tracker_settings(folder)
    assert own.size_warning() == "" and own.model().startswith(f"{tmp_path.name}@")
    assert load_tracker_settings(folder | {f"{PREFIX}INPUT_PX": "1024"}).size_warning() == ""
    smaller = load_tracker_settings(folder | {f"{PREFIX}INPUT_PX": "512"})
    assert "INPUT_PX is 512" in smaller.size_warning() and "trained at 1024" in smaller.size_warning()
    assert smaller.model() == f"{own.model()}/512px"
    with pytest.raises(SettingsError, match="INPUT_PX: .*multiple of 32"):
        load_tracker_settings({f"{PREFIX}INPUT_PX": "500"})
