"""VideoRefer's region encoder against its formulas: by hand, and against a slow reference written from the paper."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.pixelrefer.checkpoint import load_model, save_model
from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.model import build_network
from modeling.pixelrefer.pooling import MOST_TOKENS, PooledRegionEncoder, merge_in_time, pool_mask
from modeling.pixelrefer.tokenizer import REGION, WordTokenizer
from tests.modeling.tiny_captioner import WORDS, request, tiny_config, write_tiny


def slow_mean(features: torch.Tensor, mask: torch.Tensor) -> list[float]:
    """The mean over the mask, cell by cell and channel by channel; the mask sampled at each cell's centre."""
    rows, columns, width = features.shape
    total, count = [0.0] * width, 0
    for row in range(rows):
        for column in range(columns):
            if sample(
                mask, (row + 0.5) * mask.shape[0] / rows - 0.5, (column + 0.5) * mask.shape[1] / columns - 0.5
            ):
                count += 1
                total = [have + float(more) for have, more in zip(total, features[row, column], strict=True)]
    return [value / count for value in total] if count else total


def sample(mask: torch.Tensor, y: float, x: float) -> float:
    """Bilinear value of a mask at a place; outside, the border continues."""
    y, x = max(y, 0.0), max(x, 0.0)
    top, left = int(y), int(x)
    value = 0.0
    for row, across in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, down in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = mask[min(row, mask.shape[0] - 1), min(column, mask.shape[1] - 1)]
            value += float(inside) * across * down
    return value


def slow_merge(vectors: list[list[float]], most: int) -> list[list[float]]:
    """Runs of neighbours: links weaker than the (n - most)-th strongest are cut."""

    def cosine(a: list[float], b: list[float]) -> float:
        def length(v: list[float]) -> float:
            return sum(x * x for x in v) ** 0.5

        return sum(x * y for x, y in zip(a, b, strict=True)) / (length(a) * length(b))

    if len(vectors) <= most:
        return vectors
    likeness = [cosine(a, b) for a, b in zip(vectors, vectors[1:], strict=False)]
    bound = sorted(likeness, reverse=True)[len(vectors) - most - 1]
    runs = [[vectors[0]]]
    for link, vector in zip(likeness, vectors[1:], strict=True):
        runs.append([vector]) if link < bound else runs[-1].append(vector)
    return [[sum(values) / len(run) for values in zip(*run, strict=True)] for run in runs]


def test_the_mean_over_a_mask_by_hand() -> None:
    features = torch.tensor([[[1.0, 10.0], [3.0, 30.0]], [[5.0, 50.0], [7.0, 70.0]]])
    assert pool_mask(features, torch.tensor([[1, 0], [0, 1]])).tolist() == [4.0, 40.0]
    assert pool_mask(features, torch.zeros(2, 2, dtype=torch.uint8)).tolist() == [0.0, 0.0]
    left_half = torch.zeros(4, 4, dtype=torch.uint8)
    left_half[:, :2] = 1
    assert pool_mask(features, left_half).tolist() == [3.0, 30.0]


