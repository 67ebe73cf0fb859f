"""Synthetic clips on disk: one safetensors file a clip, frames as JPEG (as cameras would blur them), ids as PNG.

Making clips costs more than reading them, so they are made once, by their own process if a core is free:
``python -m recipes.captioner.clips --out DIR --split train --first 0 --count 2000``. Files that exist are kept.
Besides the splits of the synthetic world there is "strangers": nameless things (:mod:`synthetic.strangers`).
"""

from __future__ import annotations

import argparse
import io
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from modeling.pixelrefer.questions import LONG_SIDE_PX
from synthetic.strangers import sample_stranger_clip
from synthetic.truth import Event, ObjectTruth, SyntheticClip
from synthetic.world import sample_clip

FPS = 4.0
FRAMES = 16
LARGE_SHARE = 0.2
"""Share of clips drawn at twice the size and shrunk, as production shrinks large pictures."""
QUALITIES = (60, 95)
STRANGERS = "strangers"
_ARRAYS = ("visible_px", "full_px", "boxes", "centre", "ground", "velocity")


class Pictures:
    """Encoded pictures, decoded one by one when asked for: ``pictures[t]`` is uint8 [H,W] or [H,W,3]."""

    def __init__(self, data: np.ndarray, lengths: list[int]) -> None:
        self._data, self._lengths = data, lengths
        self._ends = np.cumsum(lengths).tolist()
        self._known: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        if index not in self._known:
            end = self._ends[index]
            piece = self._data[end - self._lengths[index] : end].tobytes()
            self._known[index] = np.asarray(Image.open(io.BytesIO(piece)))
        return self._known[index]


@dataclass(frozen=True)
class StoredClip:
    """One clip read back: frames uint8 [T][H,W,3], ids uint8 [T][H,W], objects with their truth."""

    frames: Pictures
    ids: Pictures
    objects: tuple[ObjectTruth, ...]
    fps: float


def make_clip(seed: int, split: str) -> SyntheticClip:
    """The clip of a seed at the captioner's working size."""
    if split == STRANGERS:
        return sample_stranger_clip(seed, FRAMES, FPS, LONG_SIDE_PX)
    large = np.random.default_rng(seed).random() < LARGE_SHARE
    width = LONG_SIDE_PX * (2 if large else 1)
    clip = sample_clip(seed, split, width=width, height=width * 3 // 4, frames=FRAMES, fps=FPS)
    return shrink(clip) if large else clip


def shrink(clip: SyntheticClip) -> SyntheticClip:
    """The clip at half its size: frames averaged, ids taken from one pixel in four, pixel truth halved."""
    count, height, width = clip.ids.shape
    blocks = clip.frames.reshape(count, height // 2, 2, width // 2, 2, 3)
    frames = np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)
    ids = np.ascontiguousarray(clip.ids[:, ::2, ::2])
    objects = tuple(
        _halved(it, (ids == number).sum(axis=(1, 2))) for number, it in enumerate(clip.objects, 1)
    )
    return SyntheticClip(frames, ids, clip.fps, objects)


def _halved(it: ObjectTruth, visible_px: np.ndarray) -> ObjectTruth:
    """The truth at half the size; ``visible_px`` [T] is counted anew, the rest of the pixels is a quarter."""
    return replace(
        it,
        boxes=it.boxes / 2,
        centre=it.centre / 2,
        visible_px=visible_px.astype(it.visible_px.dtype),
        full_px=np.maximum(it.full_px // 4, visible_px).astype(it.full_px.dtype),
    )


def write_clip(path: Path, clip: SyntheticClip, seed: int) -> None:
    """Store a clip under ``path``; the file appears whole or not at all."""
    rng = np.random.default_rng(seed + 1)
    quality = int(rng.integers(*QUALITIES))
    frames = [_encode(frame, "JPEG", quality=quality) for frame in clip.frames]
    ids = [_encode(picture, "PNG", compress_level=1) for picture in clip.ids]
    arrays = {"frames": _join(frames), "ids": _join(ids)}
    for name in _ARRAYS:
        arrays[name] = np.stack([getattr(it, name) for it in clip.objects])
    notes = {
        "fps": clip.fps,
        "frame_bytes": [len(data) for data in frames],
        "id_bytes": [len(data) for data in ids],
        "objects": [_note(it) for it in clip.objects],
    }
    partial = path.with_suffix(".partial")
    save_file(arrays, partial, metadata={"notes": json.dumps(notes)})
    partial.rename(path)


def _encode(pixels: np.ndarray, form: str, **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def _join(pieces: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(pieces), np.uint8)


def _note(it: ObjectTruth) -> dict:
    return {"class": it.class_name, "colour": it.colour, "events": [asdict(event) for event in it.events]}


def read_clip(path: Path) -> StoredClip:
    """Read a stored clip."""
    with safe_open(path, "np") as file:
        notes = json.loads(file.metadata()["notes"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    objects = tuple(
        ObjectTruth(
            note["class"],
            note["colour"],
            **{name: arrays[name][k] for name in _ARRAYS},
            events=tuple(Event(**event) for event in note["events"]),
        )
        for k, note in enumerate(notes["objects"])
    )
    frames = Pictures(arrays["frames"], notes["frame_bytes"])
    return StoredClip(frames, Pictures(arrays["ids"], notes["id_bytes"]), objects, notes["fps"])


def clip_path(folder: Path, split: str, seed: int) -> Path:
    """Where the clip of a seed is stored."""
    return folder / f"{split}_{seed:06d}.safetensors"


def make_clips(folder: Path, split: str, first: int, count: int) -> list[Path]:
    """Make the missing clips of seeds ``first``..``first + count - 1``; returns all their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [clip_path(folder, split, seed) for seed in range(first, first + count)]
    for seed, path in enumerate(paths, start=first):
        if not path.exists():
            write_clip(path, make_clip(seed, split), seed)
    return paths


def stored(folder: Path, split: str) -> list[Path]:
    """Clips of a split made so far, in the order of their seeds."""
    return sorted(folder.glob(f"{split}_*.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "held_out", STRANGERS), default="train")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    chosen = parser.parse_args()
    make_clips(chosen.out, chosen.split, chosen.first, chosen.count)


if __name__ == "__main__":
    main()
