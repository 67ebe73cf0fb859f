"""The figures of what checkpoints cost add up."""

from __future__ import annotations

from modeling.sam2.segmenter import load_segmenter
from recipes.evaluate_tracker import WEIGHTS
from recipes.measure_checkpoints import measure


def test_what_is_written_is_told_by_kind_and_less_than_everything() -> None:
    found = measure(load_segmenter(WEIGHTS), minutes=0.2, seed=1, mask_side_px=96)
    assert found["commits"] == 3 and found["tracks"] > 0
    assert found["written"] == sum(found["written_of"].values())
    assert all(size > 0 for kind, size in found["written_of"].items() if kind != "anchors")
    assert found["written"] - found["written_of"]["manifest"] <= found["whole"] < found["stored"]
