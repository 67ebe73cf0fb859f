"""The tracker's benchmark does the same work on both sides and counts it."""

from __future__ import annotations

import pytest
import torch

import bench.tracker as bench
from modeling.sam2.build import build_tracker
from modeling.sam2.network import Network
from modeling.sam2.segmenter import opener


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return build_tracker(bench.WEIGHTS / "config.json", bench.WEIGHTS / "weights.safetensors")


def test_both_sides_follow_every_object_to_the_end(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ROUNDS", 1)
    films = [bench.Film(0, 8, 2)]
    pace = bench.throughput(model, Network(model), films)
    assert pace.alone > 0 and pace.together > 0 and pace.predictor > 0 and pace.growth > 0
    assert bench.throughput(None, Network(model), films).predictor is None
    session = opener(Network(model))(bench.MASK_SIZE)
    bench.follow(session, films[0])
    assert len(session.object_ids) == 2
    with pytest.raises(RuntimeError, match="no picture left"):
        session.step()
    side_by_side = bench.follow_together(Network(model), [films[0], bench.Film(1, 8, 3)])
    assert [len(session.object_ids) for session in side_by_side] == [2, 3]
    with pytest.raises(RuntimeError, match="no picture left"):
        side_by_side[1].step()


def test_an_endless_session_remembers_no_more_in_the_end(model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "WARM_STEPS", 20)  # the last 15 pointers are full by then
    monkeypatch.setattr(bench, "LATE_STEPS", 4)
    _, held = bench.endless(Network(model), 1, 48)
    assert held == 1.0


@pytest.mark.parametrize(
    "given", [["--cameras", "0"], ["--steps", "many"], ["--frames", "-3"], ["--steps", "1"]]
)
def test_counts_that_are_none_are_refused(given: list[str], monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["bench.tracker", *given])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2 and "expected a whole number" in capsys.readouterr().err
