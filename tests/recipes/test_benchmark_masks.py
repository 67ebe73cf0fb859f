"""Masks as benchmarks store them, against values of pycocotools 2.0.11."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.benchmarks.masks import BoxShape, MaskError, mask_of, unpack_counts


def small() -> np.ndarray:
    mask = np.zeros((7, 9), np.uint8)
    mask[2:5, 3:7] = 1
    mask[6, 0] = 1
    return mask


def test_packed_runs_are_those_of_the_coco_api() -> None:
    shape = {"size": [7, 9], "counts": "61`02D00000<"}
    assert np.array_equal(mask_of(shape, 1, 1), small())
    packed = "Tkm2X6h8" + "0" * 597 + "l`Q2"
    wide = np.zeros((480, 640), np.uint8)
    wide[100:300, 200:500] = 1
    assert np.array_equal(mask_of({"size": [480, 640], "counts": packed.encode()}, 1, 1), wide)


def test_runs_may_be_numbers() -> None:
    counts = unpack_counts("61`02D00000<")
    assert sum(counts) == 63 and np.array_equal(mask_of({"size": [7, 9], "counts": counts}, 1, 1), small())
    assert mask_of({"size": [2, 2], "counts": [0, 4]}, 1, 1).all()


def test_polygons_cover_the_pixels_whose_centre_they_hold() -> None:
    square = mask_of([[10.0, 10.0, 30.0, 10.0, 30.0, 25.0, 10.0, 25.0]], 40, 50)
    assert square.sum() == 300 and square[10:25, 10:30].all()
    assert mask_of([[5.0, 30.0, 25.0, 5.0, 45.0, 33.0]], 40, 50).sum() == 532
    assert mask_of([[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 6, 2, 6, 6, 2, 6]], 8, 8).sum() == 28


def test_boxes_are_filled_and_cut_to_the_picture() -> None:
    assert mask_of(BoxShape((-3.0, 1.2, 2.5, 90.0)), 4, 5).tolist() == [[0] * 5] + [[1, 1, 1, 0, 0]] * 3


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, "cover 3 pixels"),
        ({"size": [2, 2], "counts": [6, -2]}, "whole numbers"),
        ({"size": [2, 2], "counts": "\x01"}, "packed text holds"),
        ({"size": [2, 2], "counts": "P"}, "inside a number"),
        ({"size": [2], "counts": [4]}, "height, width"),
        ({"size": [100_000, 100_000], "counts": [10**10]}, "too large"),
        ({"counts": [4]}, "height, width"),
        ([[1, 2, 3, 4]], "three corners"),
        ("61`02D00000<", "not str"),
    ],
)
def test_broken_masks_are_named(shape: object, complaint: str) -> None:
    with pytest.raises(MaskError, match=complaint):
        mask_of(shape, 2, 2)
