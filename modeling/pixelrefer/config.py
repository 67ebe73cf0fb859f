"""Sizes and constants of a captioner, read from a `config.json` with the official keys."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

Framework = Literal["pixelrefer", "pixelreferlite"]
RegionKind = Literal["clusters", "pooling"]
"""How a mask becomes tokens: PixelRefer's position code and clustering, or VideoRefer's pooling and merging."""

_MODEL_TYPES: dict[str, Framework] = {
    "pixelrefer_qwen2": "pixelrefer",
    "pixelreferlite_qwen2": "pixelreferlite",
}


def framework_of(config: Mapping[str, Any]) -> Framework:
    """The framework that a `config.json` is of. Raises ValueError."""
    model_type = str(config.get("model_type"))
    if model_type not in _MODEL_TYPES:
        raise ValueError(f"model_type {model_type!r} is none of {', '.join(_MODEL_TYPES)}")
    return _MODEL_TYPES[model_type]


@dataclass(frozen=True)
class VisionConfig:
    """Vision encoder: SigLIP-NaViT style, native resolution. The defaults are the published sizes."""

    width: int = 1152
    mlp_width: int = 4304
    layers: int = 27
    heads: int = 16
    patch_px: int = 14
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.width % self.heads or (self.width // self.heads) % 4:
            raise ValueError(
                f"vision width {self.width} over {self.heads} heads must give a head size divisible by 4"
            )

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> "VisionConfig":
        """Read a `vision_encoder_config` block; keys that are absent keep the published value."""
        names = {
            "width": "hidden_size",
            "mlp_width": "intermediate_size",
            "layers": "num_hidden_layers",
            "heads": "num_attention_heads",
            "patch_px": "patch_size",
            "norm_eps": "layer_norm_eps",
        }
        return cls(**{ours: block[theirs] for ours, theirs in names.items() if theirs in block})


@dataclass(frozen=True)
class LanguageConfig:
    """Qwen2-style decoder."""

    vocab_size: int
    width: int
    mlp_width: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_theta: float = 1e6
    norm_eps: float = 1e-6
    tied: bool = True

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} query heads cannot share {self.kv_heads} key heads evenly")

    @classmethod
    def from_json(cls, config: Mapping[str, Any]) -> "LanguageConfig":
        """Read the Qwen2 fields of a `config.json`. Raises ValueError naming a field that is absent."""
        try:
            width, heads = (
                int(config["hidden_size"]),
                int(config["num_attention_heads"]),
            )
            return cls(
                vocab_size=int(config["vocab_size"]),
                width=width,
                mlp_width=int(config["intermediate_size"]),
                layers=int(config["num_hidden_layers"]),
                heads=heads,
                kv_heads=int(config.get("num_key_value_heads") or heads),
                head_dim=int(config.get("head_dim") or width // heads),
                rope_theta=_rope_theta(config),
                norm_eps=float(config.get("rms_norm_eps", 1e-6)),
                tied=bool(config.get("tie_word_embeddings", False)),
            )
        except KeyError as absent:
            raise ValueError(f"config.json lacks the field {absent}") from None


def _rope_theta(config: Mapping[str, Any]) -> float:
    """The rotary base, at its old or its new place. Raises ValueError for variants that this decoder lacks."""
    block = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = block.get("rope_type") or block.get("type") or "default"
    if kind != "default":
        raise ValueError(
            f"config.json asks for rotary positions of the kind {kind!r}, only 'default' is known"
        )
    if config.get("use_sliding_window"):
        raise ValueError("config.json asks for sliding-window attention, which this decoder lacks")
    if config.get("hidden_act", "silu") != "silu":
        raise ValueError(
            f"config.json asks for the activation {config['hidden_act']!r}, only 'silu' is known"
        )
    return float(config.get("rope_theta") or block.get("rope_theta") or 1e6)


@dataclass(frozen=True)
class Geometry:
    """How objects are cut out of frames. The defaults are the published constants of PixelRefer-Lite."""

    crop_margin_px: int = 28
    large_object_patches: int = 50
    """An object over this many patches is shrunk to about this many."""
    crop_patch_cap: int | None = None
    """Most patches of one crop; None follows the published code, which has no limit of its own."""
    local_view_px: int = 224
    global_view_px: int = 336
    share_local_view: bool = True
    """Published behaviour: later masks of one frame reuse the local view of the frame's first mask."""

    def __post_init__(self) -> None:
        sizes = (self.large_object_patches, self.local_view_px, self.global_view_px)
        if self.crop_margin_px < 0 or min(sizes) < 1 or (self.crop_patch_cap or 1) < 1:
            raise ValueError(f"sizes of the geometry block must be positive: {asdict(self)}")

    def changed(self, block: Mapping[str, Any]) -> "Geometry":
        """This geometry with the values of a `geometry` block. Raises ValueError for a name it does not know."""
        unknown = sorted(set(block) - {entry.name for entry in fields(self)})
        if unknown:
            raise ValueError(f"the geometry block of config.json does not know {', '.join(unknown)}")
        return replace(self, **block)


