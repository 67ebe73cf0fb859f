"""Make the small tracker parity data of tests/data from a full set of recorded runs.

    python -m recipes.parity.record_sam2 FULL_DIR OUT_DIR

The same pictures and scenarios at half the input size, with a model derived from the full set's: large weights
rounded to 8 bits, and pointers made to count for more (at this size they would hardly change an answer, and a
mistake with them would go unnoticed). What is recorded are new runs of the sam2 package's own predictor.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from sam2.sam2_video_predictor import SAM2VideoPredictor

from modeling.sam2.build import build_tracker, read_config
from recipes.parity.official_sam2 import OfficialRun
from recipes.parity.sam2_cases import SCENARIOS, read_acts, read_model, read_pictures

IMAGE_SIZE = 128
SMALL = 2048  # tensors up to this many numbers stay float32


def heavier_pointers(model: SAM2VideoPredictor) -> None:
    """Scale object pointers by two and the code of their distance by three."""
    with torch.no_grad():
        model.get_parameter("obj_ptr_proj.layers.2.weight").mul_(2)
        model.get_parameter("obj_ptr_tpos_proj.weight").mul_(3)


def rounded(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Large tensors as int8 with a factor each."""
    stored = {}
    for name, tensor in weights.items():
        if tensor.numel() <= SMALL:
            stored[name] = tensor.clone()
            continue
        factor = tensor.abs().max() / 127
        stored[name] = (tensor / factor).round().to(torch.int8)
        stored[f"{name}.factor"] = factor
    return stored


def small_config(folder: Path) -> dict:
    """The full set's configuration at the smaller input size; its attention windows stay."""
    config = read_config(folder / "config.yaml")
    for kind in ("self_attention", "cross_attention"):
        config["memory_attention"]["layer"][kind]["feat_sizes"] = [IMAGE_SIZE // 16] * 2
    return {**config, "image_size": IMAGE_SIZE}


def record(name: str, full: Path, out: Path, pictures: list[np.ndarray]) -> None:
    """Run one scenario with the package's predictor and store what it gives."""
    told = json.loads((full / f"{name}.json").read_text(encoding="utf-8"))
    size = (told["video_height"], told["video_width"])
    run = OfficialRun(read_model(out), pictures, size)
    tensors = {}
    for step, outputs in run.outputs(read_acts(told)):
        for object_id, kept in outputs.items():
            prefix = f"obj{object_id}.frame{step:02d}."
            tensors |= {prefix + key: value.clone().contiguous() for key, value in kept.items()}
        shown = torch.stack(list(run.shown.values()))[:, 0] > 0
        tensors[f"video_masks.frame{step:02d}"] = torch.from_numpy(np.packbits(shown.numpy(), axis=-1))
    save_file(tensors, out / f"{name}.safetensors")
    told |= {"image_size": IMAGE_SIZE, "made_by": "recipes.parity.record_sam2"}
    told["outputs"] = [
        x for x in told["outputs"] if f"obj{x['obj']}.frame{x['frame']:02d}.obj_ptr" in tensors
    ]
    (out / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="record_sam2", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("full", type=Path, metavar="FULL_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    config = small_config(given.full)
    (given.out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    model = build_tracker(given.full / "config.yaml", given.full / "weights.safetensors")
    heavier_pointers(model)
    save_file(rounded(model.state_dict()), given.out / "weights.safetensors")
    small = [
        np.asarray(Image.fromarray(picture).resize((IMAGE_SIZE, IMAGE_SIZE)))
        for picture in read_pictures(given.full)
    ]
    np.savez_compressed(given.out / "frames.npz", model_input_uint8=np.stack(small))
    for name in SCENARIOS:
        record(name, given.full, given.out, small)


if __name__ == "__main__":
    main()
