"""What a tracker of the published size costs on this machine: memory and seconds, measured in a fresh process.

    python -m recipes.measure_tracker --tier sam2.1-tiny [--input-px 512] [--objects 4] [--device cuda]

Writes a checkpoint in the official layout with random weights to a temporary folder, makes a tracker's folder of it as
`streamrefer models pull` does, steps a few pictures by the serving session, deletes both and prints the figures as
JSON. With `--folder` an existing tracker's folder is measured instead.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from modeling.sam2.build import build_tracker
from modeling.sam2.official import make_folder, published_config
from modeling.sam2.segmenter import load_segmenter
from operators.discover import grid_points
from operators.types import Prompt
from recipes.full_size.memory import memory_now, peak_rss

CONFIGS = {
    "sam2.1-tiny": "sam2.1_hiera_t.yaml",
    "sam2.1-small": "sam2.1_hiera_s.yaml",
    "sam2.1-base-plus": "sam2.1_hiera_b+.yaml",
    "sam2.1-large": "sam2.1_hiera_l.yaml",
}
LONGEST_RUN_S = 1800.0
PICTURE = (480, 640, 3)


def main(arguments: list[str] | None = None) -> int:
    """Command line entry; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure a tracker of the published size.")
    parser.add_argument("--tier", choices=CONFIGS, default="sam2.1-tiny")
    parser.add_argument("--input-px", type=int)
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument(
        "--pictures", type=int, default=4, help="the first one is prompted, the others tracked"
    )
    parser.add_argument(
        "--grid", type=int, default=8, help="clicks along each side of a picture, for discovery"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="an existing tracker's folder instead")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.inside:
        measured = (given.folder, given.input_px, given.objects, given.pictures, given.device, given.grid)
        print(json.dumps(figures(*measured)))
        return 0
    with tempfile.TemporaryDirectory(prefix="tracker-") as work:
        facts = run_apart(given, given.folder or write_tracker(Path(work), given.tier))
    print(json.dumps({"tier": given.tier if given.folder is None else None, **facts}, indent=1))
    return 0


def write_tracker(work: Path, tier: str) -> Path:
    """A tracker's folder made from a checkpoint of random weights in the official layout."""
    config = CONFIGS[tier]
    checkpoint = work / "checkpoint.pt"
    torch.manual_seed(0)
    torch.save({"model": build_tracker(published_config(work / config)).state_dict()}, checkpoint)
    make_folder(checkpoint, config, work / tier, {"tier": tier})
    checkpoint.unlink()
    return work / tier


def run_apart(given: argparse.Namespace, folder: Path) -> dict:
    """The figures from a process of its own, so that its memory is that of the tracker alone."""
    command = [sys.executable, "-m", "recipes.measure_tracker", "--inside", "--folder", str(folder)]
    command += ["--objects", str(given.objects), "--pictures", str(given.pictures), "--device", given.device]
    command += ["--grid", str(given.grid)]
    command += ["--input-px", str(given.input_px)] if given.input_px else []
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LONGEST_RUN_S, check=True)
    return json.loads(done.stdout)


def figures(
    folder: Path, input_px: int | None, objects: int, pictures: int, device: str, grid: int = 8
) -> dict:
    """Load, prompt objects on the first picture, track them on the others, look for new ones on the last."""
    on_gpu = device.startswith("cuda")
    before_gb = peak_rss()
    load_s, open_session = clocked(
        on_gpu, lambda: load_segmenter(folder, device, bfloat16=on_gpu, input_px=input_px)
    )
    loaded = memory_now()
    session = open_session((192, 256))
    seen = [np.random.default_rng(at).integers(0, 255, PICTURE, np.uint8) for at in range(pictures)]
    encode_s, _ = clocked(on_gpu, lambda: session.begin_clip(seen))
    session.step()
    boxes = np.linspace(0.1, 0.5, objects, dtype=np.float32)
    prompt_s, _ = clocked(
        on_gpu,
        lambda: [
            session.add_object(Prompt(box=np.array([x, x, x + 0.3, x + 0.3], np.float32))) for x in boxes
        ],
    )
    track_s = [clocked(on_gpu, session.step)[0] for _ in range(pictures - 1)]
    before_grid_gb = peak_rss()
    grid_s, _ = clocked(on_gpu, lambda: session.candidates(grid_points(grid)))
    return {
        "input_px": input_px or json.loads((folder / "config.json").read_text())["model"]["image_size"],
        "objects": objects,
        "device": torch.cuda.get_device_name(device) if on_gpu else f"cpu, {torch.get_num_threads()} threads",
        "seconds": {
            "load": round(load_s, 2),
            "encode_a_picture": round(encode_s / pictures, 3),
            "prompt_an_object": round(prompt_s / objects, 3),
            "track_all_objects_on_a_picture": round(float(np.median(track_s)), 3) if track_s else None,
            f"decode_a_grid_of_{grid**2}": round(grid_s, 3),
        },
        "memory_gb": {
            "before": round(before_gb, 2),
            "loaded": round(loaded["rss"], 2),
            "peak_without_grid": round(before_grid_gb, 2),
            "peak": round(peak_rss(), 2),
            "gpu_peak": round(torch.cuda.max_memory_allocated(device) / 1e9, 2) if on_gpu else None,
        },
    }


def clocked(on_gpu: bool, work: Callable) -> tuple[float, object]:
    """Seconds that something takes, and what it gives."""
    begun = time.perf_counter()
    given = work()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - begun, given


if __name__ == "__main__":
    sys.exit(main())
