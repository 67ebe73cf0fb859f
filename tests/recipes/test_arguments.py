"""Arguments of the recipes: what means nothing is refused in a line, before any work."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from recipes import arguments
from recipes.calibrate_captioner import LEAST_WORLDS, calibration_json
from recipes.captioner.certainty import LEAST_WORDS

WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "captioner-embedded"
RECIPES = {
    "evaluate_captioner": ["--worlds", "--seed", "--strangers", "--threads"],
    "evaluate_continuity": ["--streams", "--minutes", "--seed", "--threads"],
    "evaluate_following": ["--streams", "--minutes", "--seed", "--threads"],
    "evaluate_real": ["--fps", "--threads"],
    "evaluate_real_words": ["--threads"],
    "evaluate_tracker": ["--worlds", "--seed", "--frames", "--threads"],
    "evaluate_videorefer": ["--limit", "--fps", "--max-frames", "--max-new-tokens", "--threads"],
    "calibrate_captioner": ["--worlds", "--strangers", "--unsure-below"],
    "compare_compression": [
        "--train-clips",
        "--held-out-clips",
        "--steps",
        "--minutes",
        "--seed",
        "--threads",
    ],
    "make_demo_video": ["--seconds", "--fps", "--width", "--height", "--seed", "--b-frames"],
    "make_variants": ["--seconds", "--side"],
    "measure_checkpoints": ["--minutes", "--seed", "--mask-side-px", "--threads"],
    "measure_endless": ["--steps", "--limit-s", "--seed"],
    "measure_full_size": ["--frames", "--tokens"],
    "quality_table": ["--worlds", "--tracker-worlds", "--seed"],
    "train_captioner": [
        *("--clips", "--strangers", "--seed", "--threads", "--encoder-steps", "--language-steps"),
        *("--encoder-minutes", "--language-minutes"),
    ],
    "train_tracker": [
        *("--clips", "--textures", "--wide", "--seed", "--threads", "--stop-after-min", "--check-every"),
        "--export-size",
    ],
}
ON_A_DEVICE = [name for name in RECIPES if name.startswith(("evaluate", "train"))]


def refusal(
    name: str, given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The one line that a recipe ends with, exit code 2."""
    monkeypatch.setattr("sys.argv", [name, *given])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"recipes.{name}").main()
    shown = capsys.readouterr()
    assert ended.value.code == 2 and shown.out == ""
    assert shown.err.count("\n") == 1 and shown.err.startswith(f"{name}: ")
    return shown.err


@pytest.mark.parametrize("name", RECIPES)
def test_numbers_that_mean_nothing_are_refused(name: str, monkeypatch, capsys) -> None:
    for option in RECIPES[name]:
        for value in ("-1", "none", "nan"):
            assert f"argument {option}: " in refusal(name, [f"{option}={value}"], monkeypatch, capsys)


@pytest.mark.parametrize("name", ON_A_DEVICE)
def test_unknown_devices_are_refused(name: str, monkeypatch, capsys) -> None:
    for value in ("foo", "meta", ""):
        assert "argument --device: " in refusal(name, ["--device", value], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("name", "given", "fault"),
    [
        ("evaluate_captioner", ["--worlds", "0"], "0 is too little: at least 1"),
        ("evaluate_continuity", ["--minutes", "0"], "0 must be above 0"),
        ("evaluate_captioner", ["--weights", "nowhere"], "nowhere: no such folder"),
        ("evaluate_tracker", ["--weights", __file__], "is a file, no folder"),
        ("evaluate_real", ["nowhere"], "nowhere: no such folder"),
        ("train_tracker", ["--run", "x", "--warm", "nowhere"], "nowhere: no such file"),
        ("train_captioner", ["--run", __file__, "--out", "x"], "is a file, no folder"),
        ("make_demo_video", ["x.mp4", "--width", "333"], "even sides"),
        ("calibrate_captioner", [str(WEIGHTS), "--unsure-below", "7"], "7 must be a share, from 0 to 1"),
        (
            "calibrate_captioner",
            [str(WEIGHTS), "--worlds", "2"],
            f"2 worlds are too few, at least {LEAST_WORLDS}",
        ),
    ],
)
def test_what_is_wrong_is_said(
    name: str, given: list[str], fault: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fault in refusal(name, given, monkeypatch, capsys)


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_folders_that_hold_no_model_are_named(content: str, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "config.json").write_text(content, encoding="latin-1")
    (tmp_path / "weights.safetensors").write_bytes(b"none")
    for name in ("evaluate_captioner", "evaluate_tracker"):
        assert str(tmp_path) in refusal(name, ["--weights", str(tmp_path)], monkeypatch, capsys)
    assert str(tmp_path) in refusal("calibrate_captioner", [str(tmp_path)], monkeypatch, capsys)
    given = ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "out"), "--start", str(tmp_path)]
    assert str(tmp_path) in refusal("train_captioner", given, monkeypatch, capsys)
    assert not (tmp_path / "run").exists()


def test_what_means_something_is_taken() -> None:
    assert arguments.positive_int("3") == 3 and arguments.not_negative_int("0") == 0
    assert arguments.positive_float("1e-3") == 0.001 and arguments.not_negative_float("0") == 0.0
    assert (arguments.share("0"), arguments.share("1")) == (0.0, 1.0)
    assert arguments.device("cpu") == torch.device("cpu")


def test_a_curve_of_too_few_words_is_refused() -> None:
    enough = [(0.5, True), (0.9, False)] * (LEAST_WORDS // 2)
    assert calibration_json({"class": enough, "colour": enough}, 0.5)["caution"]["unsure_below"] == 0.5
    with pytest.raises(ValueError, match=f"only {LEAST_WORDS - 1} class words were said"):
        calibration_json({"class": enough[1:], "colour": enough}, 0.5)
    with pytest.raises(ValueError, match="only 0 colour words"):
        calibration_json({"class": enough}, 0.5)
