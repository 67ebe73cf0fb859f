"""The session against recorded runs of the sam2 package's own predictor, and that mistakes would be noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest
import torch

from modeling.sam2.encode import Maps
from modeling.sam2.memory import ObjectMemory
from modeling.sam2.network import Network
from recipes.parity.sam2 import rows, step_rows
from recipes.parity.sam2_cases import read_case
from recipes.parity.table import WrongFolder
from tests.modeling.sam2_models import RECORDED, recorded_network, recorded_pictures

Seen = Callable[[ObjectMemory, int], Iterable[tuple[int, torch.Tensor]]]


def test_recorded_runs_are_reproduced() -> None:
    found = rows(RECORDED)
    assert len(found) == 32
    assert [row for row in found if not row.ok] == []


@cache
def encoded() -> list[Maps]:
    with torch.inference_mode():
        return recorded_network().encode(recorded_pictures(16))


def missed() -> set[str]:
    """Which objects of the first recorded run are missed when each step starts from recorded memories."""
    with torch.inference_mode():
        found = list(step_rows(recorded_network(), encoded(), read_case(RECORDED, "main")))
    assert len(found) == 8
    return {row.case for row in found if not row.ok}


def test_single_steps_are_reproduced() -> None:
    assert missed() == set()


MISTAKES: dict[str, tuple[str, Callable[[Seen], Seen]]] = {
    "pointers of eight steps only": (
        "seen_pointers",
        lambda seen: lambda memory, step: [x for x in seen(memory, step) if x[0] <= 8],
    ),
    "distances of pointers one too long": (
        "seen_pointers",
        lambda seen: lambda memory, step: [(far + 1, x) for far, x in seen(memory, step)],
    ),
    "five recent memories": (
        "seen_features",
        lambda seen: lambda memory, step: [x for x in seen(memory, step) if x[0] != 1],
    ),
    "memories in the wrong order": (
        "seen_features",
        lambda seen: lambda memory, step: [(7 - at if at else 0, x) for at, x in seen(memory, step)],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_of_memory_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, mistake = MISTAKES[name]
    monkeypatch.setattr(ObjectMemory, method, mistake(getattr(ObjectMemory, method)))
    assert missed() == {"main, object 1", "main, object 2"}


def test_a_single_mask_while_tracking_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = Network._heads
    monkeypatch.setattr(Network, "_heads", lambda *given: heads(*given[:5], False, *given[6:]))
    assert missed()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongFolder, match="weights.safetensors"):
        rows(tmp_path)