@dataclass(frozen=True)
class CaptionerConfig:
    """Everything needed to build the network and prepare its inputs."""

    framework: Framework
    vision: VisionConfig
    language: LanguageConfig
    geometry: Geometry = field(default_factory=Geometry)
    mask_num: int = 32
    """K: most object tokens of one mask (Lite: exactly this many)."""
    spatial_merge_size: int = 2
    mm_max_length: int = 8192
    """L: bound on the merged tokens of one list of images."""
    cluster_rounds: int = 3
    infusion_heads: int = 8
    region: RegionKind = "clusters"

    def __post_init__(self) -> None:
        if self.region not in ("clusters", "pooling"):
            raise ValueError(f"region_encoder {self.region!r} is neither 'clusters' nor 'pooling'")
        if self.region == "pooling" and self.framework != "pixelrefer":
            raise ValueError("region_encoder 'pooling' goes with the framework pixelrefer only")

    @property
    def max_pixels(self) -> int:
        """Pixel budget L * m^2 * P^2 shared by one list of images."""
        return self.mm_max_length * self.spatial_merge_size**2 * self.vision.patch_px**2

    @classmethod
    def from_json(cls, config: Mapping[str, Any], vision: VisionConfig | None = None) -> "CaptionerConfig":
        """Read an official-style `config.json`.

        Our entries `vision_encoder_config`, `geometry` and `region_encoder` are optional; `vision` stands in for
        the first, which official checkpoints lack. Raises ValueError.
        """
        framework = framework_of(config)
        lite = framework == "pixelreferlite"
        if "vision_encoder_config" in config:
            vision = VisionConfig.from_json(config["vision_encoder_config"])
        merge = int(config.get("spatial_merge_size", 2))
        geometry = Geometry(large_object_patches=50 if lite else 100).changed(config.get("geometry", {}))
        return cls(
            framework=framework,
            vision=vision or VisionConfig(),
            language=LanguageConfig.from_json(config),
            geometry=geometry,
            mask_num=int(config.get("mask_num", 32)),
            spatial_merge_size=merge,
            mm_max_length=int(config.get("mm_max_length") or 9477 // merge**2),
            cluster_rounds=3 if lite else 5,
            region=config.get("region_encoder", "clusters"),
        )

    def to_json(self) -> dict[str, Any]:
        """The `config.json` content that `from_json` reads back."""
        language, vision = self.language, self.vision
        return {
            "model_type": f"{self.framework}_qwen2",
            "vocab_size": language.vocab_size,
            "hidden_size": language.width,
            "intermediate_size": language.mlp_width,
            "num_hidden_layers": language.layers,
            "num_attention_heads": language.heads,
            "num_key_value_heads": language.kv_heads,
            "head_dim": language.head_dim,
            "rope_theta": language.rope_theta,
            "rms_norm_eps": language.norm_eps,
            "tie_word_embeddings": language.tied,
            "mm_hidden_size": vision.width,
            "mm_projector_type": "mlp2x_gelu",
            "mm_max_length": self.mm_max_length,
            "spatial_merge_size": self.spatial_merge_size,
            "mask_num": self.mask_num,
            "region_encoder": self.region,
            "vision_encoder_config": {
                "hidden_size": vision.width,
                "intermediate_size": vision.mlp_width,
                "num_hidden_layers": vision.layers,
                "num_attention_heads": vision.heads,
                "patch_size": vision.patch_px,
                "layer_norm_eps": vision.norm_eps,
            },
            "geometry": asdict(self.geometry),
        }
