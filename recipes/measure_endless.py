"""Drive one session without end and say what it holds: tensor bytes, and the slope of the process's memory.

    python -m recipes.measure_endless --steps 100000 --json [--weights DIR] [--limit-s 600] [--progress FILE]

Objects come and go all the while: every 100 steps two are begun at places of their own and, with more than four, the
two oldest are forgotten; before that each is corrected more often than anchors are kept. Clips have ten pictures; the
state is exported and taken up by a fresh session every 250 steps. Pictures are noise, and without ``--weights`` the
network is a tiny one of random numbers: what is held depends on neither. With ``--progress`` the figures so far are
written to a file every 1,000 steps, for runs that are broken off. Keys of the JSON line:

steps, seconds, steps_per_s   what was done (``--limit-s`` ends it early)
objects                       how many were begun
tensor_bytes                  of the session on the last step before births: every value seen from step 100 on
most_tensor_bytes             by 10,000 steps, the most at any time
resident_mb                   of the process, by 10,000 steps
mb_per_10000_steps            slope of a line through resident memory, the first tenth left out
state_bytes                   of an exported state: least and most
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from modeling.sam2.build import build_tracker, tracker_config
from modeling.sam2.memory import MAX_ANCHORS
from modeling.sam2.network import Network
from modeling.sam2.segmenter import load_segmenter, opener
from modeling.sam2.session import Sam2Session
from operators.types import Prompt
from recipes.arguments import (
    existing_folder,
    not_negative_int,
    positive_float,
    positive_int,
    recipe_parser,
    told_in_one_line,
)

MASK_SIZE, PICTURE_PX = (60, 80), (60, 80)
CLIP, OBJECTS, BEGIN_EVERY, RESTART_EVERY, BLOCK, TELL_EVERY = 10, 4, 100, 250, 10_000, 1_000
AT_ONCE = 2
"""Objects begun on one step. They are corrected on the same steps too, so that most steps are one batch."""
CORRECTED = range(20, 20 + 4 * (MAX_ANCHORS + 1), 4)
"""Steps after a birth on which the youngest objects are corrected: more often than they have room."""
PAGE_MB = 4096 / 1e6

Open = Callable[[tuple[int, int]], Sam2Session]


@dataclass
class Record:
    """What was held, sampled on the way."""

    full: set[int] = field(default_factory=set)
    most: dict[int, int] = field(default_factory=dict)
    resident: list[tuple[int, float]] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    begun: int = 0


class Life:
    """A session with objects that come and go; the same seed does the same."""

    def __init__(self, open_session: Open, seed: int) -> None:
        self._open, self._rng = open_session, np.random.default_rng(seed)
        self.session = open_session(MASK_SIZE)
        self.record = Record()
        self._pictures = self._rng.integers(0, 255, (16, *PICTURE_PX, 3), dtype=np.uint8)
        self._objects: deque[int] = deque()

    def step(self, number: int) -> None:
        if number % CLIP == 0:
            self.session.begin_clip(
                [self._pictures[(number + at) % len(self._pictures)] for at in range(CLIP)]
            )
        self.session.step()
        if number % BEGIN_EVERY == 0:
            self._begin()
        if number % BEGIN_EVERY in CORRECTED:
            for object_id in list(self._objects)[-AT_ONCE:]:
                self.session.correct(object_id, self._place())
        self._note(number)
        if number % RESTART_EVERY == RESTART_EVERY - 1:
            self._restart()

    def _begin(self) -> None:
        for _ in range(AT_ONCE):
            object_id, _ = self.session.add_object(self._place())
            self._objects.append(object_id)
            self.record.begun += 1
            if len(self._objects) > OBJECTS:
                self.session.remove_object(self._objects.popleft())

    def _place(self) -> Prompt:
        mask = np.zeros(MASK_SIZE, bool)
        top, left = self._rng.integers(0, 40, 2)
        mask[top : top + 18, left : left + 24] = True
        return Prompt(mask=mask)

    def _note(self, number: int) -> None:
        block, held = number // BLOCK, self.session.num_bytes
        self.record.most[block] = max(self.record.most.get(block, 0), held)
        if number >= 100 and number % BEGIN_EVERY == BEGIN_EVERY - 1:
            self.record.full.add(held)
        if number % (BLOCK // 50) == 0:
            self.record.resident.append((number, _resident_mb()))

    def _restart(self) -> None:
        state = self.session.export_state()
        self.record.states.append(sum(map(len, state.values())))
        self.session = self._open(MASK_SIZE)
        self.session.import_state(state)


def measure(
    open_session: Open,
    steps: int,
    seed: int = 0,
    limit_s: float = float("inf"),
    tell: Callable[[dict[str, object]], None] = lambda so_far: None,
) -> dict[str, object]:
    """The figures of the module's page; ``tell`` is given those so far every ``TELL_EVERY`` steps."""
    life, began, done = Life(open_session, seed), time.perf_counter(), 0
    while done < steps and time.perf_counter() - began < limit_s:
        life.step(done)
        done += 1
        if done % TELL_EVERY == 0:
            tell(_figures(life.record, done, time.perf_counter() - began))
    return _figures(life.record, done, time.perf_counter() - began)


def _figures(record: Record, done: int, seconds: float) -> dict[str, object]:
    return {
        "steps": done,
        "seconds": round(seconds, 1),
        "steps_per_s": round(done / seconds, 2),
        "objects": record.begun,
        "tensor_bytes": sorted(record.full),
        "most_tensor_bytes": [record.most[block] for block in sorted(record.most)],
        "resident_mb": [round(mb, 1) for number, mb in record.resident if number % BLOCK == 0],
        "mb_per_10000_steps": slope(record.resident),
        "state_bytes": [min(record.states), max(record.states)] if record.states else None,
    }


def slope(resident: list[tuple[int, float]]) -> float | None:
    """MB in 10,000 steps, by least squares; None with too little to tell."""
    kept = [pair for pair in resident if pair[0] >= resident[-1][0] / 10]
    if len(kept) < 3:
        return None
    steps, mb = zip(*kept, strict=True)
    return round(float(np.polyfit(steps, mb, 1)[0]) * BLOCK, 3)


def tiny() -> Open:
    """Sessions on a network of random weights and 64 pixels."""
    torch.manual_seed(5)
    shape = {"embed_dim": 8, "d_model": 32, "mem_dim": 16, "memory_attention_layers": 1, "feedforward": 32}
    config = tracker_config(image_size=64, **shape)
    config["memory_encoder"]["fuser"]["num_layers"] = 1
    return opener(Network(build_tracker(config)))


def _teller(path: Path | None) -> Callable[[dict[str, object]], None]:
    if path is None:
        return lambda so_far: None
    return lambda so_far: path.write_text(json.dumps(so_far) + "\n")  # type: ignore[func-returns-value]


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


def main() -> None:
    """Command line."""
    parser = recipe_parser("measure_endless", __doc__)
    parser.add_argument("--steps", type=positive_int, default=100_000)
    parser.add_argument("--weights", type=existing_folder, help="model folder; without it, a tiny network")
    parser.add_argument("--limit-s", type=positive_float, default=float("inf"), help="stop after so long")
    parser.add_argument("--seed", type=not_negative_int, default=0)
    parser.add_argument("--progress", type=Path, help="file for the figures so far")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with told_in_one_line(parser):
        opened = tiny() if chosen.weights is None else load_segmenter(chosen.weights)
        result = measure(opened, chosen.steps, chosen.seed, chosen.limit_s, _teller(chosen.progress))
    if chosen.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
