"""Tables of sizes and texts that need no network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from modeling.pixelrefer.config import CaptionerConfig
from modeling.pixelrefer.crops import Window, window_lite, window_object
from modeling.pixelrefer.images import ImagePacker, PatchSettings, target_size
from modeling.pixelrefer.processor import region_tokens
from modeling.pixelrefer.prompt import timed_region_tag
from modeling.pixelrefer.sampling import sample_frames
from modeling.pixelrefer.tokenizer import REGION
from recipes.parity.table import Row, equal

PUBLISHED_TOKENS = 32
SHOWN = 6
"""Entries of a frame list that a table quotes."""

Entry = Mapping[str, Any]


def table_rows(tables: Mapping[str, Sequence[Entry]], configs: Sequence[CaptionerConfig]) -> list[Row]:
    """One row a table; the difference counts the entries that disagree."""
    base = configs[0]
    found = [
        _row("target sizes", [_size_agrees(entry, base) for entry in tables.get("smart_resize", [])]),
        _row("frame choice", [_frames_agree(entry) for entry in tables.get("frame_sample", [])]),
        _row("Lite region tags", [_tag_agrees(entry) for entry in tables.get("lite_region_tag", [])]),
    ]
    for config in configs:
        agreed = [_crop_agrees(entry, config) for entry in tables.get("crop", [])]
        found.append(_row(f"{config.framework} crops", agreed))
    return [row for row in found if row is not None]


def _row(stage: str, agreed: list[bool]) -> Row | None:
    return equal("tables", stage, agreed, [True] * len(agreed)) if agreed else None


def _size_agrees(entry: Entry, config: CaptionerConfig) -> bool:
    """The published formula can reach a side of 0; ours then gives the smallest side there is."""
    down, edge = entry["image_downsampling"], config.vision.patch_px
    packer = ImagePacker(replace(config, mm_max_length=entry["mm_max_length"]), PatchSettings())
    budget = packer.budget(down, entry["images_sharing_budget"])
    size = target_size((entry["hw"][0], entry["hw"][1]), edge * down, budget, PatchSettings().min_pixels)
    wanted = tuple(max(side, edge * down) for side in entry["result_hw"])
    return budget == entry["budget_pixels"] and size == wanted


def _frames_agree(entry: Entry) -> bool:
    fps = entry["fps"] if entry["mode"] == "fps" else None
    chosen = sample_frames(entry["frames_in_clip"], entry["video_fps"], fps, entry["max_frames"])
    times = [number / entry["video_fps"] for number in chosen[:SHOWN]]
    same = len(chosen) == entry["count"] and chosen[-1] == entry["last"]
    return same and chosen[: len(entry["first"])] == entry["first"] and times == entry["timestamps_first"]


def _tag_agrees(entry: Entry) -> bool:
    times = [entry["timestamps"][number] for number in entry["mask_frame_indices"]]
    return timed_region_tag(times, entry["tokens_per_mask"]) == entry["text"].replace("<REGION>", REGION)


def _crop_agrees(entry: Entry, config: CaptionerConfig) -> bool:
    top, left, bottom, right = entry["rect_tlbr_exclusive"]
    mask = np.zeros(entry["frame_hw"], np.uint8)
    mask[top:bottom, left:right] = 1
    config = replace(config, mask_num=PUBLISHED_TOKENS, mm_max_length=8192)
    if config.framework == "pixelreferlite":
        window = window_lite(mask, config)
        assert window is not None
        return _agrees(_describe(window, config.mask_num, config), entry["pixelrefer_lite"])
    window = window_object(mask, config)
    assert window is not None
    tokens = region_tokens(window.grid, config)
    encoded = {f"encoder_grid_L8192_{n}_crops": _encoder_grid(window, config, n) for n in (1, 4)}
    return _agrees(_describe(window, tokens, config) | encoded, entry["pixelrefer"])


def _agrees(ours: Entry, quoted: Entry) -> bool:
    return all(ours.get(key) == value for key, value in quoted.items())


def _describe(window: Window, tokens: int, config: CaptionerConfig) -> dict[str, Any]:
    cells = np.flatnonzero(window.grid.numpy() > 0)
    return {
        "crop_hw": list(window.size_px(config.vision.patch_px)),
        "box": list(window.box),
        "tokens": tokens,
        "grid_hw": list(window.grid.shape),
        "positive_cells": len(cells),
        "sum_of_flat_cell_indices": int(cells.sum()),
    }


def _encoder_grid(window: Window, config: CaptionerConfig, sharing: int) -> list[int]:
    edge, settings = config.vision.patch_px, PatchSettings()
    budget = ImagePacker(config, settings).budget(1, sharing)
    return [side // edge for side in target_size(window.size_px(edge), edge, budget, settings.min_pixels)]
