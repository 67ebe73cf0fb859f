"""The captioner recipe in small: it learns without accident, goes on where it stopped, and its export answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.processor import Processor
from modeling.pixelrefer.questions import MAX_FRAMES
from modeling.pixelrefer.region import InfusionAttention
from recipes.captioner import encoder_stage, language_stage
from recipes.captioner.cache import CachedFeatures, read_cache, write_cache
from recipes.captioner.clips import make_clips, read_clip
from recipes.captioner.encoder_stage import train_encoder
from recipes.captioner.evidence import Roughness, exact_evidence, sample_evidence
from recipes.captioner.export import export_captioner
from recipes.captioner.language_stage import Trainee, look, train_language
from recipes.captioner.network import PATCHES, new_network
from recipes.captioner.progress import load_state
from recipes.captioner.samples import IGNORED, SequenceMaker
from recipes.captioner.words import build_tokenizer
from recipes.evaluate_captioner import evaluate, judged_objects, request_for
from synthetic.world import sample_clip

CPU = torch.device("cpu")
TOKENIZER = build_tokenizer()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner") / "clips"
    make_clips(folder, "train", 0, 3)
    return folder


@pytest.fixture(scope="module")
def cached(clips: Path) -> CachedFeatures:
    folder = clips.parent / "features"
    write_cache(new_network(len(TOKENIZER), 0), sorted(clips.iterdir()), folder, seed=0)
    return read_cache(folder)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_stage, "CROPS", 3)
    monkeypatch.setattr(encoder_stage, "CLIPS_A_STEP", 1)
    monkeypatch.setattr(language_stage, "OBJECTS_A_STEP", 3)


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.usefixtures("small_steps")
def test_encoder_stage_goes_on_where_it_stopped(clips: Path, tmp_path: Path, monkeypatch) -> None:
    whole, halved = (new_network(len(TOKENIZER), 0) for _ in range(2))
    untouched = new_network(len(TOKENIZER), 0)
    monkeypatch.setattr("recipes.captioner.progress.rate_at", lambda done, peak: peak)
    train_encoder(whole, clips, tmp_path / "whole.safetensors", 4, 0, CPU)
    train_encoder(halved, clips, tmp_path / "half.safetensors", 2, 0, CPU)
    again = new_network(len(TOKENIZER), 0)
    train_encoder(again, clips, tmp_path / "half.safetensors", 4, 0, CPU)
    assert same_weights(whole, again)
    assert not same_weights(whole, untouched)


@pytest.mark.usefixtures("small_steps")
def test_language_stage_goes_on_where_it_stopped(cached: CachedFeatures, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("recipes.captioner.progress.rate_at", lambda done, peak: peak)
    whole, again = (new_network(len(TOKENIZER), 0) for _ in range(2))
    train_language(whole, cached, TOKENIZER, tmp_path / "whole.safetensors", 4, 0, CPU)
    train_language(
        new_network(len(TOKENIZER), 0), cached, TOKENIZER, tmp_path / "half.safetensors", 2, 0, CPU
    )
    train_language(again, cached, TOKENIZER, tmp_path / "half.safetensors", 4, 0, CPU)
    assert same_weights(whole, again)
    trainee = Trainee(new_network(len(TOKENIZER), 1), 0)
    assert load_state(tmp_path / "whole.safetensors", trainee) == 4


def test_an_exported_captioner_loads_and_is_scored(tmp_path: Path) -> None:
    export_captioner(new_network(len(TOKENIZER), 0), TOKENIZER, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size < 10_000_000
    scores = evaluate(Captioner.load(tmp_path), worlds=1, seed=0, masks="rough")
    clip = sample_clip(50_000_000, "held_out")
    assert scores["objects"] == len(judged_objects(clip)) > 0
    assert 0 <= scores["class"] <= 1 and len(scores["samples"]) == scores["objects"]


def test_training_prompts_are_those_of_production(clips: Path) -> None:
    clip = sample_clip(0, "train")
    evidence = exact_evidence(read_clip(sorted(clips.iterdir())[0]), 1)
    assert evidence is not None
    network = new_network(len(TOKENIZER), 0)
    maker = SequenceMaker(TOKENIZER, network.config.mask_num)
    mine = maker.prompt("detail", evidence.times_s, evidence.end_s)
    captioner = Captioner(network, Processor(network.config, PATCHES, TOKENIZER), TOKENIZER)
    assert captioner.processor.prepare(request_for(clip, evidence)).ids.tolist() == mine


def test_pairs_see_the_prefix_and_themselves_only(cached: CachedFeatures) -> None:
    maker = SequenceMaker(TOKENIZER, 8)
    batch = maker.make(cached.notes[:2], [cached.attributes(k) for k in range(2)], np.random.default_rng(0))
    parts, mask = batch.parts[0], batch.mask[0, 0]
    second = int((parts == 2).nonzero()[0])
    assert mask[second][parts == 0].all() and not mask[second][parts == 1].any()
    assert batch.positions[0, second] == batch.prefix_ends[0]
    told = batch.targets[0][parts == 1]
    assert TOKENIZER.decode(told[told != IGNORED].tolist()).startswith("a")


def test_training_attention_equals_that_of_the_network() -> None:
    torch.manual_seed(0)
    attention = InfusionAttention(32, 4)
    torch.nn.init.normal_(attention.in_proj_bias)
    query, view = torch.randn(3, 5, 32), torch.randn(3, 20, 32)
    torch.testing.assert_close(look(attention, query, view), attention(query, view), atol=1e-5, rtol=1e-4)


def test_evidence_keeps_to_the_frames_on_which_the_object_is_seen(clips: Path) -> None:
    rng = np.random.default_rng(3)
    for path in sorted(clips.iterdir()):
        clip = read_clip(path)
        for k, it in enumerate(clip.objects):
            evidence = sample_evidence(clip, k, rng)
            if evidence is not None:
                assert len(evidence.frames) <= MAX_FRAMES and (it.visible_px[evidence.frames] > 0).all()
                assert 0 <= evidence.times_s[0] <= evidence.times_s[-1] < evidence.end_s <= 4.0


def test_rough_masks_stay_near_the_true_one() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((240, 320), bool)
    mask[100:150, 100:160] = True
    ious = []
    for _ in range(40):
        rough = Roughness.sample(rng)(mask, rng)
        ious.append((rough & mask).sum() / (rough | mask).sum())
    assert 0.6 < np.median(ious) < 0.97 and max(ious) < 1
