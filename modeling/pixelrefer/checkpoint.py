"""Model folders in the Hugging Face layout: configuration, preparation settings, weights; read and written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode

from modeling.pixelrefer.config import CaptionerConfig, VisionConfig
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.model import PixelRefer, PixelReferLite, build_network
from modeling.pixelrefer.tokenizer import WordTokenizer
from modeling.stored import WeightsError, stored_shapes
from modeling.weights import fill_network

PUBLISHED_HEADS = 16
"""Vision heads of published weights, which no stored shape tells."""

_ENCODER = "model.vision_encoder.vision_encoder"
UNUSED = ("model.region_encoder.mask_embedding.weight", "model.region_encoder.mask_embedding.bias")
"""Stored by published Lite weights, used by nothing."""
_FORMATS = {"bfloat16": torch.bfloat16, "float16": torch.float32, "float32": torch.float32}
"""Number formats that a config.json names, and the one in which we compute: half precision loses nothing in float32."""


@dataclass(frozen=True)
class GenerationSettings:
    """Values of `generation_config.json` that greedy decoding honours."""

    repetition_penalty: float = 1.0
    end_tokens: tuple[int, ...] = ()

    @classmethod
    def load(cls, folder: Path) -> "GenerationSettings":
        """Read the file of a model folder; without one, no penalty and only the tokenizer's end token."""
        path = folder / "generation_config.json"
        block = _read(path) if path.exists() else {}
        ends = block.get("eos_token_id", [])
        ends = [ends] if isinstance(ends, int) else ends or []
        return cls(float(block.get("repetition_penalty") or 1.0), tuple(int(end) for end in ends))


def infer_vision(shapes: Mapping[str, tuple[int, ...]], heads: int = PUBLISHED_HEADS) -> VisionConfig:
    """Sizes of the vision encoder from the shapes of its stored tensors. Raises WeightsError."""
    kernel = shapes.get(f"{_ENCODER}.embeddings.patch_embedding.weight", ())
    mlp = shapes.get(f"{_ENCODER}.encoder.layers.0.mlp.fc1.weight", ())
    if len(kernel) != 4 or len(mlp) != 2:
        raise WeightsError("the weights hold no vision encoder to infer its size from")
    prefix = f"{_ENCODER}.encoder.layers."
    layers = [int(name[len(prefix) :].split(".")[0]) for name in shapes if name.startswith(prefix)]
    return VisionConfig(
        width=kernel[0], mlp_width=mlp[0], layers=max(layers) + 1, heads=heads, patch_px=kernel[3]
    )


def load_config(folder: Path) -> CaptionerConfig:
    """The configuration of a model folder. The number of vocabulary rows follows the stored table."""
    return fit_config(read_config(folder), stored_shapes(folder))


def read_config(folder: Path) -> dict[str, Any]:
    """The content of `config.json`. Raises WeightsError."""
    path = folder / "config.json"
    if not path.exists():
        raise WeightsError(f"{folder} is no model folder: config.json is missing")
    block = _read(path)
    if not isinstance(block, dict):
        raise WeightsError(f"{path} must hold one JSON object")
    return block


def fit_config(block: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> CaptionerConfig:
    """A configuration completed by what only stored shapes tell. Raises WeightsError or ValueError."""
    rows = shapes.get("model.embed_tokens.weight")
    if rows:
        block = {**block, "vocab_size": rows[0]}
    config = CaptionerConfig.from_json(block)
    if "vision_encoder_config" in block:
        return config
    return replace(config, vision=infer_vision(shapes))


def number_format(block: Mapping[str, Any]) -> torch.dtype:
    """The format in which a model of this `config.json` computes; float32 where it names none. Raises WeightsError."""
    named = block.get("torch_dtype") or block.get("dtype") or "float32"
    if named not in _FORMATS:
        raise WeightsError(f"config.json names the number format {named!r}, known are {', '.join(_FORMATS)}")
    return _FORMATS[named]


def meta_network(config: CaptionerConfig) -> PixelReferLite | PixelRefer:
    """The network without memory for its weights: names, shapes, and places to put tensors."""
    with torch.device("meta"), _NoFirstValues():
        return build_network(config)


class _NoFirstValues(TorchFunctionMode):
    """Leaves out the random first values of parameters: without memory they mean nothing, and cost seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def ignored_tensors(config: CaptionerConfig) -> tuple[str, ...]:
    """Tensors that may be stored without a place in the network: files of tied models may repeat the table."""
    return ("lm_head.weight",) if config.language.tied else ()


def load_model(folder: Path, dtype: torch.dtype | None = None) -> PixelReferLite | PixelRefer:
    """The network of a model folder, ready to answer, on the CPU, computing in `dtype` (default: as its config says).

    Weights stored in that format stay in their files and are mapped, not copied. Raises WeightsError or ValueError.
    """
    block = read_config(folder)
    config = fit_config(block, stored_shapes(folder))
    network = meta_network(config)
    wanted = dtype or number_format(block)
    fill_network(network, folder, wanted, optional=UNUSED, ignored=ignored_tensors(config))
    return network.eval().requires_grad_(False)


def save_model(
    network: PixelReferLite | PixelRefer, settings: PatchSettings, tokenizer: WordTokenizer, folder: Path
) -> None:
    """Write a model folder that `load_model` and the tokenizer loader read back."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", network.config.to_json())
    _write(folder / "preprocessor_config.json", settings.to_json())
    _write(folder / "tokenizer.json", tokenizer.to_json())


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise WeightsError(f"{path} is not valid JSON: {fault}") from None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
