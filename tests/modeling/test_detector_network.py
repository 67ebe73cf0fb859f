"""Real ONNX detectors: what they find, and one line for those that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.detector.network import Detector
from tests.fakes.blob_detector import DETR, NAMES, SIDE_PX, YOLO, Blobs, make_blob_detector, make_detector


def scene() -> np.ndarray:
    """A red square and a green one, on black, wider than high."""
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[20:50, 30:60] = (220, 20, 20)
    picture[40:70, 100:130] = (20, 200, 30)
    return picture


@pytest.mark.parametrize("config", [YOLO, DETR], ids=["yolo", "boxes"])
def test_both_layouts_find_the_same_things(tmp_path: Path, config: dict) -> None:
    detector = Detector.load(make_blob_detector(tmp_path / "blobs", config))
    answer = detector.detect(scene())
    assert [NAMES[label] for label in answer.labels] == ["red thing", "green thing"]
    pixels = answer.boxes * (160, 90, 160, 90)
    np.testing.assert_allclose(pixels, [[30, 20, 60, 50], [100, 40, 130, 70]], atol=3)
    assert detector.name == "blobs" and detector.classes == tuple(NAMES)
    only = detector.detect(scene(), ["Green things"])
    assert [NAMES[label] for label in only.labels] == ["green thing"]
    assert len(detector.detect(np.zeros((50, 50, 3), np.uint8)).labels) == 0
    with pytest.raises(ValueError, match="blobs knows none of dragon: it knows red thing, green thing"):
        detector.detect(scene(), ["dragon"])


class WithSize(Blobs):
    """Takes the size of the picture, as RT-DETR's export does, and gives boxes in terms of it."""

    def forward(self, images: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        rows = super().forward(images)
        return torch.cat([rows[:, :4] * size.float().mean() / SIDE_PX, rows[:, 4:]], 1)


def test_a_network_that_wants_sizes_is_given_those_of_its_input(tmp_path: Path) -> None:
    size = torch.tensor([[SIDE_PX, SIDE_PX]])
    config = {**YOLO, "size_input": "more0"}
    folder = make_detector(tmp_path / "sized", WithSize(), ["output0"], config, (size,))
    np.testing.assert_allclose(
        Detector.load(folder).detect(scene()).boxes[0] * 160, [30, 35.6, 60, 88.9], atol=6
    )
    (folder / "detector.json").write_text(json.dumps(YOLO))
    with pytest.raises(ValueError, match="wants images, more0, .* exported with its words inside"):
        Detector.load(folder)
    (folder / "detector.json").write_text(json.dumps({**YOLO, "size_input": "hw"}))
    with pytest.raises(ValueError, match="size_input: the model has no input hw"):
        Detector.load(folder)


UNUSABLE = {
    "no model": ({}, "model.onnx", None, "there is no model.onnx in"),
    "no configuration": ({}, "detector.json", None, "there is no detector.json in"),
    "not ONNX": ({}, "model.onnx", b"\x00garbage" * 99, "cannot be loaded"),
    "cut short": ({}, "model.onnx", 0.5, "cannot be loaded"),
    "other classes": ({"names": ["a", "b", "c"]}, "", None, "output output0 has the shape"),
    "other size": ({"input_px": 64}, "", None, r"input_px: \[64, 64\], but the model takes \[128, 128\]"),
    "other layout": ({"layout": "boxes"}, "", None, "output output0 has the shape .*, not"),
}


@pytest.mark.parametrize(("changes", "file", "content", "words"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_detector_that_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, changes: dict, file: str, content: bytes | float | None, words: str
) -> None:
    folder = make_blob_detector(tmp_path / "blobs", {**YOLO})
    (folder / "detector.json").write_text(json.dumps({**YOLO, **changes}))
    if isinstance(content, float):
        content = (folder / file).read_bytes()[: int((folder / file).stat().st_size * content)]
    if content is not None:
        (folder / file).write_bytes(content)
    elif file:
        (folder / file).unlink()
    with pytest.raises(ValueError, match=words) as caught:
        Detector.load(folder)
    assert "\n" not in str(caught.value)


class Broken(torch.nn.Module):
    """Says, with the right shape, nothing that could be."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(2)[:, :2].repeat(1, 3, 1)
        return torch.cat([rows[:, :4] / 0 - 1e30, rows[:, 4:] + 1], 1)


def test_a_network_of_nonsense_finds_nothing(tmp_path: Path) -> None:
    folder = make_detector(tmp_path / "broken", Broken(), ["output0"], YOLO)
    assert len(Detector.load(folder).detect(scene()).labels) == 0
