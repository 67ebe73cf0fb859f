"""One step of any number of objects, of one camera or of several: who is computed with whom, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from modeling.sam2.answers import steps_of
from modeling.sam2.encode import Maps
from modeling.sam2.followed import Followed
from modeling.sam2.network import Choice, Network, Outcome
from modeling.sam2.policy import Policy
from modeling.sam2.settle import settle
from modeling.sam2.shot import look
from modeling.sam2.sight import Sight
from modeling.sam2.values import Step


@dataclass(frozen=True, slots=True)
class Row:
    """An object that is to be found on the newest picture of its camera, the ``step``-th of its session."""

    held: Followed
    sight: Sight
    step: int
    policy: Policy
    mask_size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """A session turned to its next picture: by id the objects to be found on it, and answers known without looking."""

    rows: dict[int, Row]
    known: dict[int, Step] = field(default_factory=dict)

    def answers(self, found: Iterator[Step]) -> dict[int, Step]:
        """All answers by id, oldest first; those of the rows are the next of ``found``."""
        looked_for = dict(zip(self.rows, islice(found, len(self.rows)), strict=True))
        return dict(sorted((looked_for | self.known).items()))


def step_rows(network: Network, rows: Sequence[Row]) -> list[Step]:
    """Find every row's object, remember what its policy wants, and choose where to look for it next.

    Pictures and windows that are not encoded yet are encoded together; objects of equal memory layout are batches.
    """
    maps = look(network, [(row.sight.shot, row.sight.view_of(row.held)) for row in rows])
    found: dict[int, Step] = {}
    for batch in _batches(rows, network.object_batch):
        group = [rows[at] for at in batch]
        memories, steps = [row.held.memory for row in group], [row.step for row in group]
        outcome = network.track(_shown([maps[at] for at in batch]), memories, steps, _choice(group))
        found |= zip(batch, _take(network, group, outcome), strict=True)
    return [found[at] for at in range(len(rows))]


def _batches(rows: Sequence[Row], size: int) -> list[list[int]]:
    layouts: dict[tuple[object, ...], list[int]] = {}
    for at, row in enumerate(rows):
        layouts.setdefault((row.policy.wants_candidates, *row.held.memory.layout), []).append(at)
    return [alike[at : at + size] for alike in layouts.values() for at in range(0, len(alike), size)]


def _shown(maps: Sequence[Maps]) -> Maps:
    """Objects that look at one picture share its maps, nothing is copied."""
    return maps[0] if all(each is maps[0] for each in maps) else Maps.stacked(maps)


def _choice(group: Sequence[Row]) -> Choice | None:
    if not group[0].policy.wants_candidates:
        return None
    return lambda found: [row.held.choose(found, at, row.step, row.policy) for at, row in enumerate(group)]


def _take(network: Network, group: Sequence[Row], outcome: Outcome) -> list[Step]:
    """Remember what the newest pictures have shown of some objects, one for each row of the outcome."""
    for at, row in enumerate(group):
        row.held.remember(outcome, at, row.step, row.policy)
        row.held.points = None
        row.held.note(outcome, at, row.step)
        row.sight.refocus(row.held, outcome, at)
    views = [row.sight.view_of(row.held) for row in group]
    steps = steps_of(outcome, views, [row.mask_size for row in group])
    return [
        settle(network, row.held, row.sight, row.step, row.policy, step)
        for row, step in zip(group, steps, strict=True)
    ]
