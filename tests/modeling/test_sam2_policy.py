"""Memory policies: what each keeps and drops of the same story, and that the official one is the predictor's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
import pytest
import torch

from contracts.cameras import MemoryPolicy
from modeling.sam2.box_motion import BoxMotion, box_overlap
from modeling.sam2.candidates import Candidates
from modeling.sam2.followed import Followed
from modeling.sam2.memory import Entry, ObjectMemory
from modeling.sam2.network import Outcome
from modeling.sam2.pieces import largest_piece
from modeling.sam2.policy import POLICIES, Policy, Sighting, policy_of
from modeling.sam2.segmenter import opener
from tests.modeling.sam2_models import noise, recorded_network, recorded_pictures, tiny_network
from tests.modeling.test_sam2_session import MASK_SIZE, ONE, THREE, TWO, click, run, same

SIDE = 20
NAMES = tuple(POLICIES)


@dataclass(frozen=True)
class Shown:
    """What the network says on one step: the chosen mask's box in pixels, its estimate, other masks with theirs."""

    box: tuple[int, int, int, int] | None = (4, 4, 8, 8)
    quality: float = 0.9
    others: tuple[tuple[tuple[int, int, int, int], float], ...] = ()


def drawn(box: tuple[int, int, int, int] | None) -> torch.Tensor:
    logits = torch.full((SIDE, SIDE), -5.0)
    if box is not None:
        x0, y0, x1, y1 = box
        logits[y0:y1, x0:x1] = 5.0
    return logits


class Story:
    """An object prompted on step 0 and then followed through what the network says, by one policy."""

    def __init__(self, policy: str | Policy) -> None:
        self.policy = policy_of(policy) if isinstance(policy, str) else policy
        memory = ObjectMemory(6, 15, by_rank=self.policy.recent != "all")
        self.held, self.step = Followed(memory, born=0), 0
        self.held.memory.anchor(0, entry(0))
        self.policy.begin(self.held.notes, 0, np.array([0.2, 0.2, 0.4, 0.4]))
        self.taken: list[int] = []

    def tell(self, shown: Sequence[Shown]) -> Story:
        for one in shown:
            self.step += 1
            self.held.memory = self.held.memory.ahead_of(self.step)
            self._take(one)
        return self

    def _take(self, shown: Shown) -> None:
        boxes = [(shown.box, shown.quality), *shown.others]
        logits = torch.stack([drawn(box) for box, _ in boxes])[None]
        quality = torch.tensor([[value for _, value in boxes]])
        presence = torch.tensor([[5.0 if shown.box is not None else -5.0]])
        found = Candidates(logits, quality, torch.zeros(1, len(boxes), 4), presence)
        best = self.held.choose(found, 0, self.step, self.policy)
        self.taken.append(best)
        outcome = Outcome(logits[:, best : best + 1], quality[:, best], torch.zeros(1, 4), presence)
        outcome = replace(outcome, features=entry(self.step).features)
        if self.policy.wants_candidates:
            outcome = replace(outcome, candidates=found, chosen=(best,))
        self.held.remember(outcome, 0, self.step, self.policy)

    def seen(self) -> list[tuple[int, int]]:
        """Which steps the next one looks back at: (position, step), anchors at position 0."""
        memory = self.held.memory.ahead_of(self.step + 1)
        return [(at, int(features.flatten()[0])) for at, features in memory.seen_features(self.step + 1)]


def entry(step: int) -> Entry:
    return Entry(torch.full((1, 2, 2, 2), float(step), dtype=torch.bfloat16), torch.full((1, 4), float(step)))


HERE, GONE, POOR = Shown(), Shown(box=None, quality=0.2), Shown(quality=0.4)


def test_contract_and_network_know_the_same_policies() -> None:
    assert set(get_args(MemoryPolicy)) == set(POLICIES)
    with pytest.raises(ValueError, match="memory policy 'best': there are official, skip-absent"):
        policy_of("best")


