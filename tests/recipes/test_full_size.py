"""The recipe that measures captioners of full size, run on a small one, and its refusals."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer

from modeling.pixelrefer.checkpoint import load_model
from modeling.pixelrefer.config import CaptionerConfig, VisionConfig
from recipes import measure_full_size
from recipes.full_size import layout
from recipes.full_size.memory import gigabytes
from recipes.full_size.sizes import BASE_TOKENS, VOCABULARY, published_config, published_sizes
from recipes.full_size.vocabulary import special_tokens, write_tokenizer

SMALL = {"hidden_size": 96, "intermediate_size": 120, "num_hidden_layers": 2, "vocab_size": 326}


def write_small(folder: Path) -> tuple[int, CaptionerConfig]:
    """A checkpoint with few weights by the recipe's own writer."""
    block = published_config("pixelreferlite", "2b") | SMALL
    config = CaptionerConfig.from_json(block, VisionConfig(width=128, mlp_width=160, layers=2))
    return layout.write_checkpoint(folder, block, config, base_tokens=300), config


def test_a_checkpoint_is_written_in_shards_and_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SHARD_BYTES", 300_000)
    shards, config = write_small(tmp_path)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) == shards > 2
    names = []
    for file in files:
        with safe_open(file, framework="pt") as opened:
            names.append(set(opened.keys()))
    assert sum(map(len, names)) == len(set.union(*names))
    network = load_model(tmp_path)
    assert network.config == config and network.dtype == torch.bfloat16
    assert sum(2 * tensor.numel() for tensor in network.state_dict().values()) == layout.stored_bytes(config)


def test_a_fresh_process_loads_it_and_speaks(tmp_path: Path) -> None:
    write_small(tmp_path)
    measure_full_size.forget_pages(tmp_path)
    facts = measure_full_size.run_apart(tmp_path, frames=2, tokens=3)
    assert facts["number_format"] == "bfloat16" and facts["object_tokens"] == 2 * 32
    assert {"import", "load", "prepare", "encode", "prefill", "decode"} <= facts["seconds"].keys()
    memory = facts["memory_gb"]
    held = memory["after_answer"]
    assert held["rss"] > held["anonymous"] > memory["before_load"]["anonymous"] > 0
    assert memory["peak_rss"] > 0.9 * held["rss"]  # the kernel counts both roughly


def test_a_run_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(measure_full_size.NotHere, match="ended with code 1"):
        measure_full_size.run_apart(tmp_path, frames=2, tokens=3)


def test_no_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(measure_full_size.NotHere, match="GB free"):
        measure_full_size.check_room(1e6, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_published_sizes_agree_with_their_tokenizer() -> None:
    assert BASE_TOKENS + len(special_tokens()) == VOCABULARY
    assert published_sizes("pixelrefer", "2b").language.vocab_size == VOCABULARY


def test_the_made_up_tokenizer_gives_text_back(tmp_path: Path) -> None:
    assert write_tokenizer(tmp_path, 2000) == 2026
    engine = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "What does <REGION> do?\n Ein Bär, 3.5 s."
    ids = engine.encode(text).ids
    assert engine.token_to_id("<REGION>") == 2025 and 2025 in ids and max(ids) == 2025
    assert engine.decode(ids, skip_special_tokens=False) == text
    assert len(json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]) == 2000
    with pytest.raises(ValueError, match="at least 256"):
        write_tokenizer(tmp_path, 100)


def test_memory_is_read_as_linux_reports_it() -> None:
    assert gigabytes("VmRSS:\t 2000000 kB\nRssAnon:   5 kB\n", "VmRSS") == pytest.approx(2.048)
    with pytest.raises(OSError, match="RssFile"):
        gigabytes("VmRSS: 1 kB\n", "RssFile")
