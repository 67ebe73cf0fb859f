"""Build a SAM 2 network from a plain configuration and load its weights strictly.

A configuration is a tree of dictionaries; one that holds ``_target_`` names a class of the ``sam2`` package and
its other entries are the constructor's arguments. It is what the package's own yaml files hold under ``model:``,
read here as JSON (or yaml) without hydra's process-wide state.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from sam2.sam2_video_predictor import SAM2VideoPredictor

PREDICTOR = "sam2.sam2_video_predictor.SAM2VideoPredictor"


def read_config(source: Mapping[str, Any] | Path) -> dict[str, Any]:
    """The model's configuration tree from a mapping, a ``.json`` file or a ``.yaml`` file.

    A file may hold the tree itself or, as the package's yaml files do, hold it under the key ``model``.
    Raises FileNotFoundError or ValueError when there is no such tree.
    """
    tree = dict(source) if isinstance(source, Mapping) else _read_tree(Path(source))
    tree = dict(tree.get("model", tree))
    if "_target_" not in tree:
        raise ValueError(f"tracker configuration: no '_target_' entry in {_name(source)}")
    # The package's yaml files name the base class; the predictor adds no weights and the methods we use.
    tree["_target_"] = PREDICTOR
    return tree


def build_tracker(
    config: Mapping[str, Any] | Path, weights: Path | None = None, device: str | torch.device = "cpu"
) -> SAM2VideoPredictor:
    """The network described by ``config``, in evaluation mode, with random weights unless a file is given."""
    try:
        model = _instantiate(read_config(config))
    except (TypeError, ImportError, AttributeError) as error:
        raise ValueError(f"tracker configuration in {_name(config)} cannot be built: {error}") from error
    if weights is not None:
        load_weights(model, weights)
    return model.to(device).eval()


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file into ``model``; every tensor must be there, known, and of the right shape."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"tracker weights: {path} is not there")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"tracker weights: {path} is not a safetensors file ({error})") from error
    faults = weight_faults(model.state_dict(), state)
    if faults:
        raise ValueError(f"tracker weights: {path} does not fit the configuration: {'; '.join(faults)}")
    model.load_state_dict(state)


def weight_faults(wanted: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    """What keeps ``found`` from being loaded as ``wanted``: one phrase for each kind of fault, names included."""
    missing = sorted(set(wanted) - set(found))
    unknown = sorted(set(found) - set(wanted))
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(wanted[name].shape)}"
        for name in sorted(set(wanted) & set(found))
        if found[name].shape != wanted[name].shape
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("wrong shape", shapes))
    return [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]


def windows(image_size: int) -> tuple[int, int, int, int]:
    """Attention windows of the four stages that tile the feature maps without padding (sizes divisible by 32).

    Only the first one is tied to the weights (the tile of the position embedding), hence constant.
    """
    if image_size % 32:
        raise ValueError(f"image_size {image_size}: must be a multiple of 32")
    return 8, 8, image_size // 16, image_size // 32


def tracker_config(
    embed_dim: int = 32,
    stages: Sequence[int] = (1, 1, 3, 1),
    global_att_blocks: Sequence[int] | None = None,
    window_spec: Sequence[int] | None = None,
    d_model: int = 128,
    mem_dim: int = 64,
    memory_attention_layers: int = 2,
    image_size: int = 192,
    feedforward: int = 256,
    layer_scale: float = 0.1,
    num_maskmem: int = 7,
) -> dict[str, Any]:
    """Configuration of a small SAM 2.1 tracker, all switches as in the package's ``sam2.1`` files.

    ``global_att_blocks`` defaults to the last block of the third stage, ``window_spec`` to :func:`windows`.
    ``layer_scale`` starts the memory fuser; the package's 1e-6 keeps it idle for thousands of steps.
    Nothing in the weights depends on ``image_size``: see :func:`at_image_size`.
    """
    stages = list(stages)
    return {
        "_target_": PREDICTOR,
        "image_encoder": _image_encoder(
            embed_dim,
            stages,
            [sum(stages[:3]) - 1] if global_att_blocks is None else list(global_att_blocks),
            list(windows(image_size) if window_spec is None else window_spec),
            d_model,
        ),
        "memory_attention": _memory_attention(
            d_model, mem_dim, memory_attention_layers, feedforward, image_size // 16
        ),
        "memory_encoder": _memory_encoder(d_model, mem_dim, layer_scale),
        "num_maskmem": num_maskmem,
        "image_size": image_size,
        **_SWITCHES,
    }


def at_image_size(config: Mapping[str, Any] | Path, image_size: int) -> dict[str, Any]:
    """The same network with another input size: for weights trained small and used larger."""
    tree = json.loads(json.dumps(read_config(config)))
    trunk = tree["image_encoder"]["trunk"]
    trunk["window_spec"] = [trunk.get("window_spec", [8])[0], *windows(image_size)[1:]]
    for kind in ("self_attention", "cross_attention"):
        tree["memory_attention"]["layer"][kind]["feat_sizes"] = [image_size // 16] * 2
    tree["image_size"] = image_size
    return tree


_SWITCHES: dict[str, Any] = {
    "sigmoid_scale_for_mem_enc": 20.0,
    "sigmoid_bias_for_mem_enc": -10.0,
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "no_obj_embed_spatial": True,
    "use_high_res_features_in_sam": True,
    "multimask_output_in_sam": True,
    "iou_prediction_use_sigmoid": True,
    "use_obj_ptrs_in_encoder": True,
    "add_tpos_enc_to_obj_ptrs": True,
    "proj_tpos_enc_in_obj_ptrs": True,
    "use_signed_tpos_enc_to_obj_ptrs": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
    "pred_obj_scores": True,
    "pred_obj_scores_mlp": True,
    "fixed_no_obj_ptr": True,
    "multimask_output_for_tracking": True,
    "use_multimask_token_for_obj_ptr": True,
    "multimask_min_pt_num": 0,
    "multimask_max_pt_num": 1,
    "use_mlp_for_obj_ptr_proj": True,
    "compile_image_encoder": False,
}


def _sine(channels: int) -> dict[str, Any]:
    return {
        "_target_": "sam2.modeling.position_encoding.PositionEmbeddingSine",
        "num_pos_feats": channels,
        "normalize": True,
        "scale": None,
        "temperature": 10000,
    }


def _image_encoder(
    embed_dim: int, stages: list[int], global_blocks: list[int], window_spec: list[int], d_model: int
) -> dict[str, Any]:
    backbones = "sam2.modeling.backbones"
    return {
        "_target_": f"{backbones}.image_encoder.ImageEncoder",
        "scalp": 1,
        "trunk": {
            "_target_": f"{backbones}.hieradet.Hiera",
            "embed_dim": embed_dim,
            "num_heads": 1,
            "stages": stages,
            "global_att_blocks": global_blocks,
            "window_spec": window_spec,
            "window_pos_embed_bkg_spatial_size": [7, 7],
        },
        "neck": {
            "_target_": f"{backbones}.image_encoder.FpnNeck",
            "position_encoding": _sine(d_model),
            "d_model": d_model,
            "backbone_channel_list": [embed_dim * 8, embed_dim * 4, embed_dim * 2, embed_dim],
            "fpn_top_down_levels": [2, 3],
            "fpn_interp_model": "nearest",
        },
    }


def _rotary(d_model: int, grid: int, **more: Any) -> dict[str, Any]:
    return {
        "_target_": "sam2.modeling.sam.transformer.RoPEAttention",
        "rope_theta": 10000.0,
        "feat_sizes": [grid, grid],
        "embedding_dim": d_model,
        "num_heads": 1,
        "downsample_rate": 1,
        "dropout": 0.0,
        **more,
    }


def _memory_attention(d_model: int, mem_dim: int, layers: int, feedforward: int, grid: int) -> dict[str, Any]:
    return {
        "_target_": "sam2.modeling.memory_attention.MemoryAttention",
        "d_model": d_model,
        "pos_enc_at_input": True,
        "layer": {
            "_target_": "sam2.modeling.memory_attention.MemoryAttentionLayer",
            "activation": "relu",
            "dim_feedforward": feedforward,
            "dropout": 0.0,
            "pos_enc_at_attn": False,
            "self_attention": _rotary(d_model, grid),
            "d_model": d_model,
            "pos_enc_at_cross_attn_keys": True,
            "pos_enc_at_cross_attn_queries": False,
            "cross_attention": _rotary(d_model, grid, rope_k_repeat=True, kv_in_dim=mem_dim),
        },
        "num_layers": layers,
    }


def _memory_encoder(d_model: int, mem_dim: int, layer_scale: float) -> dict[str, Any]:
    return {
        "_target_": "sam2.modeling.memory_encoder.MemoryEncoder",
        "in_dim": d_model,
        "out_dim": mem_dim,
        "position_encoding": _sine(mem_dim),
        "mask_downsampler": {
            "_target_": "sam2.modeling.memory_encoder.MaskDownSampler",
            "embed_dim": d_model,
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
        },
        "fuser": {
            "_target_": "sam2.modeling.memory_encoder.Fuser",
            "layer": {
                "_target_": "sam2.modeling.memory_encoder.CXBlock",
                "dim": d_model,
                "kernel_size": 7,
                "padding": 3,
                "layer_scale_init_value": layer_scale,
                "use_dwconv": True,
            },
            "num_layers": 2,
        },
    }


def _instantiate(node: Any) -> Any:
    """Depth first: a dictionary with a ``_target_`` becomes that object, other values stay as they are."""
    if isinstance(node, Mapping):
        values = {key: _instantiate(value) for key, value in node.items() if key != "_target_"}
        return _class_of(node["_target_"])(**values) if "_target_" in node else values
    if isinstance(node, list | tuple):
        return [_instantiate(value) for value in node]
    return node


def _class_of(target: str) -> Any:
    # A configuration file is data: it may name the network's parts and nothing else.
    if not target.startswith("sam2."):
        raise ValueError(f"tracker configuration: _target_ {target!r} is not a class of the sam2 package")
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _read_tree(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"tracker configuration: {path} is not there")
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            tree = json.loads(text)
        else:
            import yaml  # only for configurations as the sam2 package ships them

            tree = yaml.safe_load(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"tracker configuration: {path} cannot be read: {error}") from error
    return tree if isinstance(tree, dict) else {}


def _name(source: object) -> str:
    return str(source) if isinstance(source, Path) else "the given mapping"


def _some(names: list[str], limit: int = 5) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
