"""Our captioners against reference values: the committed part always, the full sets where they are at hand."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.check_parity import main
from recipes.parity import pixel_shuffle, pixelrefer
from recipes.parity.table import Row, WrongFolder, compare, equal

COMMITTED = Path(__file__).parents[1] / "data" / "parity"
FULL = Path(__file__).parents[3] / "shared" / "parity"

needs_full = pytest.mark.skipif(
    not FULL.exists(), reason="the full reference values are not beside the repository"
)


def misses(rows: list[Row]) -> list[Row]:
    return [row for row in rows if not row.ok]


def test_committed_pixelrefer_values_hold() -> None:
    rows = pixelrefer.rows(COMMITTED / "pixelrefer")
    assert misses(rows) == []
    assert {row.case for row in rows} == {
        "tables",
        "pixelrefer/few_tokens",
        "pixelreferlite/empty_and_normal",
    }


def test_committed_shuffle_layouts_hold() -> None:
    rows = pixel_shuffle.rows(COMMITTED / "pixel_shuffle")
    assert len(rows) == 18 and misses(rows) == []


@needs_full
@pytest.mark.parametrize("framework", ["pixelrefer", "pixelreferlite"])
def test_full_values_hold(framework: str) -> None:
    rows = pixelrefer.rows(FULL / "pixelrefer" / framework)
    assert len(rows) > 90 and misses(rows) == []


@needs_full
def test_full_tables_and_perceiver_hold() -> None:
    rows = pixel_shuffle.rows(FULL / "pixel_shuffle")
    assert any(row.case == "perceiver" for row in rows) and misses(rows) == []


def test_a_changed_weight_is_a_miss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pixelreferlite"
    shutil.copytree(COMMITTED / "pixelrefer", tmp_path, dirs_exist_ok=True)
    weights = load_file(folder / "model.safetensors")
    weights["model.region_encoder.ln_local.bias"][0] += 0.01
    save_file(weights, folder / "model.safetensors")
    assert main(["pixelrefer", str(folder)]) == 1
    printed = capsys.readouterr().out
    missed = [line for line in printed.splitlines() if "MISS" in line]
    assert "after local view" in missed[0] and "encoder" not in " ".join(missed)


@pytest.mark.parametrize("part", ["pixelrefer", "pixel_shuffle"])
def test_a_wrong_folder_gives_one_line(part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([part, str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([part, str(tmp_path / "absent")]) == 2
    assert "is not a folder" in capsys.readouterr().err


def test_a_case_without_its_file_is_a_wrong_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pixelreferlite"
    shutil.copytree(COMMITTED / "pixelrefer" / "pixelreferlite", folder)
    shutil.copytree(COMMITTED / "pixelrefer" / "tokenizer", tmp_path / "tokenizer")
    (folder / "empty_and_normal.safetensors").unlink()
    with pytest.raises(WrongFolder, match="empty_and_normal.safetensors"):
        pixelrefer.rows(folder)


def test_rows_judge_shapes_and_nan() -> None:
    assert not compare("c", "s", torch.zeros(2), torch.zeros(3), 1.0).ok
    assert not compare("c", "s", torch.tensor([float("nan")]), torch.zeros(1), 1.0).ok
    assert not equal("c", "s", [1, 2], [1, 2, 3]).ok
    assert compare("c", "s", torch.ones(1), torch.ones(1), 0.0).ok
