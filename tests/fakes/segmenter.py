"""A segmenter that knows objects by their colour: exact on pictures of plain shapes, and quick."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from operators.types import Detection, Prompt, Step

GROUND = 0  # red channel of the ground; every object has a red value of its own


class ColourSegmenter:
    """Follows red values. ``refuse`` holds colours at which clicks answer that nothing is there."""

    def __init__(self, refuse: Sequence[int] = ()) -> None:
        self.colours: dict[int, int] = {}
        self.refuse = set(refuse)
        self.next_id = 1
        self.steps = 0
        self.retracted: list[tuple[int, int]] = []  # colour and step
        self.pictures: list[np.ndarray] = []
        self.picture: np.ndarray | None = None

    def begin_clip(self, pictures: Sequence[np.ndarray]) -> None:
        self.pictures = [picture[..., 0] for picture in pictures]

    def step(self) -> dict[int, Step]:
        self.picture = self.pictures.pop(0)
        self.steps += 1
        return {key: self._step(colour) for key, colour in self.colours.items()}

    def candidates(self, points: np.ndarray) -> list[Detection]:
        one = np.ones(1, np.int32)
        return [self.decode(Prompt(points=point[None].astype(np.float32), labels=one)) for point in points]

    def decode(self, prompt: Prompt) -> Detection:
        colour = self._meant(prompt)
        sure = colour not in self.refuse and colour != GROUND
        return Detection(self.picture == colour, 0.9 if sure else 0.1, 1.0, 5.0 if sure else -5.0)

    def add_object(self, prompt: Prompt) -> tuple[int, Step]:
        key, self.next_id = self.next_id, self.next_id + 1
        self.colours[key] = self._meant(prompt)
        return key, self._step(self.colours[key])

    def correct(self, object_id: int, prompt: Prompt) -> Step:
        self.colours[object_id] = self._meant(prompt)
        return self._step(self.colours[object_id])

    def retract(self, object_id: int) -> None:
        self.retracted.append((self.colours[object_id], self.steps))

    def remove_object(self, object_id: int) -> None:
        del self.colours[object_id]

    def embedding(self, object_id: int) -> np.ndarray | None:
        return np.eye(256, dtype=np.float32)[self.colours[object_id]]

    def export_state(self) -> dict[str, bytes]:
        """Every object's colour is a part of its own, as a conditioning memory is."""
        colours = {f"colour-{colour}": bytes([colour]) for colour in self.colours.values()}
        return {"session": json.dumps([self.next_id, list(self.colours.items())]).encode(), **colours}

    def import_state(self, state: Mapping[str, bytes]) -> None:
        if "session" not in state:
            raise ValueError("session state: its part 'session' is missing")
        self.next_id, items = json.loads(state["session"])
        for _, colour in items:
            if f"colour-{colour}" not in state:
                raise ValueError(f"session state: its part 'colour-{colour}' is missing")
        self.colours = dict(items)

    def _step(self, colour: int) -> Step:
        mask = (self.picture == colour) & (colour != GROUND)
        return Step(mask, 0.9, 5.0 if mask.any() else -5.0)

    def _meant(self, prompt: Prompt) -> int:
        if prompt.mask is not None:
            inside = self.picture[prompt.mask]
        else:
            height, width = self.picture.shape
            corners = prompt.box if prompt.box is not None else np.tile(prompt.points[0], 2)
            x0, y0, x1, y1 = (corners * (width, height, width, height)).astype(int)
            inside = self.picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].ravel()
        things = inside[inside != GROUND]
        return int(np.bincount(things).argmax()) if len(things) else GROUND