def test_official_forgets_what_it_saw_before_a_long_absence() -> None:
    told = Story("official").tell([HERE] * 8 + [GONE] * 10)
    assert told.seen() == [(0, 0)] + [(at, 12 + at) for at in range(1, 7)]


def test_skip_absent_keeps_the_last_good_looks() -> None:
    told = Story("skip-absent").tell([HERE] * 8 + [GONE] * 10)
    assert told.seen() == [(0, 0)] + [(at, 2 + at) for at in range(1, 7)]
    assert [far for far, _ in told.held.memory.seen_pointers(19)][1:] == list(range(1, 16)), (
        "pointers as ever"
    )
    assert told.tell([POOR, HERE]).seen()[-2:] == [(5, 19), (6, 20)]


@pytest.mark.parametrize("name", ["quality", "motion"])
def test_quality_keeps_good_steps_and_always_the_one_before(name: str) -> None:
    told = Story(name).tell([HERE] * 4 + [POOR] * 3)
    assert told.seen() == [(0, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 7)]
    assert told.tell([HERE]).seen() == [(0, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 8)]
    assert told.tell([GONE] * 20).seen()[-2:] == [(5, 8), (6, 28)]
    assert told.tell([HERE] * 30).seen() == [(0, 0)] + [(at, 52 + at) for at in range(1, 7)]


def moving(step: int, jump: int = 0) -> Shown:
    """An object that goes right a little with every step; another mask of higher estimate ``jump`` px further."""
    left = 2 + step // 3
    box = (left, 4, left + 4, 8)
    other = (left + jump, 14, left + jump + 4, 18)
    return Shown(box, 0.7, ((other, 0.75),) if jump else ((box, 0.1),))


def test_motion_takes_the_mask_that_fits_once_the_object_is_steady() -> None:
    early = Story("motion").tell([moving(at) for at in range(5)] + [moving(5, jump=4)])
    late = Story("motion").tell([moving(at) for at in range(20)] + [moving(20, jump=4)])
    without = Story("quality").tell([moving(at) for at in range(20)] + [moving(20, jump=4)])
    assert (early.taken[-1], late.taken[-1], without.taken[-1]) == (1, 0, 1)
    weightless = replace(policy_of("motion"), motion_weight=0.0)
    assert Story(weightless).tell([moving(at) for at in range(20)] + [moving(20, jump=4)]).taken[-1] == 1


def test_motion_counts_anew_after_a_poor_step_and_distrusts_what_lies_elsewhere() -> None:
    steady = [moving(at) for at in range(20)]
    poor = replace(moving(20), quality=0.25)
    assert Story("motion").tell([*steady, poor, moving(21, jump=4)]).taken[-1] == 1
    elsewhere = Shown((14, 14, 18, 18), 0.95, (((13, 14, 17, 18), 0.9),))
    told = Story("motion").tell([*steady, elsewhere, moving(21)])
    assert 21 not in [step for _, step in told.seen()], "good by its estimate, but not where motion led"


TWIN = Shown(others=(((12, 4, 16, 8), 0.6),))
PART = Shown(others=(((4, 4, 8, 7), 0.6),))


def test_distractor_makes_an_anchor_of_a_step_on_which_a_twin_was_nearly_taken() -> None:
    told = Story("distractor").tell([HERE] * 8 + [TWIN])
    assert list(told.held.memory.anchors) == [0, 9]
    assert list(told.tell([TWIN] * 5).held.memory.anchors) == [0, 9], "not again so soon"
    assert list(told.tell([TWIN]).held.memory.anchors) == [0, 9, 15]
    assert list(told.tell([TWIN] * 30).held.memory.anchors) == [0, 33, 39, 45], "the first prompt stays"


