"""Small real detectors: ONNX networks that find red and green blobs by comparing windows with what is around them."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

SIDE_PX = 128
STRIDE_PX = 4
WINDOWS_PX = (16, 24, 32, 48)
NAMES = ["red thing", "green thing"]
RING_PX = 8


class Blobs(torch.nn.Module):
    """Images [1, 3, S, S] in 0..1 to rows [1, 4 + 2, N]: centre and size in pixels, and a score for each colour.

    A window's score is how much more of the colour there is in it than in the ring around it.
    """

    def __init__(self) -> None:
        super().__init__()
        centres = torch.arange(0, SIDE_PX, STRIDE_PX, dtype=torch.float32)
        rows, columns = torch.meshgrid(centres, centres, indexing="ij")
        places = [
            torch.stack([columns, rows, *[torch.full_like(rows, k)] * 2]).flatten(1) for k in WINDOWS_PX
        ]
        self.register_buffer("places", torch.cat(places, dim=1)[None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
        colours = torch.cat([red - torch.maximum(green, blue), green - torch.maximum(red, blue)], 1).clamp(
            min=0
        )
        scores = [self._contrast(colours, k).flatten(2) for k in WINDOWS_PX]
        return torch.cat([self.places, torch.cat(scores, dim=2)], dim=1)

    def _contrast(self, colours: torch.Tensor, k: int) -> torch.Tensor:
        wide = k + 2 * RING_PX
        inner, outer = (self._mean(colours, side) for side in (k, wide))
        ring = (outer * wide**2 - inner * k**2) / (wide**2 - k**2)
        return (inner - ring).clamp(min=0)

    @staticmethod
    def _mean(colours: torch.Tensor, side: int) -> torch.Tensor:
        """Of the square around every centre; what lies beyond the image counts as black."""
        padded = F.pad(colours, [side // 2] * 4)
        rows = F.avg_pool2d(padded, (side, 1), (STRIDE_PX, 1))
        return F.avg_pool2d(rows, (1, side), (1, STRIDE_PX))[
            ..., : SIDE_PX // STRIDE_PX, : SIDE_PX // STRIDE_PX
        ]


class Apart(Blobs):
    """The same in the manner of DETR: boxes [1, N, 4] normalised, logits [1, N, 3] with "nothing" last."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        rows = super().forward(images).transpose(1, 2)
        likely = rows[..., 4:].clamp(1e-4, 0.98)
        nothing = (1 - likely.sum(-1, keepdim=True)).clamp(min=1e-4)
        return rows[..., :4] / SIDE_PX, torch.cat([likely, nothing], -1).log()


YOLO: dict[str, Any] = {"input_px": SIDE_PX, "layout": "yolo", "names": NAMES, "min_score": 0.5, "nms": 0.2}
DETR: dict[str, Any] = {
    "input_px": [SIDE_PX, SIDE_PX],
    "layout": "boxes",
    "outputs": {"boxes": "pred_boxes", "scores": "logits"},
    "box": "cxcywh",
    "units": "normalized",
    "scores": "softmax",
    "names": NAMES,
    "min_score": 0.5,
    "nms": 0.2,
}


def make_blob_detector(folder: Path, config: dict[str, Any] = YOLO) -> Path:
    """A detector's folder, in one of the two layouts."""
    yolo = config["layout"] == "yolo"
    outputs = ["output0"] if yolo else ["pred_boxes", "logits"]
    return make_detector(folder, Blobs() if yolo else Apart(), outputs, config)


def make_detector(
    folder: Path, network: torch.nn.Module, outputs: list[str], config: dict[str, Any], inputs: tuple = ()
) -> Path:
    """Export any network of one image (and ``inputs``, if it has more) with a configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    images = torch.rand(1, 3, SIDE_PX, SIDE_PX)
    names = ["images", *(f"more{at}" for at in range(len(inputs)))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (images, *inputs),
            str(folder / "model.onnx"),
            dynamo=False,
            input_names=names,
            output_names=outputs,
        )
    (folder / "detector.json").write_text(json.dumps(config))
    return folder
