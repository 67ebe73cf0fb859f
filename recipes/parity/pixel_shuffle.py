"""Our pixel shuffle and PAM's Semantic Perceiver against reference values."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from modeling.pixelrefer.perceiver import COARSE, DENSE, ClipAssembler, PerceiverConfig, select_frames
from modeling.pixelrefer.pixel_shuffle import (
    compress,
    compress_by_columns,
    nested_order,
    project_mean,
    tile_first_layer,
)
from recipes.parity.table import Row, compare, equal, need

Tensors = dict[str, Tensor]

LAYOUT, GRIDS, PROJECTOR = "layout.safetensors", "design_grid.safetensors", "projector_init.safetensors"
WEIGHTS, VALUES = "pam_tiny_weights.safetensors", "pam_tiny_io.safetensors"
PROJECTOR_TOLERANCE, PERCEIVER_TOLERANCE = 2e-6, 1e-5
HEADS = 4
"""Heads of the tiny perceiver, which no stored shape tells."""


@torch.inference_mode()
def rows(folder: Path) -> list[Row]:
    """All comparisons for a folder of reference values; those of the perceiver if it is there. Raises WrongFolder."""
    need(folder, LAYOUT, GRIDS, PROJECTOR)
    found = _layout_rows(load_file(folder / LAYOUT))
    found += _grid_rows(load_file(folder / GRIDS))
    found += _projector_rows(load_file(folder / PROJECTOR))
    if (folder / WEIGHTS).exists() or (folder / VALUES).exists():
        need(folder, WEIGHTS, VALUES)
        found += _perceiver_rows(load_file(folder / WEIGHTS), load_file(folder / VALUES))
    return found


def _square(tokens: Tensor) -> Tensor:
    side = round(tokens.shape[1] ** 0.5)
    return tokens.unflatten(1, (side, side))


def _layout_rows(values: Tensors) -> list[Row]:
    grid = _square(values["tokens_in"])
    found = []
    for factor in (2, 4):
        name = f"{factor}x{factor}"
        found.append(
            compare("layout", f"pam {name}", compress_by_columns(grid, factor), values[f"pam_{name}"], 0)
        )
        found.append(
            compare("layout", f"rowmajor {name}", compress(grid, factor), values[f"rowmajor_{name}"], 0)
        )
    trap = values["trap_true_nchw_2x2"]
    differs = not torch.equal(compress_by_columns(grid, 2), trap)
    found.append(Row("layout", "not the channels-first trap", 0.0 if differs else 1.0, 0.0, differs))
    return found


def _grid_rows(values: Tensors) -> list[Row]:
    found = []
    for source, wanted in (("grid_in", "compress"), ("grid_even_in", "even")):
        for factor in (2, 4):
            stage = f"{wanted}_{factor}x{factor}"
            found.append(compare("design grid", stage, compress(values[source], factor), values[stage], 0))
    even = values["grid_even_in"]
    half = compress(even, 2).unflatten(1, (even.shape[1] // 2, even.shape[2] // 2))
    order = nested_order(even.shape[-1])
    found.append(compare("design grid", "nested order", order, values["twice_2x2_to_4x4_perm"], 0))
    found.append(compare("design grid", "2x2 twice", compress(half, 2)[..., order], values["even_4x4"], 0))
    return found


def _projector_rows(values: Tensors) -> list[Row]:
    def project(first: Tensor, tokens: Tensor) -> Tensor:
        hidden = nn.functional.gelu(nn.functional.linear(tokens, first, values["b1"]))
        return nn.functional.linear(hidden, values["w2"], values["b2"])

    def tiled(factor: int, tiling: str) -> Tensor:
        first = tile_first_layer(values["w1"], factor, tiling)  # type: ignore[arg-type]
        return project(first, compress(values["features"], factor))

    class Original(nn.Module):
        def forward(self, tokens: Tensor) -> Tensor:
            return project(values["w1"], tokens)

    cheap = {factor: project_mean(values["features"], factor, Original()) for factor in (2, 4)}
    made = [
        ("shuffle2 tiled", tiled(2, "mean"), "shuffle2_tiled"),
        ("shuffle2 tiled = published", tiled(2, "mean"), "published_stride2"),
        ("shuffle2 averaged first", cheap[2], "published_stride2"),
        ("shuffle4 centre", tiled(4, "centre"), "shuffle4_tiled_centre"),
        ("shuffle4 centre = published", tiled(4, "centre"), "published_stride4"),
        ("shuffle4 mean", tiled(4, "mean"), "shuffle4_tiled_mean"),
        ("shuffle4 averaged first", cheap[4], "shuffle4_tiled_mean"),
    ]
    return [compare("projector", stage, ours, values[key], PROJECTOR_TOLERANCE) for stage, ours, key in made]


def _assembler(weights: Tensors) -> ClipAssembler:
    """The perceiver at the size of the stored weights."""
    mlp = weights["perceiver.layers.0.mlp.layers.0.weight"]
    depth = len({name.split(".")[2] for name in weights if name.startswith("perceiver.layers.")})
    config = PerceiverConfig(
        width=mlp.shape[1],
        heads=HEADS,
        mlp_width=mlp.shape[0],
        depth=depth,
        semantic_tokens=weights["perceiver.sem_tokens.weight"].shape[0],
        language_width=weights["image_newline"].shape[0],
    )
    assembler = ClipAssembler(config).eval()
    assembler.load_state_dict(weights)
    return assembler


def _perceiver_rows(weights: Tensors, values: Tensors) -> list[Row]:
    assembler = _assembler(weights)
    images, masks = values["image_embedding"], values["mask_tokens"]
    found = []
    for factor in (DENSE, COARSE):
        name = f"{factor}x{factor}"
        shown = len(values[f"perceiver_sem_{name}"])
        semantic, tokens = assembler.perceiver(images[:shown], masks[:shown], factor)
        projected = assembler.projector_img(tokens), assembler.projector_sem(semantic)
        for stage, ours in zip(
            (
                f"perceiver_sem_{name}",
                f"perceiver_vis_{name}",
                f"projected_vis_{name}",
                f"projected_sem_{name}",
            ),
            (semantic, tokens, *projected),
            strict=True,
        ):
            found.append(compare("perceiver", stage, ours, values[stage], PERCEIVER_TOLERANCE))
    for stage in sorted(name for name in values if name.startswith("clip_")):
        count = int(stage.removeprefix("clip_").removesuffix("frames"))
        made = assembler(images[:count], masks[:count])
        found.append(compare("clip", stage, made, values[stage], PERCEIVER_TOLERANCE))
    for stage in sorted(name for name in values if name.startswith("selected_16of")):
        chosen = select_frames(int(stage.removeprefix("selected_16of")))
        found.append(equal("clip", stage, chosen, values[stage].tolist()))
    return found
