"""An endless-camera view of the synthetic world, frame by frame, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from synthetic.director import DECIDE_S, Director
from synthetic.physics import Body, Simulation
from synthetic.scene import SPLITS, Scene, Sight, check_view
from synthetic.story import Watch, told
from synthetic.truth import Event, StreamObject

# Object number, value in ``ids``, visible pixels, pixels if nothing occluded it.
Row = tuple[int, int, int, int]


class SyntheticStream:
    """Iterates over (frame uint8 [H, W, 3], ids uint8 [H, W], rows); ends after ``duration_s``.

    ``rows`` holds a :data:`Row` for every object with a pixel inside the frame, hidden or not. Values in
    ``ids`` are used again after an object has left; object numbers never are. ``truth`` maps object numbers
    to classes, colours and times; ``events`` holds what happened since the frame before, as (object number,
    event) pairs whose ``other`` is an object number too.
    """

    def __init__(
        self,
        seed: int,
        duration_s: float,
        split: str,
        width: int,
        height: int,
        fps: float,
        direct: Callable[[np.random.Generator, Scene, Simulation], Director] = Director,
    ) -> None:
        """``direct`` makes the director that decides who comes and what they do."""
        check_view(split, width, height, fps)
        if duration_s <= 0:
            raise ValueError(f"duration_s: expected a positive number of seconds, got {duration_s}")
        self.fps = fps
        self.frames = max(1, round(duration_s * fps))
        self.truth: dict[int, StreamObject] = {}
        self.events: list[tuple[int, Event]] = []
        self._rng = np.random.default_rng([seed, SPLITS.index(split), 21])
        self._scene = Scene(self._rng, split, width, height)
        self._simulation = Simulation([])
        story_rng = np.random.default_rng([seed, SPLITS.index(split), 22])
        self._director = direct(story_rng, self._scene, self._simulation)
        self._values: dict[int, int] = {}
        self._watches: dict[int, Watch] = {}
        self._in_view: set[int] = set()
        self._decided = 0
        self._index = 0

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, list[Row]]]:
        return self

    @property
    def ground(self) -> dict[int, tuple[float, float]]:
        """Where each object stands on the ground now, by number: x and z in metres."""
        return {body.number: (body.x, body.z) for body in self._simulation.bodies}

    def __next__(self) -> tuple[np.ndarray, np.ndarray, list[Row]]:
        if self._index >= self.frames:
            raise StopIteration
        time_s = self._index / self.fps
        self._index += 1
        facts = self._advance(time_s)
        self._meet()
        pairs = [(self._values[body.number], body) for body in self._simulation.bodies]
        frame, ids, sights = self._scene.draw(self._rng, pairs)
        seen = {body.number: sights[value] for value, body in pairs}
        self._in_view = {number for number, sight in seen.items() if sight.full_px > 0}
        self.events = [pair for fact in facts for pair in told(fact, self._in_view)]
        rows = self._note(pairs, seen, time_s)
        return frame, ids, rows

    def _advance(self, time_s: float) -> list:
        facts = []
        while self._decided * DECIDE_S <= time_s:
            now_s = self._decided * DECIDE_S
            facts += self._simulation.advance(now_s)
            if self._decided:
                self._director.decide(now_s, self._in_view)
            self._decided += 1
        return facts + self._simulation.advance(time_s)

    def _meet(self) -> None:
        """Give new bodies the smallest free value and a watch."""
        present = {body.number for body in self._simulation.bodies}
        for number in set(self._values) - present:
            del self._values[number]
            self._watches.pop(number, None)
        for body in self._simulation.bodies:
            if body.number not in self._values:
                taken = set(self._values.values())
                self._values[body.number] = next(v for v in range(1, 256) if v not in taken)
                self._watches[body.number] = Watch(self._scene.width)

    def _note(self, pairs: list[tuple[int, Body]], seen: dict[int, Sight], time_s: float) -> list[Row]:
        rows: list[Row] = []
        numbers = {value: body.number for value, body in pairs}
        for value, body in pairs:
            sight, watch = seen[body.number], self._watches[body.number]
            for event in watch.look(sight, time_s):
                other = None if event.other is None else numbers[event.other + 1]
                self.events.append((body.number, replace(event, other=other)))
                if event.kind == "leaves":
                    self._director.forget(body)
            if sight.full_px > 0:
                rows.append((body.number, value, sight.visible_px, sight.full_px))
            if sight.visible_px > 0:
                self._remember(body, time_s)
        return rows

    def _remember(self, body: Body, time_s: float) -> None:
        known = self.truth.get(body.number)
        if known is None:
            known = StreamObject(body.number, body.class_name, body.colour, first_visible_s=time_s)
        self.truth[body.number] = replace(known, last_visible_s=time_s)


def sample_stream(
    seed: int,
    duration_s: float,
    split: str = "train",
    width: int = 320,
    height: int = 240,
    fps: float = 12.0,
) -> SyntheticStream:
    """One long continuous scene: same arguments, same bytes.

    :raises ValueError: for an unknown split, a picture under 48 pixels, or a rate the physics cannot serve.
    """
    return SyntheticStream(seed, duration_s, split, width, height, fps)
