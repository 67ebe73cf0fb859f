"""How fast is a tracking session, beside the sam2 package driven as its video example drives it?

    python -m bench.tracker [--json] [--cameras 4] [--objects 4] [--frames 48] [--steps 2000] [--device cpu]
                            [--input-px N] [--skip-predictor]

Both sides run the embedded network on the same drawn films, from the same boxes; rounds alternate, so that a busy
machine slows both alike, and the middle round counts. Keys of the JSON output:

- ``throughput_ratio``: object-frames a second of the sessions by those of the package's predictor. One session a
  camera, one after the other, pictures encoded by the clip, as in service; the predictor's loading of films is not
  counted;
- ``batched_ratio``: the same of all cameras' sessions stepped together by a ``Batcher``;
- ``object_frames_per_s``, ``batched_object_frames_per_s``, ``predictor_object_frames_per_s``: the three, on this
  machine; ``frames_per_s``, ``batched_frames_per_s``: pictures of all cameras a second;
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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sam2.sam2_video_predictor import SAM2VideoPredictor

from modeling.sam2.batcher import Batcher
from modeling.sam2.build import build_tracker
from modeling.sam2.input_size import batches, with_input_size
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
                mark(session, film)


def follow_together(network: Network, films: list[Film]) -> list[Sam2Session]:
    """The same for all films side by side, one session each; the sessions."""
    sessions, batcher = [opener(network)(MASK_SIZE) for _ in films], Batcher(network)
    length = len(films[0].pictures)
    for first in range(0, length, CLIP_FRAMES):
        last = min(first + CLIP_FRAMES, length)
        parts = [list(film.pictures[first:last]) for film in films]
        batcher.begin_clips(list(zip(sessions, parts, strict=True)))
        for at in range(first, last):
            batcher.step(sessions)
            if at == 0:
                for session, film in zip(sessions, films, strict=True):
                    mark(session, film)
    return sessions


def mark(session: Sam2Session, film: Film) -> None:
    """Begin an object for each of the film's boxes on the newest picture."""
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


@dataclass(frozen=True)
class Pace:
    """Object-frames a second of sessions one by one, together, and of the predictor, and how its steps grew.

    Middle of the rounds; of the predictor nothing when it was not asked for.
    """

    alone: float
    together: float
    predictor: float | None
    growth: float | None


def throughput(predictor: SAM2VideoPredictor | None, network: Network, films: list[Film]) -> Pace:
    """All follow the same films, in turn, round for round."""
    work = sum(len(film.pictures) * len(film.boxes) for film in films)
    ours, batched, theirs, growth = [], [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        folders = [_stored(film, Path(scratch) / str(number)) for number, film in enumerate(films)]
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for film in films:
                follow(opener(network)(MASK_SIZE), film)
            ours.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            follow_together(network, films)
            batched.append(time.perf_counter() - begun)
            if predictor is None:
                continue
            steps = [predict(predictor, folder, film) for folder, film in zip(folders, films, strict=True)]
            theirs.append(sum(map(sum, steps)))
            growth += [_growth(spent) for spent in steps]
    alone, together = work / statistics.median(ours), work / statistics.median(batched)
    if not theirs:
        return Pace(alone, together, None, None)
    return Pace(alone, together, work / statistics.median(theirs), statistics.median(growth))


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
            mark(session, film)
    early = statistics.median(spent[WARM_STEPS : WARM_STEPS + LATE_STEPS])
    return statistics.median(spent[-LATE_STEPS:]) / early, held[-1] / held[WARM_STEPS]


def measure(given: argparse.Namespace) -> dict:
    """All figures, by the keys described above."""
    config = WEIGHTS / "config.json"
    source = config if given.input_px is None else with_input_size(config, given.input_px)
    model = build_tracker(source, WEIGHTS / "weights.safetensors", given.device)
    network = Network(model, *batches(model.image_size, given.device, 8, 16))
    films = [Film(seed, given.frames, given.objects) for seed in range(given.cameras)]
    pace = throughput(None if given.skip_predictor else model, network, films)
    figures: dict[str, float] = {
        "object_frames_per_s": round(pace.alone, 1),
        "batched_object_frames_per_s": round(pace.together, 1),
        "frames_per_s": round(pace.alone / given.objects, 1),
        "batched_frames_per_s": round(pace.together / given.objects, 1),
    }
    if pace.predictor is not None and pace.growth is not None:
        figures |= {
            "throughput_ratio": round(pace.alone / pace.predictor, 2),
            "batched_ratio": round(pace.together / pace.predictor, 2),
            "predictor_object_frames_per_s": round(pace.predictor, 1),
            "predictor_step_ratio": round(pace.growth, 3),
        }
    if given.steps:
        step_ratio, bytes_ratio = endless(network, given.objects, given.steps)
        figures |= {"step_ratio": round(step_ratio, 3), "state_bytes_ratio": round(bytes_ratio, 3)}
    asked = {name: getattr(given, name) for name in ("cameras", "objects", "frames", "steps", "device")}
    return figures | asked | {"image_size": int(model.image_size), "threads": torch.get_num_threads()}


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
    parser.add_argument(
        "--steps", type=_count(least, or_none=True), default=2000, help="of the endless session; 0: without"
    )
    parser.add_argument("--input-px", type=_count(64), help="another input size than the network's own")
    parser.add_argument("--skip-predictor", action="store_true", help="sessions and batcher only")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU")
    if given.input_px is not None and given.input_px % 32:
        parser.error(f"--input-px {given.input_px}: must be a multiple of 32")
    figures = measure(given)
    lines = [f"{name:30} {value}" for name, value in figures.items()]
    print(json.dumps(figures, indent=1) if given.json else "\n".join(lines))


def _count(least: int, or_none: bool = False):
    def read(text: str) -> int:
        if or_none and text == "0":
            return 0
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return read


if __name__ == "__main__":
    main()
