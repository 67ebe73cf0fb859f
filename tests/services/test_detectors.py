"""Choosing a detector by name: what is found, and one line for what is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services.detectors import DETECTOR, chosen_detector, detector_folder
from services.engines.errors import EngineError
from services.engines.stack import running_stack
from services.engines.triton import model_names
from services.settings import Settings, SettingsError
from services.tiers import TierUnusable
from services.tracker.detecting import NotChosen, detector_of
from services.tracker.settings import PREFIX, load_tracker_settings

MODELS = Path(__file__).parents[2] / "model_repo"
CONFIG = {"input_px": 64, "layout": "yolo", "names": ["person"]}


def write(folder: Path, config: object = CONFIG) -> Path:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"looked into by Triton only")
    (folder / "detector.json").write_text(json.dumps(config))
    return folder


def test_a_name_is_a_folder_of_the_weights_and_a_path_is_a_path(tmp_path: Path) -> None:
    folder = write(tmp_path / "yolo")
    assert detector_folder("yolo", tmp_path) == folder == detector_folder(str(folder), Path("/elsewhere"))
    assert chosen_detector(tmp_path, {DETECTOR: "yolo"}) == {DETECTOR: str(folder)}
    assert chosen_detector(tmp_path, {}) == {} == chosen_detector(tmp_path, {DETECTOR: ""})


def test_a_folder_that_holds_no_detector_is_told_in_one_line(tmp_path: Path) -> None:
    wrong = {
        "yolo": r"STREAMREFER_TRACKER_DETECTOR: there is no model\.onnx in .*yolo; docs/detectors\.md",
        str(write(tmp_path / "bad", {**CONFIG, "layout": "ssd"})): "layout: one of yolo, boxes, not 'ssd'",
    }
    for named, words in wrong.items():
        with pytest.raises(TierUnusable, match=words) as caught:
            detector_folder(named, tmp_path)
        assert "\n" not in str(caught.value)


def test_the_stack_refuses_it_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DETECTOR, "no-such-detector")
    with (
        pytest.raises(EngineError, match=r"there is no model\.onnx in .*no-such-detector"),
        running_stack(tmp_path, {"triton"}),
    ):
        pass


def test_its_model_is_loaded_only_where_it_is_chosen() -> None:
    assert model_names(MODELS, {}) == ("pixelrefer",)
    assert model_names(MODELS, {DETECTOR: "/weights/yolo"}) == ("detector", "pixelrefer")


def test_a_tracker_needs_a_triton_for_it() -> None:
    own = load_tracker_settings({DETECTOR: "yolo", f"{PREFIX}DETECTOR_EVERY": "2"})
    assert own.tracks().detect_every == 2
    with pytest.raises(
        SettingsError, match="DETECTOR is yolo, but there is no Triton: set STREAMREFER_TRITON_URL"
    ):
        detector_of(Settings(), own)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DETECTOR_EVERY", "0", "greater than or equal to 1"),
        ("DETECTOR_DEADLINE_S", "30", "less than or equal to 2"),
        ("DETECTOR_DEADLINE_S", "soon", "valid number"),
    ],
)
def test_settings_that_mean_nothing_are_named(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}{name}: .*{words}") as caught:
        load_tracker_settings({PREFIX + name: value})
    assert "\n" not in str(caught.value)


def test_words_without_a_detector_are_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    nobody = detector_of(Settings(), load_tracker_settings({}))
    assert isinstance(nobody, NotChosen)
    for _ in range(3):
        assert nobody.propose(np.zeros((2, 2, 3), np.uint8), ["person", "car"]) is None
        assert nobody.propose(np.zeros((2, 2, 3), np.uint8)) is None
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and told[0].startswith("a camera asks for person, car, but no detector is chosen")