@pytest.mark.parametrize("size", [(5, 7), (10, 21), (3, 4), (60, 80)])
def test_the_mean_agrees_with_the_slow_reference(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(size[1])
    features = torch.randn(5, 7, 3, generator=generator)
    mask = (torch.rand(size, generator=generator) > 0.6).to(torch.uint8)
    expected = torch.tensor(slow_mean(features, mask))
    torch.testing.assert_close(pool_mask(features, mask), expected, atol=1e-5, rtol=1e-5)


def test_a_thing_between_the_samples_is_lost() -> None:
    mask = torch.zeros(60, 80, dtype=torch.uint8)
    mask[0, 0] = 1
    assert not pool_mask(torch.ones(3, 4, 2), mask).any()


def test_the_strongest_links_hold_by_hand() -> None:
    # Two directions: east, east, north, north, north, east: links 1, 0, 1, 1, 0; two of six tokens must go.
    east, north = [1.0, 0.0], [0.0, 1.0]
    vectors = torch.tensor([east, [3.0, 0.0], north, [0.0, 5.0], [0.0, 3.0], [2.0, 0.0]])
    # All three equal links are as strong as the second strongest, so they hold: three runs, not four.
    assert merge_in_time(vectors).tolist() == [[2.0, 0.0], [0.0, 3.0], [2.0, 0.0]]


def test_few_vectors_pass_and_equal_ones_become_one() -> None:
    vectors = torch.randn(MOST_TOKENS, 3)
    assert torch.equal(merge_in_time(vectors), vectors)
    assert merge_in_time(torch.ones(9, 3)).tolist() == [[1.0, 1.0, 1.0]]
    assert len(merge_in_time(torch.zeros(9, 3))) == 1


@pytest.mark.parametrize("count", [5, 6, 11, 40])
def test_merging_agrees_with_the_slow_reference(count: int) -> None:
    vectors = torch.randn(count, 6, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    merged = merge_in_time(vectors)
    assert len(merged) == MOST_TOKENS
    expected = torch.tensor(slow_merge(vectors.tolist(), MOST_TOKENS), dtype=torch.float64)
    torch.testing.assert_close(merged, expected)


def pooling_config() -> CaptionerConfig:
    block = tiny_config("pixelrefer").to_json() | {"region_encoder": "pooling"}
    return CaptionerConfig.from_json(block)


def test_objects_of_different_lengths_share_a_batch() -> None:
    encoder = PooledRegionEncoder(pooling_config())
    pieces = [torch.randn(1, 32), torch.randn(9, 32), torch.randn(3, 32)]
    merged, counts = encoder.merge(pieces)
    assert merged.shape == (3, MOST_TOKENS, 32) and counts.tolist() == [1, 4, 3]
    assert not merged[0, 1:].any() and torch.equal(merged[2, :3], pieces[2])
    torch.testing.assert_close(merged[1], merge_in_time(pieces[1]))
    with pytest.raises(ValueError, match="no first centroids"):
        encoder.merge(pieces, torch.zeros(3, 4, dtype=torch.long))


def test_the_configuration_chooses_it_and_published_names_load(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path, "pixelrefer")
    (folder / "config.json").write_text(json.dumps(pooling_config().to_json()))
    with pytest.raises(ValueError, match=r"unknown model\.region_encoder\.pos_linear\.bias"):
        load_model(folder)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "pos_linear" not in name}
    save_file(kept, folder / "model.safetensors")
    region = load_model(folder).model.region_encoder
    assert isinstance(region, PooledRegionEncoder)
    assert torch.equal(region.feat_linear[2].weight, kept["model.region_encoder.feat_linear.2.weight"])


def write_pooling(folder: Path) -> Path:
    torch.manual_seed(3)
    save_model(build_network(pooling_config()), PatchSettings(), WordTokenizer.build(WORDS), folder)
    return folder


def test_it_captions_one_tag_an_object_and_at_most_four_tokens(tmp_path: Path) -> None:
    captioner = Captioner.load(write_pooling(tmp_path))
    answer = captioner.describe(request(seen=6, things=2))
    assert answer.object_tokens == 2 * MOST_TOKENS and len(answer.token_ids) == 6
    prepared = captioner.processor.prepare(request(seen=2, things=2))
    assert int((prepared.ids == captioner.tokenizer.id_of(REGION)).sum()) == 4
    still = request(seen=1, times_s=None)
    assert captioner.describe(still).object_tokens == 1


def test_its_tokens_are_the_pooled_frames(tmp_path: Path) -> None:
    captioner = Captioner.load(write_pooling(tmp_path))
    network, asked = captioner.network, request(seen=3)
    views = captioner.processor.prepare(asked).views
    features = network.encode_images(views.crops).split(views.crops.counts)
    masks = asked.full_masks()
    expected = [
        pool_mask(piece.unflatten(0, tuple(grid)), torch.from_numpy(mask))
        for piece, grid, mask in zip(features, views.crops.grids.tolist(), masks, strict=True)
    ]
    embeddings = network.object_embeddings(views)
    torch.testing.assert_close(embeddings, network.model.region_encoder.feat_linear(torch.stack(expected)))


def test_equal_frames_fill_the_places_of_the_prompt(tmp_path: Path) -> None:
    captioner = Captioner.load(write_pooling(tmp_path))
    asked = request(seen=7)
    same = request(seen=7, frames=asked.frames[:1].repeat(7, 0), masks=asked.masks[:1].repeat(7, 0))
    embeddings = captioner.network.object_embeddings(captioner.processor.prepare(same).views)
    assert embeddings.shape[0] == MOST_TOKENS
    torch.testing.assert_close(embeddings, embeddings[:1].expand(MOST_TOKENS, -1))


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="neither 'clusters' nor 'pooling'"):
        CaptionerConfig.from_json(tiny_config("pixelrefer").to_json() | {"region_encoder": "attention"})
    with pytest.raises(ValueError, match="framework pixelrefer only"):
        CaptionerConfig.from_json(tiny_config().to_json() | {"region_encoder": "pooling"})
