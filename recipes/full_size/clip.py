"""In a process of its own: load a checkpoint, answer about one object in one clip, print what it cost as JSON.

python -m recipes.full_size.clip FOLDER --frames 4 --tokens 8
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from recipes.arguments import existing_folder, positive_int
from recipes.full_size.memory import AnonymousPeak, memory_now, peak_rss


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(description="Load a checkpoint and answer once.")
    parser.add_argument("folder", type=existing_folder)
    parser.add_argument("--frames", type=positive_int, default=4)
    parser.add_argument("--tokens", type=positive_int, default=8)
    given = parser.parse_args()
    with AnonymousPeak() as peak:
        facts = run(given.folder, given.frames, given.tokens)
    facts["memory_gb"] |= {"peak_rss": round(peak_rss(), 3), "peak_anonymous": round(peak.gb, 3)}
    json.dump(facts, sys.stdout)


def run(folder: Path, frames: int, tokens: int) -> dict:
    """Seconds of each stage, token counts, and the memory held after each step."""
    begun = time.perf_counter()
    from modeling.pixelrefer.generate import Captioner  # importing torch is one of the stages

    imported = time.perf_counter()
    bare = memory_now()
    captioner = Captioner.load(folder)
    loaded = time.perf_counter()
    after_load = memory_now()
    answer = captioner.describe(clip_request(frames, tokens))
    after_answer = memory_now()
    stages = {"import": imported - begun, "load": loaded - imported} | answer.timings_s
    return {
        "parameters": sum(tensor.numel() for tensor in captioner.network.state_dict().values()),
        "number_format": str(captioner.network.dtype).removeprefix("torch."),
        "seconds": {name: round(value, 2) for name, value in stages.items()},
        "prompt_tokens": answer.prompt_tokens,
        "object_tokens": answer.object_tokens,
        "output_tokens": len(answer.token_ids),
        "memory_gb": {
            "before_load": _rounded(bare),
            "after_load": _rounded(after_load),
            "after_answer": _rounded(after_answer),
        },
    }


def _rounded(memory: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in memory.items()}


def clip_request(frames: int, tokens: int):  # noqa: ANN201  (the type would import torch too early)
    """One object seen on all frames of a noisy clip of 320x240, one frame a second: nothing can be left out."""
    from modeling.pixelrefer.request import Request

    pictures = np.random.default_rng(0).integers(0, 256, (frames, 240, 320, 3), dtype=np.uint8)
    masks = np.zeros((frames, 240, 320), np.uint8)
    for number in range(frames):
        masks[number, 60:160, 40 + 20 * number : 120 + 20 * number] = 1
    return Request(
        frames=pictures,
        times_s=np.arange(frames, dtype=np.float64),
        masks=masks,
        mask_frames=np.arange(frames),
        objects=np.zeros(frames, int),
        instruction="What does <region> do?",
        max_new_tokens=tokens,
    )


if __name__ == "__main__":
    main()
