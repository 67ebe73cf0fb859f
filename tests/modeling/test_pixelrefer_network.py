"""Properties of the captioner's networks that hold whatever the weights."""

import pytest
import torch

from modeling.pixelrefer.config import CaptionerConfig, VisionConfig
from modeling.pixelrefer.inputs import PackedImages
from modeling.pixelrefer.model import build_network
from modeling.pixelrefer.region import even_start, merge_tokens, position_grid, select_cells
from modeling.pixelrefer.scene import changed_cells, merge_cells
from modeling.pixelrefer.vision import VisionEncoder, cell_positions
from tests.modeling.tiny_captioner import tiny_config


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_packed_images_do_not_see_each_other() -> None:
    encoder = VisionEncoder(VisionConfig(32, 48, 2, 2)).eval()
    grids = torch.tensor([[3, 4], [2, 2], [4, 3], [9, 8], [1, 1]])
    patches = torch.randn(int(grids.prod(-1).sum()), 588)
    together = encoder(patches, grids).split(grids.prod(-1).tolist())
    for grid, alone, packed in zip(grids, patches.split(grids.prod(-1).tolist()), together, strict=True):
        torch.testing.assert_close(encoder(alone, grid[None]), packed, atol=1e-5, rtol=1e-5)


def test_block_order_lists_whole_blocks() -> None:
    assert cell_positions(2, 4, 2).tolist() == [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
        [0, 2],
        [0, 3],
        [1, 2],
        [1, 3],
    ]


def test_patches_must_fill_their_grids() -> None:
    with pytest.raises(ValueError, match="5 patches"):
        PackedImages(torch.zeros(5, 588), torch.tensor([[2, 3]]))


def plain_clusters(tokens: torch.Tensor, start: list[int], rounds: int) -> torch.Tensor:
    """K-means of one object, written out."""
    centres = tokens[start]
    for _ in range(rounds):
        nearest = ((tokens[:, None] - centres) ** 2).sum(-1).argmin(1)
        fresh = centres.clone()
        for number in range(len(start)):
            if (nearest == number).any():
                fresh[number] = tokens[nearest == number].mean(0)
        if torch.allclose(centres, fresh, atol=1e-6, rtol=1e-5):
            break
        centres = fresh
    return centres


def test_batched_clustering_equals_one_by_one() -> None:
    counts = torch.tensor([40, 9, 4, 0, 23])
    tokens = torch.randn(5, 40, 6)
    start = torch.stack([torch.randperm(max(int(count), 8))[:8] for count in counts])
    merged = merge_tokens(tokens, counts, 8, 3, start)
    for number in (0, 1, 4):
        alone = plain_clusters(tokens[number, : counts[number]], start[number].tolist(), 3)
        torch.testing.assert_close(merged[number], alone)
    assert torch.equal(merged[2, :4], tokens[2, :4])
    assert not merged[2, 4:].any() and not merged[3].any()


def test_identical_cells_leave_empty_clusters_in_place() -> None:
    merged = merge_tokens(torch.ones(1, 12, 4), torch.tensor([12]), 8, 3)
    assert torch.equal(merged, torch.ones(1, 8, 4))


def test_default_start_is_spread_and_in_range() -> None:
    start = even_start(torch.tensor([9, 100]), 8)
    assert start[0].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert start[1].tolist() == [6, 18, 31, 43, 56, 68, 81, 93]


def test_selection_drops_cells_of_zeros() -> None:
    features = torch.ones(2, 2, 3)
    features[0, 1] = 0
    assert select_cells(features, torch.tensor([[1, 1], [0, 1]])).shape == (2, 3)


def test_position_axes_are_crossed() -> None:
    code = position_grid((2, 4), box=(10, 40, 30, 80), frame=(101, 201))
    assert code[0, :, 0].tolist() == pytest.approx([0.05, 0.075, 0.1, 0.125])
    assert code[:, 0, 1].tolist() == pytest.approx([0.4, 0.6])


def test_reading_by_steps_equals_reading_at_once() -> None:
    network = build_network(tiny_config())
    embeds = torch.randn(1, 9, 32)
    cache = network.new_cache(9)
    steps = [network.decode(embeds[:, part], cache=cache) for part in (slice(0, 5), slice(5, 6), slice(6, 9))]
    torch.testing.assert_close(torch.cat(steps, 1), network.decode(embeds), atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="holds 9 positions"):
        network.decode(embeds[:, :1], cache=cache)


def test_questions_behind_one_prefix_do_not_see_each_other() -> None:
    network = build_network(tiny_config())
    prefix, first, second = torch.randn(1, 4, 32), torch.randn(1, 3, 32), torch.randn(1, 2, 32)
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    mask[7:, 4:7] = False
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 4, 5]])
    together = network.decode(torch.cat((prefix, first, second), 1), positions, mask)
    alone = network.decode(torch.cat((prefix, second), 1))
    torch.testing.assert_close(together[:, 7:], alone[:, 4:], atol=1e-5, rtol=1e-5)


def test_configuration_survives_json() -> None:
    config = tiny_config()
    assert CaptionerConfig.from_json(config.to_json()) == config


def test_unchanged_cells_are_dropped_but_never_all() -> None:
    still = torch.randn(1, 8, 588)
    moved = still.clone()
    moved[0, 4:] += 0.01
    images = PackedImages(torch.cat((still, still, moved)).flatten(0, 1), torch.tensor([[2, 4]] * 3), 2)
    assert changed_cells(images).tolist() == [True, True, True, False, False, True]
    assert merge_cells(images.patches, 2).shape == (6, 588)
