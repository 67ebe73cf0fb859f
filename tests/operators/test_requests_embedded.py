"""People's marks with the shipped network, in the drawn world: what is marked is what is followed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from modeling.sam2.segmenter import load_segmenter
from operators.carry import carry
from operators.masks import box_of, overlap, resized
from operators.requests import Request
from operators.track import Tracker, TrackSettings
from operators.types import Clip, Frame, Outcome, Prompt
from services.tracker.settings import EMBEDDED
from synthetic.world import sample_stream
from tests.operators.test_track import through_bytes

FPS = 4.0
GRID = (192, 256)
ALONE = TrackSettings(grid_every=0, motion_every=0)


class Scene:
    """Some pictures with the mask of one object on each, which is in view all the time."""

    def __init__(self, seed: int, count: int) -> None:
        seen = [
            (frame.copy(), ids.copy()) for frame, ids, _ in sample_stream(seed, 12, "held_out", 320, 240, FPS)
        ]
        self.pictures, ids = [list(part) for part in zip(*seen, strict=True)]
        begin, value = next(_windows(ids, count))
        self.pictures = self.pictures[begin : begin + count]
        self.masks = [resized(picture == value, GRID) for picture in ids[begin : begin + count]]

    def clip(self, index: int, begin: int, end: int) -> Clip:
        frames = tuple(Frame(self.pictures[at], at / FPS, 100 + at / FPS, at) for at in range(begin, end))
        return Clip("yard", 1, index, frames, 100 + begin / FPS, 100 + end / FPS, "full")

    def click(self, at: int) -> Prompt:
        """The middle of the object."""
        rows, columns = np.nonzero(self.masks[at])
        nearest = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
        place = [(columns[nearest] + 0.5) / GRID[1], (rows[nearest] + 0.5) / GRID[0]]
        return Prompt(points=np.array([place], np.float32), labels=np.ones(1, np.int32))


def _windows(ids: list[np.ndarray], count: int) -> Iterator[tuple[int, int]]:
    """Where an object covers 2 to 25 % of so many pictures in a row: first picture and its value."""
    for begin in range(len(ids) - count + 1):
        for value in range(1, 20):
            shares = [np.mean(picture == value) for picture in ids[begin : begin + count]]
            if min(shares) > 0.02 and max(shares) < 0.25:
                yield begin, value


@pytest.fixture(scope="module")
def scene() -> Scene:
    torch.set_num_threads(1)
    return Scene(19, 12)


@pytest.fixture(scope="module")
def open_session():
    return load_segmenter(EMBEDDED, "cpu")


def likeness(outcome: Outcome, mask: np.ndarray) -> float:
    assert outcome.mask is not None, outcome.words
    return overlap(outcome.mask, mask)


def test_a_click_on_a_frame_gives_its_objects_mask_on_that_frame(scene: Scene, open_session) -> None:
    tracker = Tracker("yard", open_session(GRID), ALONE)
    clicked = Request(scene.click(3), frame=3, request_id="p")
    first = tracker.push(scene.clip(0, 0, 6), [clicked])
    assert first.outcomes[0].code == "followed"
    assert likeness(first.outcomes[0], scene.masks[3]) > 0.5
    assert first.masklets[0].visible.tolist()[:4] == [False, False, False, True]
    again = tracker.push(scene.clip(1, 6, 12), [Request(scene.click(7), frame=1)])
    assert [o.code for o in again.outcomes] == ["already_followed"]


@pytest.mark.parametrize("by", ["box", "click"])
def test_a_mark_elsewhere_corrects_what_a_wrong_one_began(scene: Scene, open_session, by: str) -> None:
    tracker = Tracker("yard", open_session(GRID), ALONE)
    wrong = np.zeros(GRID, bool)
    wrong[:30, :40] = True
    track = tracker.push(scene.clip(0, 0, 2), [Request(Prompt(mask=wrong))]).opened[0]
    prompt = Prompt(box=box_of(scene.masks[2])) if by == "box" else scene.click(2)
    right = tracker.push(scene.clip(1, 2, 6), [Request(prompt, track)])
    assert right.outcomes[0].code == "corrected" and right.opened == ()
    assert likeness(right.outcomes[0], scene.masks[2]) > 0.5


def test_a_click_on_a_past_picture_is_carried_to_the_newest(scene: Scene, open_session) -> None:
    masks = carry(open_session(GRID), scene.pictures[:10], scene.click(0))
    assert masks is not None and overlap(masks[-1], scene.masks[9]) > 0.4
    assert overlap(masks[0], scene.masks[0]) > 0.4


def test_the_same_follows_after_a_restore(scene: Scene, open_session) -> None:
    asked = [
        Request(scene.click(2), frame=2, name="Tom"),
        Request(track_id="yard-1-0001", deed="pin", frame=4),
    ]
    straight = Tracker("yard", open_session(GRID), ALONE)
    straight.push(scene.clip(0, 0, 6), asked)
    state = through_bytes(straight)
    broken = Tracker.restore(state, open_session(GRID), ALONE)
    drop = Request(track_id="yard-1-0001", deed="drop", frame=3)
    one, other = (tracker.push(scene.clip(1, 6, 12), [drop]) for tracker in (straight, broken))
    assert one.closed == other.closed == {"yard-1-0001": "dropped"}
    (left,), (right,) = one.masklets, other.masklets
    assert (left.masks == right.masks).all() and (left.name, left.pinned) == (right.name, right.pinned)
    assert (left.name, left.pinned) == ("Tom", True)
