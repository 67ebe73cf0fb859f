"""Marks as prompts for the segmenter."""

from __future__ import annotations

import numpy as np

from contracts.marks import Mark
from pipelines.marks import POINTS_OF_A_STROKE, along, prompt_of


def test_clicks_and_scribbles_become_points_with_their_sides() -> None:
    mark = Mark.model_validate(
        {
            "points": [{"x": 0.1, "y": 0.2}],
            "strokes": [
                {"points": [(0.2, 0.2), (0.2, 0.4), (0.6, 0.4)]},
                {"points": [(0.9, 0.9)], "inside": False},
            ],
            "box": (0.0, 0.1, 0.7, 0.5),
        }
    )
    prompt = prompt_of(mark)
    np.testing.assert_allclose(
        prompt.points, [[0.1, 0.2], [0.2, 0.2], [0.3, 0.4], [0.6, 0.4], [0.9, 0.9]], atol=1e-6
    )
    assert prompt.labels.tolist() == [1, 1, 1, 1, 0]
    np.testing.assert_allclose(prompt.box, [0.0, 0.1, 0.7, 0.5])


def test_a_long_scribble_is_spread_evenly_by_length() -> None:
    line = [(0.0, 0.0)] * 100 + [(1.0, 0.0)]
    points = along(line, POINTS_OF_A_STROKE)
    np.testing.assert_allclose(points[:, 0], np.linspace(0, 1, POINTS_OF_A_STROKE))
    assert len(along([(0.5, 0.5)] * 9, 8)) == 1


def test_masks_keep_their_grid() -> None:
    mark = Mark.model_validate({"mask": {"height": 2, "width": 3, "counts": [1, 2, 3]}})
    assert prompt_of(mark).mask.tolist() == [[False, True, True], [False, False, False]]


def test_a_box_alone_has_no_points() -> None:
    prompt = prompt_of(Mark.model_validate({"box": (0.1, 0.1, 0.2, 0.3)}))
    assert prompt.points is None and prompt.mask is None
