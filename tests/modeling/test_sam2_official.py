"""Official SAM 2.1 checkpoints, by layout: what is taken, what is refused, what becomes of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.sam2.build import at_image_size, build_tracker, read_config, tracker_config
from modeling.sam2.input_size import batches, clicks_at_once, with_input_size
from modeling.sam2.official import (
    CONFIG,
    PREDICTOR_SETTINGS,
    WEIGHTS,
    make_folder,
    origin_of,
    published_config,
)
from modeling.sam2.on_paper import build_on_paper
from modeling.sam2.segmenter import load_segmenter
from modeling.sam2.verify import verify_tracker
from modeling.stored import WeightsError
from recipes.parity.official_sam2 import Act, OfficialRun
from tests.modeling import official_sam2
from tests.modeling.official_sam2 import NOWHERE, small_config, write_checkpoint
from tests.modeling.sam2_models import noise

PUBLISHED = {"t": 156_008_466, "s": 184_416_285, "b+": 323_606_802, "l": 898_083_611}
"""Sizes in bytes of the published checkpoints, float32."""
NAMES = {
    "image_encoder.trunk.pos_embed": (1, 96, 7, 7),
    "image_encoder.trunk.blocks.11.mlp.layers.1.weight": (768, 3072),
    "image_encoder.neck.convs.3.conv.weight": (256, 96, 1, 1),
    "memory_attention.layers.3.cross_attn_image.k_proj.weight": (256, 64),
    "memory_encoder.fuser.layers.1.gamma": (256,),
    "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128),
    "sam_mask_decoder.pred_obj_score_head.layers.2.weight": (1, 256),
    "maskmem_tpos_enc": (7, 1, 1, 64),
    "no_obj_embed_spatial": (1, 64),
    "obj_ptr_tpos_proj.weight": (64, 256),
    "mask_downsample.weight": (1, 1, 4, 4),
}
"""Some published tensors of the smallest checkpoint."""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A tracker's folder made from a small checkpoint."""
    make_folder(write_checkpoint(tmp_path), official_sam2.CONFIG, tmp_path / "made", {"tier": "small"})
    return tmp_path / "made"


@pytest.mark.parametrize("size", PUBLISHED)
def test_networks_are_of_the_published_sizes(size: str) -> None:
    state = build_on_paper(published_config(NOWHERE / f"sam2.1_hiera_{size}.yaml")).state_dict()
    stored = 4 * sum(tensor.numel() for tensor in state.values())
    # A torch file has a few hundred bytes more for each tensor.
    assert 0 < PUBLISHED[size] - stored < 500 * len(state)
    if size == "t":
        assert {name: tuple(state[name].shape) for name in NAMES} == NAMES


def test_on_paper_is_what_is_built() -> None:
    config = small_config()
    paper, real = build_on_paper(config).state_dict(), build_tracker(config).state_dict()
    assert {name: x.shape for name, x in paper.items()} == {name: x.shape for name, x in real.items()}
    assert all(tensor.is_meta for tensor in paper.values())


def test_the_package_itself_takes_such_a_file(tmp_path: Path) -> None:
    from sam2.build_sam import _load_checkpoint

    checkpoint = write_checkpoint(tmp_path)
    model = build_tracker(small_config())
    _load_checkpoint(model, checkpoint)
    written = torch.load(checkpoint, weights_only=True)["model"]
    assert all(torch.equal(tensor, written[name]) for name, tensor in model.state_dict().items())


def test_a_made_folder_holds_the_checkpoint_bit_for_bit(tmp_path: Path) -> None:
    checkpoint, folder = write_checkpoint(tmp_path), tmp_path / "made"
    assert make_folder(checkpoint, official_sam2.CONFIG, folder, {"tier": "small"})
    written, kept = torch.load(checkpoint, weights_only=True)["model"], load_file(folder / WEIGHTS)
    assert written.keys() == kept.keys() and all(torch.equal(kept[name], written[name]) for name in kept)
    config = read_config(folder / CONFIG)
    assert config | PREDICTOR_SETTINGS == config
    assert config["memory_encoder"]["fuser"]["layer"]["layer_scale_init_value"] == 1e-6
    assert origin_of(folder)["tier"] == "small" and len(origin_of(folder)["sha256"]) == 64
    before = (folder / WEIGHTS).stat().st_mtime_ns
    assert not make_folder(checkpoint, official_sam2.CONFIG, folder, {"tier": "small"})
    assert (folder / WEIGHTS).stat().st_mtime_ns == before
    assert sorted(file.name for file in folder.iterdir()) == [CONFIG, WEIGHTS]
    again = write_checkpoint(tmp_path, no_mem_embed=torch.ones(1, 1, 32))
    assert make_folder(again, official_sam2.CONFIG, folder, {})
    assert load_file(folder / WEIGHTS)["no_mem_embed"].sum() == 32


