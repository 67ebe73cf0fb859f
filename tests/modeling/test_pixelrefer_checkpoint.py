"""Model folders: what is read, and how each fault is named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.pixelrefer.checkpoint import GenerationSettings, infer_vision, load_config, load_model
from modeling.pixelrefer.generate import Captioner
from modeling.weights import WeightsError, stored_shapes
from tests.modeling.tiny_captioner import request, write_tiny

NORM = "model.norm.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny(tmp_path)


def change(folder: Path, **edits: torch.Tensor | None) -> None:
    """Replace, add or (None) remove stored tensors."""
    tensors = load_file(folder / "model.safetensors") | edits
    save_file({k: v for k, v in tensors.items() if v is not None}, folder / "model.safetensors")


def test_a_written_model_is_read_back_exactly(folder: Path) -> None:
    network = load_model(folder)
    stored = load_file(folder / "model.safetensors")
    assert network.state_dict().keys() == stored.keys()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in network.state_dict().items())
    assert not network.training and network.dtype == torch.float32


def test_lower_precision_is_kept_on_request(folder: Path) -> None:
    assert load_model(folder, torch.bfloat16).dtype == torch.bfloat16
    assert Captioner.load(folder, dtype=torch.bfloat16).describe(request()).finish == "length"


def test_faults_are_named(folder: Path) -> None:
    change(
        folder,
        **{NORM: None, "model.extra": torch.zeros(1), "model.layers.0.mlp.up_proj.weight": torch.ones(3)},
    )
    with pytest.raises(WeightsError) as fault:
        load_model(folder)
    assert f"missing {NORM}" in str(fault.value) and "unknown model.extra" in str(fault.value)
    assert "model.layers.0.mlp.up_proj.weight [3] (should be [48, 32])" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_unused_and_duplicate_tensors_are_forgiven(folder: Path) -> None:
    unused = "model.region_encoder.mask_embedding.weight"
    table = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    change(folder, **{unused: None, "lm_head.weight": table.clone()})
    assert not load_model(folder).state_dict()[unused].any()


def test_the_table_decides_the_vocabulary(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    rows = config["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 5}))
    assert load_config(folder).language.vocab_size == rows


def test_vision_sizes_are_inferred_where_no_block_says_them(folder: Path) -> None:
    assert infer_vision(stored_shapes(folder), heads=2) == load_model(folder).config.vision
    with pytest.raises(WeightsError, match="no vision encoder"):
        infer_vision({})


def shard(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    parts = {"a.safetensors": sorted(tensors)[::2], "b.safetensors": sorted(tensors)[1::2]}
    for name, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, folder / name)
    index = {"weight_map": {key: name for name, keys in parts.items() for key in keys}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()


def test_shards_make_one_model(folder: Path) -> None:
    whole = Captioner.load(folder).describe(request()).token_ids
    shard(folder)
    assert Captioner.load(folder).describe(request()).token_ids == whole
    (folder / "b.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"lacks b\.safetensors"):
        load_model(folder)


def test_torch_files_are_read_as_weights_only(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert torch.equal(load_model(folder).state_dict()[NORM], tensors[NORM])
    torch.save({"model": Path("/")}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="not a readable weights file"):
        load_model(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 64])
def test_a_broken_file_is_named(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_model(folder)


def test_a_cut_off_file_is_named(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_model(folder)


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"expected model\.safetensors"):
        load_model(folder)
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        load_model(tmp_path / "absent")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ({"model_type": "llama"}, "model_type 'llama'"),
        ({"num_key_value_heads": 3}, "4 query heads cannot share 3"),
        ({"geometry": {"margin": 3}}, "does not know margin"),
    ],
)
def test_a_wrong_configuration_is_refused(folder: Path, edit: dict, complaint: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | edit))
    with pytest.raises(ValueError, match=complaint):
        load_model(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="not valid JSON"):
        load_model(folder)


def test_generation_settings_are_honoured(folder: Path) -> None:
    plain = Captioner.load(folder).describe(request()).token_ids
    settings = {"repetition_penalty": 50.0, "eos_token_id": [plain[0] + 10**6]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    assert GenerationSettings.load(folder) == GenerationSettings(50.0, (plain[0] + 10**6,))
    said = Captioner.load(folder).describe(request()).token_ids
    assert len(set(said)) == len(said)
