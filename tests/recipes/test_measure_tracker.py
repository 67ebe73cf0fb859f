"""What a tracker costs: a small one here, one of the published size where there is time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modeling.sam2.official import make_folder
from recipes.measure_tracker import figures, main
from tests.modeling.official_sam2 import CONFIG, write_checkpoint


def test_a_small_tracker_is_measured(tmp_path: Path) -> None:
    make_folder(write_checkpoint(tmp_path), CONFIG, tmp_path / "made", {})
    facts = figures(tmp_path / "made", None, objects=2, pictures=3, device="cpu")
    assert (facts["input_px"], facts["objects"]) == (64, 2)
    assert all(seconds >= 0 for seconds in facts["seconds"].values())
    assert 0 < facts["memory_gb"]["loaded"] <= facts["memory_gb"]["peak"]
    assert figures(tmp_path / "made", 96, objects=1, pictures=2, device="cpu")["input_px"] == 96


@pytest.mark.slow
def test_the_smallest_published_size_loads_and_tracks_at_full_input(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--tier", "sam2.1-tiny", "--pictures", "2", "--grid", "2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["input_px"] == 1024 and facts["seconds"]["track_all_objects_on_a_picture"] > 0
    assert facts["memory_gb"]["peak"] < 3