class Trap:
    """Runs a command where it is unpickled freely."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch sprung",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"no_obj_ptr": None}, "1 missing: no_obj_ptr"),
        ({"strange": torch.zeros(1)}, "1 unknown: strange"),
        ({"maskmem_tpos_enc": torch.zeros(3, 1, 1, 16)}, "maskmem_tpos_enc is [3, 1, 1, 16], expected [7, 1, 1, 16]"),
        ({"no_mem_embed": torch.zeros(1, 1, 32, dtype=torch.int64)}, "hold no real numbers: no_mem_embed torch.int64"),
        ({"no_mem_embed": "text"}, "no_mem_embed are no tensors"),
    ],
)  # fmt: skip
def test_wrong_tensors_are_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError) as fault:
        make_folder(write_checkpoint(tmp_path, **change), official_sam2.CONFIG, tmp_path / "made", {})
    assert says in str(fault.value) and not (tmp_path / "made").exists()


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint, folder = write_checkpoint(tmp_path), tmp_path / "made"

    def refused(says: str) -> None:
        with pytest.raises(ValueError, match=says) as fault:
            make_folder(checkpoint, official_sam2.CONFIG, folder, {})
        assert "\n" not in str(fault.value) and not folder.exists()

    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    refused("is no readable checkpoint: cut short, damaged")
    torch.save({"model": Trap()}, checkpoint)
    refused("holding more than weights")
    assert not (tmp_path / "sprung").exists()
    torch.save({"state_dict": {}}, checkpoint)
    refused("it holds no tensors under 'model'")
    checkpoint.unlink()
    refused("sam2.1_hiera_tiny.pt is not there")


def test_another_model_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / CONFIG).write_text("{}")
    with pytest.raises(ValueError, match="holds another model"):
        make_folder(write_checkpoint(tmp_path), official_sam2.CONFIG, tmp_path / "made", {})


@pytest.mark.parametrize("size", PUBLISHED)
def test_settings_are_those_of_the_packages_own_builder(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf
    from sam2.build_sam import build_sam2_video_predictor

    asked: list[dict[str, Any]] = []

    def note(model: Any, **_: Any) -> torch.nn.Module:
        asked.append(OmegaConf.to_container(model))
        return torch.nn.Identity()

    monkeypatch.setattr("sam2.build_sam.instantiate", note)
    build_sam2_video_predictor(f"configs/sam2.1/sam2.1_hiera_{size}.yaml", device="cpu")
    (tree,) = asked
    assert tree.pop("fill_hole_area") == 8  # what is shown, not what is remembered
    assert published_config(NOWHERE / f"sam2.1_hiera_{size}.yaml") == tree


def test_sessions_answer_as_the_packages_predictor(tmp_path: Path) -> None:
    present = {"sam_mask_decoder__pred_obj_score_head__layers__2__bias": torch.full((1,), 10.0)}
    checkpoint = write_checkpoint(tmp_path, **present)
    make_folder(checkpoint, official_sam2.CONFIG, tmp_path / "made", {})
    pictures, act = noise(4), Act(0, 1, box=np.array([0.2, 0.3, 0.7, 0.8], np.float32))
    session = load_segmenter(tmp_path / "made", encode_batch=1)((48, 64))
    session.begin_clip(pictures)
    session.step()
    key, _ = session.add_object(act)
    ours = [session.logits(key).clone()]
    for _ in range(3):
        session.step()
        ours.append(session.logits(key).clone())
    model = build_tracker(tmp_path / "made" / CONFIG, tmp_path / "made" / WEIGHTS)
    for step, kept in OfficialRun(model, pictures).outputs([act]):
        assert kept[1]["object_score_logit"] > 0
        assert torch.equal(ours[step], kept[1]["low_res_logits"]), step


@pytest.mark.parametrize("size_px", [64, 96])
def test_another_input_size_keeps_the_published_windows(made: Path, size_px: int) -> None:
    tree = with_input_size(made / CONFIG, size_px)
    assert "window_spec" not in tree["image_encoder"]["trunk"] and tree["image_size"] == size_px
    session = load_segmenter(made, input_px=size_px)((24, 32))
    session.begin_clip(noise(2))
    session.step()
    session.add_object(Act(0, 1, box=np.array([0.1, 0.1, 0.6, 0.6], np.float32)))
    (found,) = session.step().values()
    assert found.mask.shape == (24, 32)


def test_our_own_windows_follow_the_input_size() -> None:
    assert with_input_size(tracker_config(image_size=128), 256) == tracker_config(image_size=256)
    large = published_config(NOWHERE / "sam2.1_hiera_l.yaml")
    assert with_input_size(large, 512)["image_encoder"]["trunk"]["window_spec"] == [8, 4, 16, 8]
    assert at_image_size(large, 512)["image_encoder"]["trunk"]["window_spec"] != [8, 4, 16, 8]
    with pytest.raises(ValueError, match="multiple of 32"):
        with_input_size(large, 500)


def test_large_pictures_are_taken_in_small_batches_on_a_cpu() -> None:
    assert batches(160, "cpu", 8, 16) == (8, 16)
    assert batches(512, "cpu", 8, 16) == (4, 16)
    assert batches(1024, "cpu", 8, 16) == (1, 4)
    assert batches(1024, "cuda", 8, 16) == (8, 16)
    found = [clicks_at_once(size_px, "cpu", 64) for size_px in (160, 256, 512, 1024, 2048)]
    assert found == [64, 64, 16, 4, 1] and clicks_at_once(1024, "cuda", 64) == 64


def test_verify_names_what_is_wrong_with_a_tracker(made: Path) -> None:
    right = verify_tracker(made, values=True)
    assert right.right and right.framework == "SAM 2.1 tracker" and right.tensors > 300
    assert "made from tier small" in right.notes[0]
    tensors = load_file(made / WEIGHTS)
    tensors["no_mem_embed"][0, 0, 3] = float("nan")
    tensors["stray"] = torch.zeros(2, dtype=torch.int64)
    del tensors["no_obj_ptr"]
    tensors["maskmem_tpos_enc"] = torch.zeros(3, 1, 1, 16, dtype=torch.float16)
    save_file(tensors, made / WEIGHTS)
    report = verify_tracker(made, values=True)
    assert report.faults == [
        "1 no number format of weights: stray I64",
        "1 missing: no_obj_ptr",
        "1 unknown: stray",
        "1 wrong shape: maskmem_tpos_enc [3, 1, 1, 16] (should be [7, 1, 1, 16])",
        "1 with NaN or infinity: no_mem_embed (1 of 32)",
    ]
    assert any("stored as F16, F32" in note for note in report.notes)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (CONFIG, "{", "config.json cannot be read"),
        (CONFIG, "{}", "no '_target_' entry"),
        (WEIGHTS, "no weights", "not a readable safetensors file"),
        (CONFIG, None, "config.json is not there"),
        (WEIGHTS, None, "weights.safetensors is not there"),
    ],
)
def test_verify_tells_of_broken_files(made: Path, file: str, text: str | None, says: str) -> None:
    (made / file).unlink()
    if text is not None:
        (made / file).write_text(text)
    (fault,) = verify_tracker(made).faults
    assert says in fault


def test_verify_tells_of_a_size_that_no_network_takes(made: Path) -> None:
    tree = json.loads((made / CONFIG).read_text())
    tree["model"]["image_size"] = 100
    tree["search_window"] = 3
    (made / CONFIG).write_text(json.dumps(tree))
    assert any("image_size 100 is no multiple of 32" in fault for fault in verify_tracker(made).faults)
