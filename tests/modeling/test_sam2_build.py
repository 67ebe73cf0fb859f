from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modeling.sam2.build import at_image_size, build_tracker, load_weights, tracker_config, windows
from modeling.sam2.segmenter import load_segmenter
from tests.modeling.sam2_models import TINY, noise


def test_the_embedded_model_is_the_one_meant() -> None:
    config = tracker_config()
    trunk = config["image_encoder"]["trunk"]
    assert trunk["global_att_blocks"] == [4] and trunk["window_spec"] == [8, 8, 12, 6]
    assert windows(128) == (8, 8, 8, 4)
    model = build_tracker(config)
    assert sum(weight.numel() for weight in model.parameters()) == 4_003_170
    assert not model.training


def test_weights_do_not_depend_on_the_input_size() -> None:
    small, large = tracker_config(image_size=128), tracker_config(image_size=256)
    assert at_image_size(small, 256) == large
    model = build_tracker(large)
    model.load_state_dict(build_tracker(small).state_dict())
    with torch.inference_mode():
        maps = model.forward_image(torch.zeros(1, 3, 256, 256))["backbone_fpn"]
    assert [tuple(x.shape[1:]) for x in maps] == [(16, 64, 64), (32, 32, 32), (128, 16, 16)]


def test_a_json_file_builds_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model": TINY}))
    shapes = [{name: x.shape for name, x in build_tracker(c).state_dict().items()} for c in (path, TINY)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "no '_target_'"),
        ({**TINY, "colour": 1}, "unexpected keyword argument 'colour'"),
        (
            {**TINY, "memory_encoder": {"_target_": "os.system", "command": "true"}},
            "not a class of the sam2 package",
        ),
        ({**TINY, "memory_encoder": {"_target_": "sam2.modeling.nothing.Here"}}, "cannot be built"),
    ],
)
def test_bad_configurations_are_named(config: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build_tracker(config)


def test_odd_input_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        tracker_config(image_size=200)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model = build_tracker(TINY)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    del weights["no_mem_embed"]
    weights["stray"] = torch.zeros(1)
    weights["maskmem_tpos_enc"] = torch.zeros(3, 1, 1, 16)
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    with pytest.raises(ValueError) as fault:
        load_weights(model, path)
    assert "1 missing: no_mem_embed" in str(fault.value)
    assert "1 unknown: stray" in str(fault.value)
    assert "maskmem_tpos_enc is [3, 1, 1, 16], expected [7, 1, 1, 16]" in str(fault.value)


def test_files_that_are_no_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(FileNotFoundError, match="weights.safetensors is not there"):
        load_weights(build_tracker(TINY), path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_weights(build_tracker(TINY), path)


def test_a_folder_opens_sessions(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="config.json is not there"):
        load_segmenter(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    save_file(build_tracker(TINY).state_dict(), tmp_path / "weights.safetensors")
    session = load_segmenter(tmp_path)((24, 32))
    session.begin_clip(noise(1))
    assert session.step() == {}
    (found,) = session.candidates(np.array([[0.5, 0.5]], np.float32))
    assert found.mask.shape == (24, 32) and 0 <= found.score <= 1 and 0 <= found.stability <= 1
