"""Prompts made from true masks: clicks, boxes and clicks on the background.

Coordinates are model pixels (0..S) in the order x, y; labels are SAM's: 1 inside, 0 outside, 2 and 3 the corners
of a box, -1 none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Points:
    """coords float32 [rows, P, 2] and labels int32 [rows, P]."""

    coords: torch.Tensor
    labels: torch.Tensor

    @property
    def multimask(self) -> bool:
        """A single point is ambiguous and is answered with three masks, anything more with one."""
        return self.labels.shape[1] <= 1

    def joined(self, other: Points) -> Points:
        """These points and then the other ones, row by row."""
        coords = torch.cat([self.coords, other.coords], 1)
        return Points(coords, torch.cat([self.labels, other.labels], 1))


def clicks(masks: np.ndarray, rng: np.random.Generator) -> Points:
    """One click inside each mask, bool [rows, S, S]: half of them deep inside, the others anywhere."""
    places = [deepest(mask) if rng.random() < 0.5 else _any_pixel(mask, rng) for mask in masks]
    return _one_point(places, 1)


def background_clicks(ids: np.ndarray, rng: np.random.Generator) -> Points:
    """One click on the background of each picture, uint8 [rows, S, S]."""
    return _one_point([_any_pixel(picture == 0, rng) for picture in ids], 1)


def boxes(masks: np.ndarray, rng: np.random.Generator, jitter: float = 0.05) -> Points:
    """The box of each mask as two corner points, every side moved by up to ``jitter`` of the box."""
    corners = []
    for mask in masks:
        rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        if not len(rows):
            rows = columns = np.array([0, len(mask) - 1])
        low, high = np.array([columns[0], rows[0]], float), np.array([columns[-1] + 1, rows[-1] + 1], float)
        moves = rng.uniform(-jitter, jitter, (2, 2)) * (high - low)
        corners.append(np.clip(np.stack([low, high]) + moves, 0, len(mask)))
    coords = torch.from_numpy(np.stack(corners)).float()
    return Points(coords, torch.tensor([[2, 3]], dtype=torch.int32).expand(len(masks), 2))


def corrections(masks: np.ndarray, predicted: np.ndarray, rng: np.random.Generator) -> Points:
    """One click a row on a pixel where the prediction is wrong: inside if missed, outside if too much."""
    places, labels = [], []
    for mask, guess in zip(masks, predicted, strict=True):
        wrong = mask != guess
        x, y = _any_pixel(wrong if wrong.any() else mask, rng)
        places.append((x, y))
        labels.append(int(mask[y, x]))
    coords = torch.tensor(places, dtype=torch.float32)[:, None]
    return Points(coords, torch.tensor(labels, dtype=torch.int32)[:, None])


def deepest(mask: np.ndarray) -> tuple[int, int]:
    """The pixel (x, y) that survives the most erosions of the mask, bool [H, W]: deepest from its border."""
    if not mask.any():
        return mask.shape[1] // 2, mask.shape[0] // 2
    layer = np.pad(mask, 1)
    while True:
        core = layer.copy()
        core[1:-1, 1:-1] &= layer[:-2, 1:-1] & layer[2:, 1:-1] & layer[1:-1, :-2] & layer[1:-1, 2:]
        if not core.any():
            break
        layer = core
    rows, columns = np.nonzero(layer)
    # Of several equally deep pixels take the one nearest to their middle.
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(columns[nearest] - 1), int(rows[nearest] - 1)


def _any_pixel(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    places = np.flatnonzero(mask)
    place = int(places[rng.integers(len(places))]) if len(places) else mask.size // 2
    return place % mask.shape[1], place // mask.shape[1]


def _one_point(places: list[tuple[int, int]], label: int) -> Points:
    coords = torch.tensor(places, dtype=torch.float32).reshape(-1, 1, 2)
    return Points(coords, torch.full((len(places), 1), label, dtype=torch.int32))
