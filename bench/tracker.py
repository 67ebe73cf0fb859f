"""How fast is a tracking session, beside the sam2 package driven as its video example drives it?

    python -m bench.tracker [--json] [--cameras 4] [--objects 4] [--frames 48] [--steps 2000] [--device cpu]

Both sides run the embedded network on the same drawn films, from the same boxes; rounds alternate, so that a busy
machine slows both alike, and the middle round counts. Keys of the JSON output:

- ``throughput_ratio``: object-frames a second of the sessions by those of the package's predictor. One session a
  camera, pictures encoded by the clip, as in service; the predictor's loading of films is not counted;
- ``object_frames_per_s``, ``predictor_object_frames_per_s``: the two, on this machine;
- ``step_ratio``: time of a session's step late in ``--steps`` steps by the time of one from step 100 on, medians:
  1 is flat; ``predictor_step_ratio``: the same of the predictor over one film of ``--frames`` pictures, whose second
  half is compared with its first (it keeps everything);
- ``state_bytes_ratio``: bytes remembered at the end by those at step 100; ``image_size``, ``threads`` and the counts.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sam2.sam2_video_predictor import SAM2VideoPredictor

from modeling.sam2.build import build_tracker
from modeling.sam2.network import Network
from modeling.sam2.segmenter import opener
from modeling.sam2.session import Sam2Session
from operators.types import Prompt
from synthetic.class_agnostic import sample_texture_clip

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "tracker-embedded"
SIDE_PX, MASK_SIZE, CLIP_FRAMES = 256, (96, 96), 16
ROUNDS, WARM_STEPS, LATE_STEPS = 3, 100, 200


class Film:
    """A drawn film, RGB uint8 [n, side, side, 3], and boxes, float32 [k, 4], normalised, on its first picture."""

    def __init__(self, seed: int, frames: int, objects: int) -> None:
        self.pictures = sample_texture_clip(seed, SIDE_PX, frames).frames
        corner = np.random.default_rng(seed).uniform(0.1, 0.5, (objects, 2))
        self.boxes = np.concatenate([corner, corner + 0.3], axis=1).astype(np.float32)


def follow(session: Sam2Session, film: Film) -> None:
    """Mark the film's boxes on its first picture, and follow them to its end, clip by clip."""
    for first in range(0, len(film.pictures), CLIP_FRAMES):
        part = film.pictures[first : first + CLIP_FRAMES]
        session.begin_clip(list(part))
        for at in range(len(part)):
            session.step()
            if first + at == 0:
                for box in film.boxes:
                    session.add_object(Prompt(box=box))


@torch.inference_mode()
def predict(predictor: SAM2VideoPredictor, folder: Path, film: Film) -> list[float]:
    """The same by the package's predictor, as in its example; seconds of every step after loading."""
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        return _predict(predictor, folder, film)


def _predict(predictor: SAM2VideoPredictor, folder: Path, film: Film) -> list[float]:
    state = predictor.init_state(str(folder))
    scale = np.array([SIDE_PX] * 4, np.float32)
    begun, spent = time.perf_counter(), []
    for number, box in enumerate(film.boxes):
        predictor.add_new_points_or_box(state, frame_idx=0, obj_id=number, box=box * scale)
    for _ in predictor.propagate_in_video(state):
        now = time.perf_counter()
        spent.append(now - begun)
        begun = now
    return spent


def throughput(
    predictor: SAM2VideoPredictor, network: Network, films: list[Film]
) -> tuple[float, float, float]:
    """Object-frames a second of sessions and of the predictor, and how its steps grew; middle of the rounds."""
    work = sum(len(film.pictures) * len(film.boxes) for film in films)
    ours, theirs, growth = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folders = [_stored(film, Path(scratch) / str(number)) for number, film in enumerate(films)]
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for film in films:
                follow(opener(network)(MASK_SIZE), film)
            ours.append(time.perf_counter() - begun)
            steps = [predict(predictor, folder, film) for folder, film in zip(folders, films, strict=True)]
            theirs.append(sum(map(sum, steps)))
            growth += [_growth(spent) for spent in steps]
    return work / statistics.median(ours), work / statistics.median(theirs), statistics.median(growth)


def endless(network: Network, objects: int, steps: int) -> tuple[float, float]:
    """Time of a late step by that of an early one, and bytes remembered late by those early."""
    film = Film(0, CLIP_FRAMES, objects)
    session = opener(network)(MASK_SIZE)
    spent, held = [], []
    pictures = _again(film.pictures)
    for number in range(steps):
        if number % CLIP_FRAMES == 0:
            session.begin_clip([next(pictures) for _ in range(CLIP_FRAMES)])
        begun = time.perf_counter()
        session.step()
        spent.append(time.perf_counter() - begun)
        held.append(session.num_bytes)
        if number == 0:
            for box in film.boxes:
                session.add_object(Prompt(box=box))
    early = statistics.median(spent[WARM_STEPS : WARM_STEPS + LATE_STEPS])
    return statistics.median(spent[-LATE_STEPS:]) / early, held[-1] / held[WARM_STEPS]


def measure(cameras: int, objects: int, frames: int, steps: int, device: str) -> dict:
    """All figures, by the keys described above."""
    model = build_tracker(WEIGHTS / "config.json", WEIGHTS / "weights.safetensors", device)
    network = Network(model)
    films = [Film(seed, frames, objects) for seed in range(cameras)]
    ours, theirs, grown = throughput(model, network, films)
    step_ratio, bytes_ratio = endless(network, objects, steps)
    return {
        "throughput_ratio": round(ours / theirs, 2),
        "object_frames_per_s": round(ours, 1),
        "predictor_object_frames_per_s": round(theirs, 1),
        "step_ratio": round(step_ratio, 3),
        "predictor_step_ratio": round(grown, 3),
        "state_bytes_ratio": round(bytes_ratio, 3),
        **{"cameras": cameras, "objects": objects, "frames": frames, "steps": steps, "device": device},
        **{"image_size": int(model.image_size), "threads": torch.get_num_threads()},
    }


def _growth(spent: list[float]) -> float:
    middle = len(spent) // 2
    # The first step includes the prompts.
    return statistics.median(spent[middle:]) / statistics.median(spent[1:middle])


def _again(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """The pictures forward and backward for ever: no cut, and nothing to be lost."""
    while True:
        yield from pictures
        yield from pictures[::-1]


def _stored(film: Film, folder: Path) -> Path:
    """The film as the package's loader wants it: numbered JPEG files."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(film.pictures):
        Image.fromarray(picture).save(folder / f"{number:05d}.jpg", quality=95)
    return folder


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=_count(1), default=4)
    parser.add_argument("--objects", type=_count(1), default=4, help="objects a camera")
    parser.add_argument("--frames", type=_count(8), default=48, help="pictures a film")
    least = WARM_STEPS + 2 * LATE_STEPS
    parser.add_argument("--steps", type=_count(least), default=2000, help="of the endless session")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU")
    figures = measure(given.cameras, given.objects, given.frames, given.steps, given.device)
    lines = [f"{name:30} {value}" for name, value in figures.items()]
    print(json.dumps(figures, indent=1) if given.json else "\n".join(lines))


def _count(least: int):
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return read


if __name__ == "__main__":
    main()
