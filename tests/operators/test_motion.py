from __future__ import annotations

import numpy as np
import pytest

from operators.masks import box_overlap
from operators.motion import MotionProposer, MotionSettings, global_shift, shrink

HEIGHT, WIDTH = 180, 320


def ground(seed: int = 3) -> np.ndarray:
    """A picture with structure at many sizes, uint8 [H, W, 3]; larger than the view, to be moved about."""
    rng = np.random.default_rng(seed)
    grey = sum(
        np.kron(rng.integers(0, 255, (240 // s + 1, 400 // s + 1)), np.ones((s, s)))[:240, :400]
        for s in (40, 10, 5)
    )
    return np.repeat((grey / 3)[..., None], 3, axis=2).astype(np.uint8)


def view(scene: np.ndarray, at: tuple[int, int] = (20, 20)) -> np.ndarray:
    return scene[at[0] : at[0] + HEIGHT, at[1] : at[1] + WIDTH].copy()


def noisy(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8)


def with_thing(picture: np.ndarray, x: int) -> np.ndarray:
    picture[60:110, x : x + 40] = 250
    return picture


def test_a_moving_thing_is_found_where_it_is() -> None:
    rng, proposer, scene = np.random.default_rng(0), MotionProposer(), ground()
    found = [proposer.push(noisy(with_thing(view(scene), 10 + 15 * step), rng)) for step in range(18)]
    assert any(found[:8])
    # While the ground is young, what has just been left may count as the thing: judge the later boxes.
    for x, things in ((10 + 15 * step, things) for step, things in enumerate(found) if step >= 9):
        box = np.array([x / WIDTH, 60 / HEIGHT, (x + 40) / WIDTH, 110 / HEIGHT], np.float32)
        assert box_overlap(things[0].box, box) > 0.6
        column, row = things[0].point * (WIDTH, HEIGHT)
        assert x <= column <= x + 40 and 60 <= row <= 110


def test_a_still_scene_has_no_motion() -> None:
    rng, proposer = np.random.default_rng(1), MotionProposer()
    assert not any(proposer.push(noisy(with_thing(view(ground()), 100), rng)) for _ in range(12))


def test_a_trembling_camera_and_changing_light_are_no_motion() -> None:
    rng, proposer, scene = np.random.default_rng(2), MotionProposer(), ground()
    for step in range(12):
        shaken = view(scene, (20 + 3 * (step % 2), 20 + 3 * (step % 3)))
        lit = np.clip(shaken.astype(int) // 2 + 60 + 5 * (step % 4), 0, 255).astype(np.uint8)
        assert not proposer.push(noisy(lit, rng))


def test_a_thing_is_found_while_the_camera_trembles() -> None:
    rng, proposer, scene, found = np.random.default_rng(2), MotionProposer(), ground(), 0
    for step in range(16):
        shaken = view(scene, (20 + 3 * (step % 2), 20 + 3 * (step % 3)))
        x = 10 + 15 * step
        box = np.array([x / WIDTH, 60 / HEIGHT, (x + 40) / WIDTH, 110 / HEIGHT], np.float32)
        things = proposer.push(noisy(with_thing(shaken, x), rng))
        found += any(box_overlap(thing.box, box) > 0.4 for thing in things)
    assert found >= 6


def test_another_view_is_forgotten_ground() -> None:
    proposer = MotionProposer()
    for _ in range(6):
        proposer.push(view(ground(3)))
    assert not proposer.push(view(ground(4)))


def test_what_is_remembered_is_bounded_and_enough() -> None:
    rng, proposer, scene = np.random.default_rng(0), MotionProposer(), ground()
    pictures = [noisy(with_thing(view(scene), 10 + 12 * step), rng) for step in range(22)]
    for picture in pictures[:11]:
        proposer.push(picture)
    other = MotionProposer(state=proposer.snapshot())
    for picture in pictures[11:]:
        ours, theirs = proposer.push(picture), other.push(picture)
        assert [x.box.tolist() for x in ours] == [x.box.tolist() for x in theirs]
    assert len(proposer.snapshot().ground) == MotionSettings().ground_pictures


@pytest.mark.parametrize("by", [(0, 0), (3, -5), (-7, 4)])
def test_global_shift_is_measured(by: tuple[int, int]) -> None:
    scene = ground()[..., 1].astype(np.float32)
    before, after = scene[40:140, 40:200], scene[40 - by[0] : 140 - by[0], 40 - by[1] : 200 - by[1]]
    assert global_shift(after, before) == by


def test_pictures_are_shrunk_to_the_longer_side() -> None:
    assert shrink(np.zeros((1080, 1920, 3), np.uint8), 128).shape == (72, 128)
    assert shrink(np.zeros((50, 40, 3), np.uint8), 128).shape == (50, 40)
    with pytest.raises(ValueError, match="too narrow"):
        shrink(np.zeros((1, 4000, 3), np.uint8), 128)


def test_things_are_counted_while_they_keep_moving() -> None:
    rng, proposer, scene = np.random.default_rng(0), MotionProposer(), ground()
    counts = []
    for step in range(16):
        things = proposer.push(noisy(with_thing(view(scene), 10 + 12 * step), rng))
        counts.append(things[0].pushes if things else 0)
    assert counts[0] == 0 and counts[-1] >= 5
    assert all(later <= earlier + 1 for earlier, later in zip(counts, counts[1:], strict=False))
