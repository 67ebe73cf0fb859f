"""Masks carried by optical flow: where they go, when flow says that it does not know, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from modeling.sam2.carry import PATCH_PX, CarrySettings, Patch, carry, take_patch

HEIGHT, WIDTH = 180, 320
GRID = (90, 160)


def scene(seed: int = 0) -> np.ndarray:
    """Soft noise, as grass or walls look."""
    rough = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    return cv2.GaussianBlur(rough, (0, 0), 2.0)


def with_thing(
    x: float, y: float, size: float, ground: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A square of other noise on a ground, and its mask on a coarser grid."""
    picture = (scene() if ground is None else ground).copy()
    side = round(size)
    surface = cv2.resize(scene(9)[:60, :60], (side, side), interpolation=cv2.INTER_AREA)
    picture[round(y) : round(y) + side, round(x) : round(x) + side] = surface
    rows, columns = np.mgrid[0 : GRID[0], 0 : GRID[1]]
    down, across = (rows + 0.5) * HEIGHT / GRID[0], (columns + 0.5) * WIDTH / GRID[1]
    return picture, (down > y) & (down < y + side) & (across > x) & (across < x + side)


def box(x: float, y: float, size: float) -> np.ndarray:
    return np.array([x / WIDTH, y / HEIGHT, (x + size) / WIDTH, (y + size) / HEIGHT])


def patch_of(x: float, y: float, size: float) -> Patch:
    picture, mask = with_thing(x, y, size)
    patch = take_patch(picture, mask, box(x, y, size))
    assert patch is not None
    return patch


@pytest.mark.parametrize("size", [24, 48, 90])
def test_a_mask_goes_where_its_pixels_go(size: int) -> None:
    patch = patch_of(100, 60, size)
    assert patch.grey.shape == patch.mask.shape == (PATCH_PX, PATCH_PX)
    across, up = size // 8, size // 12
    picture, mask = with_thing(100 + across, 60 - up, size)
    found = carry(patch, picture)
    assert found is not None and found.agreeing > 0.6 and found.is_in_view
    assert found.box == pytest.approx(box(100 + across, 60 - up, size), abs=0.012)
    assert (found.dx * WIDTH, found.dy * HEIGHT) == pytest.approx((across, -up), abs=1.0)
    carried = found.mask(patch, (HEIGHT, WIDTH), GRID)
    assert (carried & mask).sum() / (carried | mask).sum() > 0.85


def test_what_comes_nearer_grows() -> None:
    found = carry(patch_of(100, 60, 50), with_thing(97, 57, 56)[0])
    assert found is not None and (found.box[2] - found.box[0]) * WIDTH == pytest.approx(56, abs=3)


def test_points_that_are_gone_do_not_agree() -> None:
    found = carry(patch_of(100, 60, 48), scene(5))
    assert found is None or found.agreeing < 0.3


def test_what_crosses_the_edge_is_not_in_view() -> None:
    picture, mask = with_thing(WIDTH - 50, 60, 48)
    patch = take_patch(picture, mask, box(WIDTH - 50, 60, 48))
    ground = scene()
    moved = np.roll(picture, 12, 1)
    moved[:, :12] = ground[:, :12]
    found = carry(patch, moved)
    assert found is not None and not found.is_in_view


def test_what_is_too_small_has_no_patch() -> None:
    picture, mask = with_thing(100, 60, 2)
    assert take_patch(picture, mask, box(100, 60, 2)) is None


def test_settings_are_read_or_refused() -> None:
    assert CarrySettings.read(None) is None
    assert CarrySettings.read({"trust": 0.7}) == CarrySettings(trust=0.7)
    for odd, what in (
        ({"speed": 1}, "mapping"),
        ({"trust": "much"}, "number"),
        ({"steer": 2.0}, "shares"),
        ([], "mapping"),
    ):
        with pytest.raises(ValueError, match=what):
            CarrySettings.read(odd)
