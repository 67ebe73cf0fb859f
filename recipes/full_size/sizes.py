"""The published sizes: what the `config.json` of each official checkpoint says."""

from typing import Any, Literal

from modeling.pixelrefer.config import CaptionerConfig, Framework, VisionConfig

Size = Literal["2b", "7b"]
BASE_TOKENS = 151_643
"""Tokens of Qwen2.5's vocabulary before any special one."""
VOCABULARY = 151_669
"""Rows of the table: Qwen2.5's 22 special tokens and PixelRefer's four follow."""

_LANGUAGE: dict[Size, dict[str, Any]] = {
    "2b": {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    },
}


def published_config(framework: Framework, size: Size) -> dict[str, Any]:
    """The content of an official `config.json`: no block for the vision encoder, whose sizes only tensors tell."""
    return _LANGUAGE[size] | {
        "model_type": f"{framework}_qwen2",
        "vocab_size": VOCABULARY,
        "num_hidden_layers": 28,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000.0,
        "rope_scaling": None,
        "use_sliding_window": False,
        "max_position_embeddings": 32_768,
        "torch_dtype": "bfloat16",
        "mm_vision_encoder": "DAMO-NLP-SG/VL3-SigLIP-NaViT",
        "mm_hidden_size": 1152,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "mm_max_length": 8192,
        "spatial_merge_size": 2,
        "mask_num": 32,
        "use_token_compression": True,
    }


def published_sizes(framework: Framework, size: Size) -> CaptionerConfig:
    """The same as the network takes it."""
    return CaptionerConfig.from_json(published_config(framework, size), VisionConfig())
