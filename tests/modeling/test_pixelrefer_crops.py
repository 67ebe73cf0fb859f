"""Cutting objects out of frames, image sizes, and the resizing they rest on."""

import numpy as np
import pytest
import torch

from modeling.pixelrefer.crops import crop_lite, crop_object, share_views, working_grid
from modeling.pixelrefer.images import ImagePacker, PatchSettings, patch_rows, target_size
from modeling.pixelrefer.resize import resize_area, resize_linear
from tests.modeling.tiny_captioner import tiny_config

CONFIG = tiny_config()


def square(top: int, left: int, side: int, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def test_crops_keep_to_their_cap() -> None:
    rng = np.random.default_rng(0)
    for height, width in rng.integers(1, 900, (300, 2)).tolist():
        for scale in (0.4, 1, 7, 40):
            rows, columns = working_grid((height, width), scale, CONFIG)
            assert rows >= 1 and columns >= 1 and rows * columns <= 64


def test_a_crop_holds_the_object_and_its_margin() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    cut = crop_lite(frame, square(20, 30, 10), CONFIG)
    assert cut.crop.box == (12, 22, 37, 47)
    assert cut.local_view.shape == (84, 84, 3)
    assert cut.crop.image.shape[0] == cut.crop.grid.shape[0] * 14
    assert (cut.crop.grid > 0).any() and cut.crop.grid.max() == 1


def test_the_lite_crop_reaches_the_border_and_the_other_does_not() -> None:
    frame = np.zeros((60, 80, 3), np.uint8)
    assert crop_lite(frame, square(50, 70, 10), CONFIG).crop.box == (42, 62, 59, 79)
    assert (crop_lite(frame, square(59, 79, 1), CONFIG).crop.grid > 0).any()
    corner = crop_object(frame, square(59, 79, 1), tiny_config("pixelrefer"))
    assert corner is not None and not corner.grid.any()


def test_an_empty_mask_gives_a_black_crop_or_none() -> None:
    frame = np.full((60, 80, 3), 200, np.uint8)
    empty = np.zeros((60, 80), np.uint8)
    cut = crop_lite(frame, empty, CONFIG)
    assert not cut.crop.image.any() and not cut.crop.grid.any() and (cut.local_view == 200).all()
    assert crop_object(frame, empty, CONFIG) is None


def test_masks_of_one_frame_share_its_view() -> None:
    assert share_views([4, 4, 1, 4, 2]) == [0, 0, 1, 0, 2]


def test_target_sizes() -> None:
    assert target_size((168, 196), 14, 10**6, 3136) == (168, 196)
    assert target_size((14, 14), 14, 10**6, 3136) == (56, 56)
    assert target_size((2120, 208), 28, 2230, 3136) == (140, 28)
    with pytest.raises(ValueError, match="too long and thin"):
        target_size((20, 6000), 14, 10**6, 3136)


def test_patches_run_block_by_block() -> None:
    image = np.arange(56 * 56 * 3, dtype=np.uint32).reshape(56, 56, 3) % 251
    image = image.astype(np.uint8)
    rows = patch_rows(image, 14, 2)
    assert rows.shape == (16, 588)
    third = image[14:28, :14].transpose(2, 0, 1).reshape(-1)
    assert np.array_equal(rows[2], third)


def test_values_are_normalised_per_channel() -> None:
    packer = ImagePacker(CONFIG, PatchSettings(mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 2.0)))
    rows = torch.tensor([0, 255, 51], dtype=torch.uint8)[:, None].expand(3, 196).reshape(1, 588)
    values = packer.normalise(rows)[0].view(3, 196)
    assert values[:, 0].tolist() == pytest.approx([-1.0, 1.0, -0.4])


@pytest.mark.parametrize("resize", [resize_linear, resize_area])
@pytest.mark.parametrize("size", [(5, 9), (20, 30), (7, 40), (10, 15), (61, 3)])
def test_a_flat_picture_stays_flat(resize, size: tuple[int, int]) -> None:
    for value in (np.uint8(137), np.float32(0.25)):
        picture = np.full((20, 30, 3), value)
        resized = resize(picture, *size)
        assert resized.shape == (*size, 3) and resized.dtype == picture.dtype
        assert np.allclose(resized, value, atol=1e-6)


def test_halving_averages_and_same_size_copies() -> None:
    picture = np.random.default_rng(2).integers(0, 256, (20, 30), dtype=np.uint8)
    mean = picture.reshape(10, 2, 15, 2).mean(axis=(1, 3))
    assert np.array_equal(resize_area(picture, 10, 15), np.floor(mean + 0.5).astype(np.uint8))
    assert np.array_equal(resize_linear(picture, 10, 15), resize_area(picture, 10, 15))
    assert np.array_equal(resize_linear(picture, 20, 30), picture)


def test_area_weights_every_pixel_once() -> None:
    picture = np.random.default_rng(4).random((23, 31), dtype=np.float32)
    assert resize_area(picture, 5, 7).mean() == pytest.approx(picture.mean(), abs=1e-3)


def test_wrong_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        resize_linear(np.zeros((4, 4)), 2, 2)
    with pytest.raises(ValueError, match="a side is empty"):
        resize_area(np.zeros((4, 4), np.uint8), 0, 2)
