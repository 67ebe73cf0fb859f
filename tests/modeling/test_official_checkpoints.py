"""Checkpoints in the official layout: loaded one to one, mapped, and every fault named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.pixelrefer.checkpoint import load_model, meta_network
from modeling.pixelrefer.generate import Captioner
from modeling.stored import WeightsError
from modeling.weights import weights_id
from recipes.full_size.layout import stored_bytes
from recipes.full_size.sizes import published_sizes
from tests.modeling.official_layout import VARIANTS, official_shapes, write_official, write_shards
from tests.modeling.tiny_captioner import request

PARAMETERS = {
    "pixelrefer-2b": 1.96e9,
    "pixelrefer-7b": 8.06e9,
    "pixelrefer-lite-2b": 1.97e9,
    "pixelrefer-lite-7b": 8.07e9,
}
LAST = "model-00003-of-00003.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_official(tmp_path, "pixelrefer-2b")
    return tmp_path


def edit_shard(folder: Path, shard: str, **edits: torch.Tensor | None) -> None:
    """Replace, add or (None) remove tensors of one shard; the index stays as it is."""
    tensors = load_file(folder / shard) | edits
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / shard)


def index(folder: Path) -> dict[str, str]:
    return json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]


def write_index(folder: Path, weight_map: dict[str, str]) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize("variant", VARIANTS)
def test_networks_of_the_published_sizes_have_the_published_tensors(variant: str) -> None:
    framework, sizes = VARIANTS[variant]
    config = published_sizes(framework, variant[-2:])
    network = meta_network(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert shapes == official_shapes(framework, sizes)
    assert stored_bytes(config) / 2 == pytest.approx(PARAMETERS[variant], rel=0.005)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sharded_checkpoint_loads_one_to_one_and_speaks(tmp_path: Path, variant: str) -> None:
    written = write_official(tmp_path, variant)
    network = load_model(tmp_path)
    loaded = network.state_dict()
    assert loaded.keys() == written.keys() and network.dtype == torch.bfloat16
    assert all(torch.equal(loaded[name], tensor) for name, tensor in written.items())
    assert network.config.framework == VARIANTS[variant][0]
    assert network.config.language.tied == ("lm_head.weight" not in written)
    assert len(Captioner.load(tmp_path).describe(request()).token_ids) == 6


def test_weights_from_the_hubs_cache_carry_the_name_of_their_repository(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--Owner--PixelRefer-2B" / "snapshots" / "0123abcd"
    write_official(snapshot, "pixelrefer-2b")
    named = weights_id(snapshot)
    assert named.startswith("PixelRefer-2B@") and "0123abcd" not in named
    snapshot.parent.rename(tmp_path / "copies")
    assert weights_id(tmp_path / "copies" / "0123abcd") == named.replace("PixelRefer-2B", "0123abcd")


def test_another_number_format_is_cast(folder: Path) -> None:
    wide = load_model(folder, torch.float32).state_dict()
    assert all(
        torch.equal(wide[name], tensor.float()) for name, tensor in load_model(folder).state_dict().items()
    )


WEIGHING = """
import re, sys
from pathlib import Path
from modeling.pixelrefer.checkpoint import load_model
def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024
load_model(Path(sys.argv[1]))
before = anonymous()
network = load_model(Path(sys.argv[2]))
total = sum(float(tensor.float().sum()) for tensor in network.state_dict().values() if tensor.ndim == 1)
touched = sum(int(tensor.view(-1)[::1024].ne(0).sum()) for tensor in network.state_dict().values())
print(anonymous() - before, sum(t.numel() * t.element_size() for t in network.state_dict().values()))
"""


def test_no_second_copy_of_the_weights_is_made(folder: Path, tmp_path: Path) -> None:
    """Loaded and touched, weights take no memory of their own: their pages are those of the files."""
    big = tmp_path / "big"
    write_official(big, "pixelrefer-lite-2b")
    config = json.loads((big / "config.json").read_text()) | {"intermediate_size": 200_000}
    (big / "config.json").write_text(json.dumps(config))
    tensors = {}
    for shard in sorted(set(index(big).values())):
        tensors |= load_file(big / shard)
    for name, tensor in tensors.items():
        if ".mlp." in name and "vision" not in name:
            shape = [200_000 if side == 120 else side for side in tensor.shape]
            tensors[name] = torch.ones(shape, dtype=torch.bfloat16)
    write_shards(big, tensors, 3)
    arguments = [sys.executable, "-c", WEIGHING, str(folder), str(big)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    grown, weights = (int(number) for number in done.stdout.split())
    assert weights > 200e6
    assert grown < weights / 4


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / LAST).unlink()
    with pytest.raises(WeightsError, match=rf"lacks {LAST}, named by its index"):
        load_model(folder)


def test_a_cut_off_shard_is_named(folder: Path) -> None:
    content = (folder / LAST).read_bytes()
    (folder / LAST).write_bytes(content[:-10])
    with pytest.raises(WeightsError, match=rf"{LAST} is not a readable safetensors file"):
        load_model(folder)


def test_an_index_that_names_a_tensor_its_shard_lacks(folder: Path) -> None:
    name = next(name for name, shard in index(folder).items() if shard == LAST)
    edit_shard(folder, LAST, **{name: None})
    with pytest.raises(WeightsError) as fault:
        load_model(folder)
    assert f"the index names tensors that their shards lack: {name} ({LAST})" in str(fault.value)


def test_an_index_that_names_the_wrong_shard(folder: Path) -> None:
    table = index(folder)
    name = next(name for name, shard in table.items() if shard == LAST)
    first = "model-00001-of-00003.safetensors"
    write_index(folder, table | {name: first})
    with pytest.raises(WeightsError) as fault:
        load_model(folder)
    assert f"{name} ({first}, but it lies in {LAST})" in str(fault.value)


def test_a_tensor_in_two_shards_or_in_no_index(folder: Path) -> None:
    name = next(name for name, shard in index(folder).items() if shard != LAST)
    edit_shard(folder, LAST, **{name: torch.zeros(1), "model.stranger": torch.zeros(1)})
    with pytest.raises(WeightsError) as fault:
        load_model(folder)
    assert f"{name} is both in" in str(fault.value)
    assert f"the index does not know model.stranger ({LAST})" in str(fault.value)


def test_renamed_tensors_are_named_few_and_counted(folder: Path) -> None:
    tensors = {}
    for shard in sorted(set(index(folder).values())):
        tensors |= load_file(folder / shard)
    renamed = {
        name.replace("model.vision_encoder.vision_encoder.encoder", "vision"): t
        for name, t in tensors.items()
    }
    write_shards(folder, renamed, 2)
    with pytest.raises(WeightsError, match="no vision encoder"):
        load_model(folder)
    layers = {name.replace("model.layers.1.", "model.layer.1."): t for name, t in tensors.items()}
    write_shards(folder, layers, 2)
    with pytest.raises(WeightsError) as fault:
        load_model(folder)
    assert "missing model.layers.1.input_layernorm.weight" in str(fault.value)
    assert "unknown model.layer.1.input_layernorm.weight" in str(fault.value)
    assert str(fault.value).count("and 7 more") == 2 and "\n" not in str(fault.value)


def test_a_lost_layer_of_the_encoder_is_missing_not_shrunk(folder: Path) -> None:
    tensors = {}
    for shard in sorted(set(index(folder).values())):
        tensors |= load_file(folder / shard)
    lost = "model.vision_encoder.vision_encoder.encoder.layers.1.layer_norm1.weight"
    write_shards(folder, {name: tensor for name, tensor in tensors.items() if name != lost}, 2)
    with pytest.raises(WeightsError, match=f"missing {lost}"):
        load_model(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"metadata": {}}'])
def test_a_broken_index_is_named(folder: Path, content: str) -> None:
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(WeightsError, match="is no weights index"):
        load_model(folder)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        ({"torch_dtype": "int8"}, "number format 'int8'"),
        ({"rope_scaling": {"type": "yarn"}}, "kind 'yarn'"),
        ({"use_sliding_window": True}, "sliding-window"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
    ],
)
def test_what_the_decoder_lacks_is_refused(folder: Path, edit: dict, complaint: str) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | edit))
    with pytest.raises(ValueError, match=complaint):
        load_model(folder)


def test_the_newer_spelling_of_the_configuration_is_read(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "dtype": config.pop("torch_dtype"),
        "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"},
    }
    del config["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config))
    network = load_model(folder)
    assert network.dtype == torch.bfloat16 and network.config.language.rope_theta == 5e5