@pytest.mark.parametrize(
    "shown",
    [
        PART,
        replace(TWIN, quality=0.7),
        replace(TWIN, box=None),
        replace(TWIN, box=(4, 4, 12, 8)),
    ],
)
def test_distractor_is_not_moved_by(shown: Shown) -> None:
    assert list(Story("distractor").tell([HERE] * 8 + [shown]).held.memory.anchors) == [0]


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_bounded_whatever_comes(name: str) -> None:
    rng = np.random.default_rng(3)
    story, most = Story(name), 0
    for _ in range(400):
        story.tell([(HERE, GONE, POOR, TWIN, PART)[int(rng.integers(5))]])
        assert len(story.seen()) == story.held.memory.ahead_of(story.step + 1).layout[0]
        most = max(most, story.held.memory.ahead_of(story.step + 1).num_bytes)
    one = entry(0)
    assert most <= (4 + 7) * one.features.nbytes + (4 + 15) * one.pointer.nbytes


@torch.inference_mode()
def test_choosing_the_likeliest_mask_oneself_is_the_same_bits() -> None:
    network, pictures = recorded_network(), recorded_pictures(6)
    session = opener(network)(MASK_SIZE)
    run(session, pictures[:5], [click(0, ONE, 0.25, 0.4), click(2, TWO, 0.5, 0.6)], clip=5)
    maps = network.encode(pictures[5:])[0]
    for held in session._objects.values():
        memory = held.memory.ahead_of(5)
        usual = network.track(maps, [memory], [5])
        chosen = network.track(maps, [memory], [5], lambda found: found.quality.argmax(1).tolist())
        for name in ("logits", "quality", "pointer", "presence", "features"):
            assert torch.equal(getattr(usual, name), getattr(chosen, name)), name


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_goes_on_from_its_state_bit_for_bit(name: str) -> None:
    network, pictures = recorded_network(), recorded_pictures(22)
    story = [click(0, ONE, 0.25, 0.4), click(3, TWO, 0.5, 0.6), click(9, THREE, 0.7, 0.3)]
    opened = opener(network)
    whole = run(opened(MASK_SIZE, name), pictures, story, clip=1)
    ids: dict[int, int] = {}
    session, parted = opened(MASK_SIZE, name), []
    for step, picture in enumerate(pictures):
        session.begin_clip([picture])
        session.step()
        for act in (act for act in story if act.step == step):
            ids[act.object_id], _ = session.add_object(act)
        parted.append({key: (session.logits(held).clone(), None) for key, held in ids.items()})
        state = session.export_state()
        session = opened(MASK_SIZE, name)
        session.import_state(state)
    assert same(whole, parted)


def test_another_policy_takes_over_what_one_has_kept() -> None:
    opened = opener(tiny_network())
    for before, after in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True):
        session = opened((30, 40), before)
        session.begin_clip(noise(12))
        for step in range(12):
            session.step()
            if step == 0:
                key, _ = session.add_object(click(0, ONE, 0.5, 0.5))
        other = opened((30, 40), after)
        other.import_state(session.export_state())
        other.begin_clip(noise(10, seed=1))
        assert all(list(other.step()) == [key] for _ in range(10)), f"{before} to {after}"


def test_a_box_in_motion_is_where_it_was_going() -> None:
    motion = BoxMotion.begun(np.array([0.1, 0.1, 0.2, 0.3]))
    for step in range(1, 12):
        motion = motion.ahead().seen(np.array([0.1, 0.1, 0.2, 0.3]) + 0.02 * step * np.array([1, 0, 1, 0]))
    expected = np.array([0.34, 0.1, 0.44, 0.3])
    assert box_overlap(motion.ahead().box, expected) > 0.9
    assert box_overlap(np.array([0, 0, 1, 1.0]), np.array([2, 2, 3, 3.0])) == 0


def test_the_largest_piece_is_found_however_it_winds() -> None:
    mask = np.zeros((9, 12), bool)
    mask[1, 1:11] = mask[1:8, 10] = mask[7, 2:11] = True
    mask[4:6, 3:6] = True
    expected = mask.copy()
    expected[4:6, 3:6] = False
    assert (largest_piece(mask) == expected).all()
    assert not largest_piece(np.zeros((3, 3), bool)).any()
    assert Sighting(0, mask[None], [1.0], 1.0, lambda box: box).box(0) is not None
