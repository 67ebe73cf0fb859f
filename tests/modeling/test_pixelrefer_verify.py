"""Verifying model folders: right ones pass, and each thing that is wrong is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.pixelrefer.verify import Report, verify_folder
from tests.modeling.official_layout import write_official
from tests.modeling.tiny_captioner import write_tiny

FIRST, LAST = "model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"
CAUTION = '{"curves": [], "caution": {"names": [], "articles": [], "unsure_below": %s}}'
EMBEDDED = Path(__file__).resolve().parents[2] / "weights" / "captioner-embedded"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_official(tmp_path, "pixelrefer-2b")
    return tmp_path


def edit_json(path: Path, **edits: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | edits))


def edit_shard(folder: Path, shard: str, change: Callable[[dict], None]) -> None:
    tensors = load_file(folder / shard)
    change(tensors)
    save_file(tensors, folder / shard)


def only_fault(report: Report) -> str:
    assert len(report.faults) == 1 and not report.right, report.faults
    assert "\n" not in report.faults[0]
    return report.faults[0]


@pytest.mark.parametrize("variant", ["pixelrefer-2b", "pixelrefer-lite-7b"])
def test_a_checkpoint_in_the_official_layout_is_right(tmp_path: Path, variant: str) -> None:
    written = write_official(tmp_path, variant)
    report = verify_folder(tmp_path, values=True)
    assert report.right and report.notes == [], (report.faults, report.notes)
    assert report.tensors == len(written) and report.number_format == "bfloat16"
    assert report.parameters == sum(tensor.numel() for tensor in written.values())
    assert report.stored_bytes == 2 * report.parameters


def test_the_embedded_captioner_is_right() -> None:
    report = verify_folder(EMBEDDED, values=True)
    assert report.right and report.framework == "pixelreferlite", report.faults


def test_a_lost_shard_is_one_fault_and_not_many(folder: Path) -> None:
    (folder / LAST).unlink()
    assert only_fault(verify_folder(folder, values=True)).endswith(f"lacks {LAST}, named by its index")


def test_a_cut_off_shard_is_named(folder: Path) -> None:
    (folder / LAST).write_bytes((folder / LAST).read_bytes()[:-2])
    assert f"{LAST} is not a readable safetensors file" in only_fault(verify_folder(folder))


def test_wrong_tensors_are_counted_and_named(folder: Path) -> None:
    def change(tensors: dict) -> None:
        name = next(
            name for name in sorted(tensors) if name.startswith("model.layers.") and tensors[name].ndim == 2
        )
        tensors[name] = tensors[name][:-1].clone()

    edit_shard(folder, LAST, change)
    edit_shard(folder, FIRST, change)
    fault = only_fault(verify_folder(folder))
    assert fault.startswith("2 wrong shape: model.layers.") and fault.count("(should be [") == 2


def test_a_configuration_for_more_layers_finds_them_missing(folder: Path) -> None:
    edit_json(folder / "config.json", num_hidden_layers=3)
    assert only_fault(verify_folder(folder)).startswith("12 missing: model.layers.2.input_layernorm.weight")


def test_formats_that_are_no_weights_are_faults_and_others_notes(folder: Path) -> None:
    edit_shard(folder, FIRST, lambda tensors: tensors.update({"model.norm.weight": torch.ones(96)}))
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert index["model.norm.weight"] != FIRST  # so the tensor is also in two shards
    names = [name for name, shard in index.items() if shard == LAST][:2]
    edit_shard(folder, LAST, lambda t: t.update({names[0]: t[names[0]].to(torch.int8)}))
    report = verify_folder(folder)
    assert any("model.norm.weight is both in" in fault for fault in report.faults)
    assert any(fault == f"1 no number format of weights: {names[0]} I8" for fault in report.faults)
    edit_json(folder / "config.json", torch_dtype="float32")
    assert any("computed in float32: loading casts" in note for note in verify_folder(folder).notes)


def test_numbers_that_are_none_are_found_on_request(folder: Path) -> None:
    def spoil(tensors: dict) -> None:
        name = sorted(tensors)[0]
        tensors[name].view(-1)[:3] = torch.tensor([float("nan"), float("inf"), 0.0])

    edit_shard(folder, FIRST, spoil)
    assert verify_folder(folder).right
    assert "1 with NaN or infinity: " in only_fault(verify_folder(folder, values=True))
    assert "(2 of " in only_fault(verify_folder(folder, values=True))


def test_a_head_that_is_no_copy_of_its_table_is_found(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    table = tensors["model.embed_tokens.weight"]
    save_file(tensors | {"lm_head.weight": table.clone()}, folder / "model.safetensors")
    assert verify_folder(folder, values=True).right
    save_file(tensors | {"lm_head.weight": table + 1}, folder / "model.safetensors")
    assert "lm_head.weight differs" in only_fault(verify_folder(folder, values=True))


def test_the_small_files_are_judged(folder: Path) -> None:
    (folder / "generation_config.json").write_text('{"eos_token_id": "end"}')
    (folder / "preprocessor_config.json").write_text("[]")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] = [t for t in tokenizer["added_tokens"] if t["content"] != "<|im_end|>"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    faults = verify_folder(folder).faults
    assert [fault.split(":")[0] for fault in faults] == [
        "preprocessor_config.json",
        "generation_config.json",
        "tokenizer",
    ]
    assert "lacks <|im_end|>" in faults[2]
    (folder / "tokenizer.json").write_text("{}")
    assert verify_folder(folder).faults[2].startswith("tokenizer: ")
    (folder / "tokenizer.json").unlink()
    assert "neither tokenizer.json nor vocab.json" in verify_folder(folder).faults[2]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "Expecting"),
        ("[]", "list indices"),
        ('{"curves": []}', "'caution' is missing"),
        *(
            (CAUTION % value, "unsure_below must be")
            for value in ("7", "-0.1", "NaN", "true", '"0.5"', "null")
        ),
    ],
)
def test_a_calibration_that_is_none_is_named(tmp_path: Path, content: str, fault: str) -> None:
    folder = write_tiny(tmp_path)
    (folder / "calibration.json").write_text(content)
    found = only_fault(verify_folder(folder))
    assert found.startswith(f"{folder / 'calibration.json'} is no calibration: ") and fault in found
    assert "recipes.calibrate_captioner" in found


def test_a_calibration_of_words_that_the_model_lacks_is_named(folder: Path) -> None:
    caution = {"names": ["unicorn"], "articles": [], "unsure_below": 0.5, "instead": "something"}
    (folder / "calibration.json").write_text(json.dumps({"curves": [], "caution": caution}))
    assert "calibration.json is no calibration: " in only_fault(verify_folder(folder))


def test_a_profile_that_means_nothing_is_named(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    edit_json(folder / "config.json", profile={"frames": 0})
    assert only_fault(verify_folder(folder)).startswith(f"{folder / 'config.json'}: frames must be a whole")


def test_tokens_beyond_the_table_are_found(folder: Path) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    table = index["model.embed_tokens.weight"]
    edit_shard(
        folder,
        table,
        lambda t: t.update({"model.embed_tokens.weight": t["model.embed_tokens.weight"][:300].clone()}),
    )
    report = verify_folder(folder)
    assert "tokenizer: <REGION> is token 325, the table has 300 rows" in report.faults
    assert any("config.json says vocab_size 326, the tensors say 300" in note for note in report.notes)


def test_unreadable_configurations_are_named_with_the_shards(folder: Path) -> None:
    (folder / LAST).unlink()
    (folder / "config.json").write_text("{")
    faults = verify_folder(folder).faults
    assert len(faults) == 2 and "not valid JSON" in faults[0] and LAST in faults[1]
    edit = {"model_type": "llama", "torch_dtype": "int4"}
    (folder / "config.json").write_text(json.dumps(edit))
    assert any("number format 'int4'" in fault for fault in verify_folder(folder).faults)
    assert any("model_type 'llama'" in fault for fault in verify_folder(folder).faults)


def test_an_empty_or_absent_folder_is_reported(tmp_path: Path) -> None:
    faults = verify_folder(tmp_path / "nothing").faults
    assert "config.json is missing" in faults[0] and "holds no weights" in faults[1]
