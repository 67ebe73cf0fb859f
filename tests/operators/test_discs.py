"""Discovery with the shipped network on drawn discs: each is found once, and nothing is born within a track."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from modeling.sam2.segmenter import load_segmenter
from operators.masks import overlap
from operators.track import Tracker, TrackSettings
from operators.types import Clip, Frame, TrackedClip
from recipes.evaluate_tracker import WEIGHTS

HEIGHT, WIDTH, FRAMES, FPS = 120, 160, 32, 4.0
DISCS = (  # colour, middle x and y on the first picture, radius in pixels, pixels to the right on each picture
    ((200, 40, 40), 30, 35, 15, 1.0),
    ((40, 70, 210), 110, 40, 17, -0.6),
    ((40, 170, 60), 70, 90, 14, 0.8),
)


def disc(number: int, t: int) -> np.ndarray:
    _, x, y, radius, speed = DISCS[number]
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (rows - y) ** 2 + (columns - x - speed * t) ** 2 <= radius**2


def picture(t: int) -> np.ndarray:
    pixels = np.full((HEIGHT, WIDTH, 3), (150, 140, 125), np.float32)
    pixels += np.linspace(-12, 12, HEIGHT)[:, None, None]
    for number, (colour, *_) in enumerate(DISCS):
        pixels[disc(number, t)] = colour
    noise = np.random.default_rng(t).normal(0, 3, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@cache
def tracked() -> tuple[TrackedClip, ...]:
    torch.set_num_threads(1)
    tracker = Tracker("yard", load_segmenter(WEIGHTS)((HEIGHT, WIDTH)), TrackSettings())
    frames = [Frame(picture(t), t / FPS, t / FPS, t) for t in range(FRAMES)]
    groups = [frames[at : at + 8] for at in range(0, FRAMES, 8)]
    clips = [
        Clip("yard", 1, index, tuple(group), group[0].time_s, group[0].time_s + 2, "full")
        for index, group in enumerate(groups)
    ]
    return tuple(tracker.push(clip) for clip in clips)


def test_every_disc_is_found_and_has_one_id_while_it_stays() -> None:
    owners: dict[int, set[str]] = {number: set() for number in range(len(DISCS))}
    for clip in tracked():
        for masklet in clip.masklets:
            for at in np.flatnonzero(masklet.visible):
                t = clip.clip.frames[at].index
                for number in owners:
                    if overlap(masklet.masks[at], disc(number, t)) >= 0.5:
                        owners[number].add(masklet.track_id)
    assert [len(ids) for ids in owners.values()] == [1, 1, 1], owners


def test_nothing_is_born_within_an_existing_track() -> None:
    for clip in tracked():
        for masklet in (it for it in clip.masklets if it.born_at is not None):
            at = int(np.flatnonzero(masklet.visible)[0])
            older = [
                it.masks[at] for it in clip.masklets if it.born_at is None or it.born_at < masklet.born_at
            ]
            new = masklet.masks[at]
            assert all((new & mask).sum() < 0.5 * new.sum() for mask in older), masklet.track_id
