from __future__ import annotations

import numpy as np
import pytest

from operators.masks import at_border, box_of, box_overlap, inside, overlap, pieces, tidy


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((20, 40), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def test_box_has_exclusive_ends() -> None:
    np.testing.assert_allclose(box_of(mask_of((4, 5, 20, 10))), [0.1, 0.25, 0.5, 0.5])
    assert not box_of(mask_of()).any()


def test_overlaps() -> None:
    a, b = mask_of((0, 0, 10, 10)), mask_of((5, 0, 15, 10))
    assert overlap(a, b) == pytest.approx(1 / 3)
    assert box_overlap(box_of(a), box_of(b)) == pytest.approx(1 / 3, abs=1e-6)
    assert overlap(mask_of(), mask_of()) == 0
    assert box_overlap(box_of(a), box_of(mask_of((20, 0, 30, 10)))) == 0


def test_inside_counts_pixels_in_the_box() -> None:
    mask = mask_of((0, 0, 10, 10))
    assert inside(mask, np.array([0, 0, 0.125, 1], np.float32)) == pytest.approx(0.5)
    assert inside(mask_of(), np.array([0, 0, 1, 1], np.float32)) == 0


def test_border() -> None:
    assert at_border(np.array([0.0, 0.3, 0.2, 0.5]))
    assert not at_border(np.array([0.1, 0.3, 0.2, 0.5]))


def flood(mask: np.ndarray) -> list[set[tuple[int, int]]]:
    """Connected pieces the slow way."""
    left, found = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True)), []
    while left:
        piece, edge = set(), {left.pop()}
        while edge:
            row, column = edge.pop()
            piece.add((row, column))
            near = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            edge |= near
        found.append(piece)
    return found


@pytest.mark.parametrize("density", [0.0, 0.1, 0.3, 0.45, 0.6, 1.0])
def test_pieces_are_those_of_a_flood_fill(density: float) -> None:
    mask = np.random.default_rng(7).random((30, 50)) < density
    labels, areas = pieces(mask)
    expected = flood(mask)
    assert len(areas) == len(expected) + 1 and areas[0] == 0
    for piece in expected:
        (label,) = {int(labels[at]) for at in piece}
        assert label > 0 and areas[label] == len(piece) == np.count_nonzero(labels == label)
    assert (labels[~mask] == 0).all()


def test_tidy_drops_crumbs_and_keeps_parts() -> None:
    body, part, crumb = (0, 0, 10, 10), (20, 0, 26, 10), (35, 15, 37, 17)
    assert (tidy(mask_of(body, part, crumb)) == mask_of(body, part)).all()
    assert not tidy(mask_of()).any()
