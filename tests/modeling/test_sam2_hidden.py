"""Objects out of view for long are looked for on every m-th picture; memory and restore do not mind."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch

from modeling.sam2.network import Network
from modeling.sam2.segmenter import opener
from modeling.sam2.session import RESTING_PRESENCE, Sam2Session
from modeling.sam2.values import Step
from modeling.sam2.window import WindowSettings
from operators.types import Prompt
from tests.modeling.sam2_models import noise, tiny_network

SIZE, EVERY = (45, 60), 3
FIRST_ABSENT = 1
LOOKED = [*range(1, 8), 10, 13, 16]
"""Steps up to 16 on which an object absent from step 1 on is looked for: six memories go by, then every third."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def network() -> Network:
    network = tiny_network()
    show(network, False)
    return network


def show(network: Network, there: bool) -> None:
    """From now on everything that is looked for is in view, or nothing is."""
    last = network.model.sam_mask_decoder.pred_obj_score_head.layers[-1]
    last.bias.data.fill_(1000.0 if there else -1000.0)


def block() -> Prompt:
    mask = np.zeros(SIZE, bool)
    mask[10:30, 10:40] = True
    return Prompt(mask=mask)


def begun(network: Network, hidden_every: int, window: WindowSettings | None = None) -> Sam2Session:
    """A session with one object, marked on its first picture."""
    session = opener(network, window, hidden_every)(SIZE)
    session.begin_clip(noise(1))
    session.step()
    session.add_object(block())
    return session


def walk(session: Sam2Session, steps: int, seed: int = 1) -> list[dict[int, Step]]:
    session.begin_clip(noise(steps, seed))
    return [session.step() for _ in range(steps)]


def looked_on(session: Sam2Session, steps: int, object_id: int = 1) -> list[int]:
    """The steps after the first on which an object was looked for: what it was answered by the network itself."""
    return [at for at, found in enumerate(walk(session, steps), 1) if found[object_id].presence < -100]


def test_a_hidden_object_is_looked_for_now_and_then(network: Network) -> None:
    session = begun(network, EVERY)
    assert looked_on(session, 16) == LOOKED
    memory = session._objects[1].memory
    assert sorted(memory.pointers) == LOOKED and sorted(memory.ahead_of(17).features) == [13, 16]
    assert looked_on(begun(network, 1), 16) == list(range(1, 17))


def test_it_is_followed_on_every_picture_once_it_is_back(network: Network) -> None:
    session = begun(network, EVERY)
    walk(session, 11)
    show(network, True)
    found = [step[1].presence > 0 for step in walk(session, 6)]  # steps 12 to 17; 13 is one to look on
    assert found == [False, True, True, True, True, True]


def test_a_correction_ends_the_rest(network: Network) -> None:
    session = begun(network, EVERY)
    walk(session, 11)
    assert session.correct(1, block()).presence > 0
    assert [step[1].presence < -100 for step in walk(session, 4)] == [True] * 4


def test_others_are_followed_all_the_while(network: Network) -> None:
    session = begun(network, EVERY)
    walk(session, 8)
    second, _ = session.add_object(block())
    found = walk(session, 4)
    assert all(list(step) == [1, second] for step in found)
    assert [step[second].presence < -100 for step in found] == [True] * 4
    assert [step[1].presence < -100 for step in found] == [False, True, False, False]


def test_a_restored_session_keeps_the_rhythm(network: Network) -> None:
    without = [step[1] for step in walk(begun(network, EVERY), 20)]
    session, told = begun(network, EVERY), []
    for picture in noise(20, 1):
        state = session.export_state()
        session = opener(network, hidden_every=EVERY)(SIZE)
        session.import_state(state)
        session.begin_clip([picture])
        told.append(session.step()[1])
    # Encoded one by one or in batches pictures differ in their last bits; steps on which it rests have none.
    assert [step.presence for step in told] == pytest.approx([step.presence for step in without], abs=1e-3)
    assert sum(step.presence == RESTING_PRESENCE for step in told) == 20 - 11


def test_the_window_of_a_resting_object_grows(network: Network) -> None:
    session = begun(network, EVERY, WindowSettings(scale=1.0, growth=1.01))
    sides = []
    for _ in range(12):
        walk(session, 1)
        sides.append(session._objects[1].focus.side)
    assert np.allclose(np.diff(np.log(sides)), np.log(1.01))


def test_never_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden_every 0: at least 1"):
        opener(tiny_network(), hidden_every=0)(SIZE)
