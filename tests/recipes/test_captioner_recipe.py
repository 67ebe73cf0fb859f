"""The captioner recipe in small: it learns without accident, goes on where it stopped, and its export answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.pixelrefer.calibration import Calibration
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.processor import Processor
from modeling.pixelrefer.questions import MAX_FRAMES, WORDING
from modeling.pixelrefer.region import InfusionAttention
from modeling.pixelrefer.tokenizer import WordTokenizer
from recipes.captioner import encoder_stage, language_stage
from recipes.captioner import evidence as evidence_module
from recipes.captioner.cache import CachedFeatures, read_cache, write_cache
from recipes.captioner.clips import STRANGERS, clip_path, make_clips, read_clip, shrink
from recipes.captioner.encoder_stage import train_encoder
from recipes.captioner.evidence import MOST_SPARSE, Outlines, Roughness, sample_evidence, whole_evidence
from recipes.captioner.export import export_captioner
from recipes.captioner.language_stage import Trainee, look, train_language
from recipes.captioner.network import PATCHES, new_network
from recipes.captioner.progress import load_state
from recipes.captioner.samples import IGNORED, SequenceMaker
from recipes.captioner.warm_start import warm_start
from recipes.captioner.words import build_tokenizer
from recipes.evaluate_captioner import WEIGHTS, evaluate, judged_objects, request_for
from synthetic.casting import HELD_OUT_PAIRS
from synthetic.grammar import STRANGER, VERBS
from synthetic.world import sample_clip

CPU = torch.device("cpu")
TOKENIZER = build_tokenizer()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner") / "clips"
    make_clips(folder, "train", 0, 3)
    make_clips(folder, STRANGERS, 0, 1)
    return folder


@pytest.fixture(scope="module")
def cached(clips: Path) -> CachedFeatures:
    folder = clips.parent / "features"
    write_cache(new_network(len(TOKENIZER), 0), sorted(clips.iterdir()), folder, seed=0)
    return read_cache(folder)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_stage, "CROPS", 3)
    monkeypatch.setattr(encoder_stage, "CLIPS_A_STEP", 2)
    monkeypatch.setattr(encoder_stage, "STRANGE_CLIPS", 1)
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


def test_what_is_too_unsure_to_be_named_moves_plainly_in_every_form() -> None:
    bold = Captioner.load(WEIGHTS)
    calibration = replace(Calibration.load(WEIGHTS, bold.tokenizer), unsure_below=1.0)
    cautious = Captioner(bold.network, bold.processor, bold.tokenizer, bold.generation, calibration)
    clip = sample_clip(50_000_000, "held_out")
    for k in judged_objects(clip):
        evidence = whole_evidence(clip, k, Outlines(clip, None))
        if evidence is None or evidence.said.event != "moves":
            continue
        request = request_for(clip, evidence)
        happens = request.instruction.replace(WORDING["detail"], WORDING["event"])
        assert cautious.describe(request).text.startswith(f"{STRANGER} ")
        told = cautious.describe(replace(request, instruction=happens)).text
        assert told.split()[:2] == ["it", VERBS[STRANGER]]
        return
    raise AssertionError("no object of the clip simply moves")


def test_training_prompts_are_those_of_production(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.captioner.evidence.MOST_NEIGHBOURS", 2)
    clip = read_clip(clip_path(clips, "train", 0))
    pieces = [whole_evidence(clip, k, Outlines(clip, None)) for k in range(len(clip.objects))]
    evidence = next(piece for piece in pieces if piece is not None and piece.near)
    network = new_network(len(TOKENIZER), 0)
    maker = SequenceMaker(TOKENIZER, network.config.mask_num)
    mine = maker.prompt("detail", [shown.times_s for shown in evidence.shown], evidence.end_s)
    captioner = Captioner(network, Processor(network.config, PATCHES, TOKENIZER), TOKENIZER)
    assert captioner.processor.prepare(request_for(clip, evidence)).ids.tolist() == mine


def test_pairs_kept_for_testing_are_not_learned_from(cached: CachedFeatures) -> None:
    said = [cached.attributes(number) for number in range(len(cached.notes))]
    assert {it.class_name for it in said} > {STRANGER}
    assert not HELD_OUT_PAIRS & {(it.colour, it.class_name) for it in said}
    assert not HELD_OUT_PAIRS & {it.other for it in said}


def test_an_earlier_captioner_is_begun_with_word_by_word(tmp_path: Path) -> None:
    earlier = new_network(len(TOKENIZER), 1)
    export_captioner(earlier, TOKENIZER, tmp_path)
    words = WordTokenizer.build(["new", *(word for word in TOKENIZER.vocabulary if word[0].isalpha())])
    network = new_network(len(words), 2)
    assert warm_start(network, words, tmp_path) == []
    table, before = network.model.embed_tokens.weight, earlier.model.embed_tokens.weight
    for word in ("red", "duck"):
        row, old = words.id_of(word), TOKENIZER.id_of(word)
        torch.testing.assert_close(table[row], before[old].half().float())
    torch.testing.assert_close(
        network.model.mm_projector.readout[0].weight,
        earlier.model.mm_projector.readout[0].weight.half().float(),
    )


def test_pairs_see_the_prefix_and_themselves_only(cached: CachedFeatures) -> None:
    maker = SequenceMaker(TOKENIZER, 8)
    batch = maker.make(cached.notes[:2], [cached.attributes(k) for k in range(2)], np.random.default_rng(0))
    parts, mask = batch.parts[0], batch.mask[0, 0]
    second = int((parts == 2).nonzero()[0])
    assert mask[second][parts == 0].all() and not mask[second][parts == 1].any()
    assert batch.positions[0, second] == batch.prefix_ends[0]
    told = batch.targets[0][parts == 1]
    assert TOKENIZER.decode(told[told != IGNORED].tolist()).startswith(("a", "something"))


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
            evidence = sample_evidence(clip, k, rng, Outlines(clip, rng))
            if evidence is not None:
                frames, times_s = evidence.own.frames, evidence.own.times_s
                assert len(frames) <= MAX_FRAMES and (it.visible_px[frames] > 0).all()
                assert 0 <= times_s[0] <= times_s[-1] < evidence.end_s <= 4.0
                assert all(set(near.frames) <= set(frames) for near in evidence.near)


def test_sparse_evidence_ends_with_its_last_picture(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "SPARSE_SHARE", 1.0)
    clip = read_clip(clip_path(clips, "train", 0))
    found = [sample_evidence(clip, 0, np.random.default_rng(seed), Outlines(clip, None)) for seed in range(8)]
    pieces = [piece for piece in found if piece is not None]
    assert pieces
    for piece in pieces:
        assert len(piece.own.frames) <= MOST_SPARSE
        assert piece.end_s == pytest.approx(piece.own.times_s[-1] + 1 / clip.fps)
        assert piece.said.event not in ("leaves", "hidden")  # it is seen on the last picture


def test_rough_masks_stay_near_the_true_one() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((240, 320), bool)
    mask[100:150, 100:160] = True
    ious = []
    for _ in range(40):
        rough = Roughness.sample(rng)(mask, rng)
        ious.append((rough & mask).sum() / (rough | mask).sum())
    assert 0.6 < np.median(ious) < 0.97 and max(ious) < 1


def test_a_clip_at_half_its_size_has_the_truth_of_half_its_size() -> None:
    large = sample_clip(5, "train", width=320, height=240, frames=2, fps=4.0)
    small = shrink(large)
    assert small.ids.shape == (2, 120, 160)
    for number, (it, was) in enumerate(zip(small.objects, large.objects, strict=True), 1):
        for t in range(2):
            assert it.visible_px[t] == (small.ids[t] == number).sum() <= it.full_px[t]
            rows, columns = np.nonzero(small.ids[t] == number)
            if len(rows) > 10:
                assert (
                    np.abs(it.boxes[t] - [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).max()
                    <= 1
                )
        assert np.array_equal(it.velocity, was.velocity), "metres stay metres"
