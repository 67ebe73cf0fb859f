"""Checkpoints in the layout in which the official ones are published, at small size: names written out by hand.

The table of names is that of the published tensors and owes nothing to our networks, so that loading it proves them.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from recipes.full_size.sizes import published_config
from recipes.full_size.vocabulary import write_tokenizer

Shapes = dict[str, tuple[int, ...]]
BASE_TOKENS = 300


@dataclass(frozen=True)
class Sizes:
    """C, I, Hq, Hk, layers and rows of the language model; Cv, Iv, layers and patch edge of the vision encoder."""

    width: int
    mlp: int
    heads: int
    kv_heads: int
    layers: int
    rows: int
    tied: bool
    vision_width: int = 1152
    vision_mlp: int = 4304
    vision_layers: int = 27
    patch: int = 14

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


SIZE_2B = Sizes(1536, 8960, 12, 2, 28, 151_669, tied=True)
SIZE_7B = Sizes(3584, 18_944, 28, 4, 28, 151_669, tied=False)
VARIANTS = {
    "pixelrefer-2b": ("pixelrefer", SIZE_2B),
    "pixelrefer-7b": ("pixelrefer", SIZE_7B),
    "pixelrefer-lite-2b": ("pixelreferlite", SIZE_2B),
    "pixelrefer-lite-7b": ("pixelreferlite", SIZE_7B),
}


def scaled_down(sizes: Sizes) -> Sizes:
    """The same heads with 8 numbers each, and few layers. Vision keeps its 16 heads, which no tensor tells."""
    small = replace(sizes, width=8 * sizes.heads, mlp=10 * sizes.heads, layers=2, rows=BASE_TOKENS + 26)
    return replace(small, vision_width=128, vision_mlp=160, vision_layers=2)


def official_shapes(framework: str, sizes: Sizes) -> Shapes:
    """Every published tensor with its shape."""
    lite = _lite_shapes(sizes) if framework == "pixelreferlite" else {}
    return _language_shapes(sizes) | _vision_shapes(sizes) | _object_shapes(sizes) | lite


def _linear(name: str, out: int, into: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, into)} | ({f"{name}.bias": (out,)} if bias else {})


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _language_shapes(s: Sizes) -> Shapes:
    shapes: Shapes = {"model.embed_tokens.weight": (s.rows, s.width), "model.norm.weight": (s.width,)}
    if not s.tied:
        shapes["lm_head.weight"] = (s.rows, s.width)
    for index in range(s.layers):
        at = f"model.layers.{index}"
        shapes[f"{at}.input_layernorm.weight"] = shapes[f"{at}.post_attention_layernorm.weight"] = (s.width,)
        shapes |= _linear(f"{at}.self_attn.q_proj", s.heads * s.head_dim, s.width)
        shapes |= _linear(f"{at}.self_attn.k_proj", s.kv_heads * s.head_dim, s.width)
        shapes |= _linear(f"{at}.self_attn.v_proj", s.kv_heads * s.head_dim, s.width)
        shapes |= _linear(f"{at}.self_attn.o_proj", s.width, s.heads * s.head_dim, bias=False)
        shapes |= _linear(f"{at}.mlp.gate_proj", s.mlp, s.width, bias=False)
        shapes |= _linear(f"{at}.mlp.up_proj", s.mlp, s.width, bias=False)
        shapes |= _linear(f"{at}.mlp.down_proj", s.width, s.mlp, bias=False)
    return shapes


def _vision_shapes(s: Sizes) -> Shapes:
    top, width = "model.vision_encoder.vision_encoder", s.vision_width
    shapes: Shapes = {
        f"{top}.embeddings.patch_embedding.weight": (width, 3, s.patch, s.patch),
        f"{top}.embeddings.patch_embedding.bias": (width,),
    }
    for index in range(s.vision_layers):
        at = f"{top}.encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{at}.self_attn.{part}", width, width)
        shapes |= _norm(f"{at}.layer_norm1", width) | _norm(f"{at}.layer_norm2", width)
        shapes |= _linear(f"{at}.mlp.fc1", s.vision_mlp, width) | _linear(
            f"{at}.mlp.fc2", width, s.vision_mlp
        )
    return shapes | _norm(f"{top}.post_layernorm", width)


def _object_shapes(s: Sizes) -> Shapes:
    shapes: Shapes = {}
    for part in ("model.mm_projector.readout", "model.region_encoder.feat_linear"):
        shapes |= _linear(f"{part}.0", s.width, s.vision_width) | _linear(f"{part}.2", s.width, s.width)
    return shapes | _linear("model.region_encoder.pos_linear", s.vision_width, 2)


def _lite_shapes(s: Sizes) -> Shapes:
    top, width = "model.region_encoder", s.vision_width
    shapes: Shapes = {
        f"{top}.mask_embedding.weight": (width, 1, 1, 1),
        f"{top}.mask_embedding.bias": (width,),
    }
    for view in ("local", "global"):
        at = f"{top}.fusion_attention_{view}"
        shapes |= {f"{at}.in_proj_weight": (3 * width, width), f"{at}.in_proj_bias": (3 * width,)}
        shapes |= _linear(f"{at}.out_proj", width, width) | _norm(f"{top}.ln_{view}", width)
    return shapes


def official_config(framework: str, sizes: Sizes) -> dict:
    """The published `config.json` with the sizes put in."""
    return published_config(framework, "2b" if sizes.tied else "7b") | {  # type: ignore[arg-type]
        "vocab_size": sizes.rows,
        "hidden_size": sizes.width,
        "intermediate_size": sizes.mlp,
        "num_hidden_layers": sizes.layers,
        "mm_hidden_size": sizes.vision_width,
    }


def write_official(folder: Path, variant: str, shards: int = 3) -> dict[str, torch.Tensor]:
    """Write a small checkpoint of one of the four variants in bfloat16, sharded; returns its tensors."""
    framework, true = VARIANTS[variant]
    sizes = scaled_down(true)
    generator = torch.Generator().manual_seed(len(variant))
    tensors = {
        name: (torch.randn(shape, generator=generator) * 0.05).bfloat16()
        for name, shape in official_shapes(framework, sizes).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(official_config(framework, sizes)))
    assert write_tokenizer(folder, BASE_TOKENS) == sizes.rows
    write_shards(folder, tensors, shards)
    return tensors


def write_shards(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    """Tensors dealt out over shards, with the index that names them."""
    names = list(tensors)
    weight_map = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = {name: tensors[name] for name in names[number::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
