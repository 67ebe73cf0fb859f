"""Compiled parts: the same answers, padded batches, eager where shapes vary, ready before the first picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch

from modeling.sam2.build import build_tracker
from modeling.sam2.network import Network
from modeling.sam2.segmenter import opener
from modeling.sam2.steady import Steady, compile_whole, full_memories, padded_size, sizes_up_to
from modeling.sam2.values import Step
from operators.types import Prompt
from tests.modeling.sam2_models import TINY, noise

SIZE, CLIP, FULL_AFTER = (45, 60), 4, 16


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def model() -> Any:
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    made = build_tracker(TINY)
    torch.random.set_rng_state(state)
    return made


class Counted:
    """A compiler that leaves functions as they are and counts by name and rows how they are called."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, int]] = Counter()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            rows = given[0].shape[1 if function.__name__ == "_attention" else 0]
            self.calls[function.__name__, rows] += 1
            return function(*given)

        return counted


def follow(network: Network, objects: int, steps: int) -> list[dict[int, Step]]:
    session = opener(network)(SIZE)
    told = []
    for start in range(0, steps, CLIP):
        session.begin_clip(noise(CLIP, start))
        for at in range(start, start + CLIP):
            told.append(session.step())
            if at == 0:
                for number in range(objects):
                    mask = np.zeros(SIZE, bool)
                    mask[5 + 8 * number : 20 + 8 * number, 10:40] = True
                    session.add_object(Prompt(mask=mask))
    return told


def assert_same(ours: list[dict[int, Step]], theirs: list[dict[int, Step]]) -> None:
    assert [list(step) for step in ours] == [list(step) for step in theirs]
    for step, wanted in zip(ours, theirs, strict=True):
        for key, answer in step.items():
            assert answer.presence == pytest.approx(wanted[key].presence, abs=1e-3)
            assert answer.score == pytest.approx(wanted[key].score, abs=1e-3)
            assert (answer.mask != wanted[key].mask).mean() < 1e-3


def test_padding_changes_nothing_and_only_full_memories_are_compiled() -> None:
    counted, steps = Counted(), FULL_AFTER + 8
    ours = follow(Network(model(), steady=Steady(model(), counted)), 3, steps)
    assert_same(ours, follow(Network(model()), 3, steps))
    after = steps - FULL_AFTER
    assert counted.calls == {
        ("forward_image", CLIP): steps // CLIP,
        ("_attention", 4): after,  # three objects, padded to four
        ("_heads", 4): after,
        ("_memory", 4): after,
    }


def test_warming_up_meets_every_shape_that_comes_later() -> None:
    counted = Counted()
    network = Network(model(), encode_batch=5, object_batch=3, steady=Steady(model(), counted))
    network.warm_up()
    warm = set(counted.calls)
    assert {rows for name, rows in warm if name == "forward_image"} == {1, 2, 4, 8}
    assert {rows for name, rows in warm if name == "_attention"} == {1, 2, 4}
    assert counted.calls["_attention", 4] == 4  # one for each number of anchors
    follow(network, 3, FULL_AFTER + 4)
    assert set(counted.calls) == warm


@torch.inference_mode()
def test_whole_graphs_of_the_parts_answer_like_the_parts() -> None:
    made = model()
    eager, compiled = Network(made), Network(made, steady=Steady(made, compile_whole("eager")))
    maps, again = eager.encode(noise(1))[0], compiled.encode(noise(1))[0]
    for name in ("fine", "middle", "coarse", "position"):
        torch.testing.assert_close(getattr(again, name), getattr(maps, name), atol=1e-5, rtol=1e-5)
    seen = eager.prompt(maps, torch.ones(1, 1, 64, 64))
    memory = full_memories(eager.new_memory, lambda: seen.entry(0))[0]
    ours, theirs = (network.track(maps, [memory] * 2, [16] * 2) for network in (compiled, eager))
    for name in ("logits", "quality", "pointer", "presence", "features"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), atol=1e-5, rtol=1e-5)


def test_sizes_are_few() -> None:
    assert [padded_size(count) for count in (1, 2, 3, 5, 9, 16, 17)] == [1, 2, 4, 8, 16, 16, 17]
    assert sizes_up_to(6) == [1, 2, 4, 8]
