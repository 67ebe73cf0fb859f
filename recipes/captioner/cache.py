"""Between the stages: features of the frozen encoder for many pieces of evidence, kept as float16 on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from modeling.pixelrefer.images import ImagePacker
from modeling.pixelrefer.model import CaptionNetwork, PixelReferLite
from recipes.captioner.clips import StoredClip, read_clip
from recipes.captioner.evidence import Evidence, Outlines, Shown, sample_evidence, whole_evidence
from recipes.captioner.network import PATCHES
from recipes.captioner.views import MaskView, Picture, pack, view_frame, view_mask
from synthetic.casting import HELD_OUT_PAIRS
from synthetic.grammar import Attributes

CLIPS_A_FILE = 25
VARIANTS = 2
"""Pieces of evidence drawn for each object; the first covers the whole clip, as production mostly will."""
SMALLEST_PX, FEWEST_FRAMES = 60, 2
PATCHES_A_CALL = 4000


@dataclass(frozen=True)
class CachedFeatures:
    """Features of M masks over G frames, from which E pieces of evidence are made.

    ``cells`` float16 [N,Cv] are the chosen cells of all crops with their position code input ``position_xy``
    [N,2]; mask m owns rows ``cell_ends[m-1]..cell_ends[m]``. ``locals_`` [M,T,Cv], ``globals_`` [G,U,Cv],
    ``global_of_mask`` [M]. ``places`` [M,3]: mean x, y and square root of the area of a mask, in parts of the frame.
    ``notes``: of each piece of evidence the masks, times and name of every object shown, the one asked about first
    (lists ``masks``, ``times``, ``names``), the end, and the attributes; masks may serve several pieces.
    """

    cells: Tensor
    position_xy: Tensor
    cell_ends: Tensor
    locals_: Tensor
    globals_: Tensor
    global_of_mask: Tensor
    places: Tensor
    notes: list[dict]

    def attributes(self, number: int) -> Attributes:
        """What is true of one piece of evidence."""
        return read_attributes(self.notes[number]["said"])


def read_attributes(said: dict) -> Attributes:
    """The attributes that were written as JSON."""
    return Attributes(**said | {"other": tuple(said["other"]) if said["other"] else None})


@dataclass(frozen=True)
class _Job:
    """One clip's evidence with its pictures; ``masks``: what each object of each piece shows, as numbers of views."""

    evidence: list[Evidence]
    masks: list[list[list[int]]]
    views: list[MaskView]
    places: Tensor
    frames: list[Picture]
    frame_of_view: list[int]


def gather(
    clip: StoredClip, rng: np.random.Generator, variants: int, held_out: bool = False
) -> list[Evidence]:
    """Evidence on every object of a clip that is seen well enough.

    The first variant covers the whole clip; the others lose frames and share other outlines. Unless ``held_out``,
    objects of pairs kept for testing are left out, as are those that bump into one.
    """
    found: list[Evidence | None] = []
    for variant in range(1 if held_out else variants):
        outlines = Outlines(clip, rng)
        for k, it in enumerate(clip.objects):
            if (it.visible_px >= SMALLEST_PX).sum() < FEWEST_FRAMES:
                continue
            whole = variant == 0
            found.append(
                whole_evidence(clip, k, outlines) if whole else sample_evidence(clip, k, rng, outlines)
            )
    return [evidence for evidence in found if evidence is not None and (held_out or usable(evidence.said))]


def usable(said: Attributes) -> bool:
    """Whether training may learn from it: neither the object nor its partner is of a pair kept for testing."""
    return (said.colour, said.class_name) not in HELD_OUT_PAIRS and said.other not in HELD_OUT_PAIRS


def _job(clip: StoredClip, evidence: list[Evidence], network: PixelReferLite) -> _Job:
    used = sorted({t for piece in evidence for shown in piece.shown for t in shown.frames})
    place = {t: number for number, t in enumerate(used)}
    # One object's mask on a frame is the same for all that show it: views are made once.
    numbers: dict[int, int] = {}
    masks: list[tuple[int, np.ndarray]] = []

    def number_of(shown: Shown, at: int) -> int:
        t, mask = shown.frames[at], shown.masks[at]
        key = hash((t, mask.tobytes()))
        if key not in numbers:
            numbers[key] = len(masks)
            masks.append((t, mask))
        return numbers[key]

    shows = [
        [[number_of(shown, at) for at in range(len(shown.frames))] for shown in piece.shown]
        for piece in evidence
    ]
    views = [view_mask(clip.frames[t], clip.ids[t], mask, network.config) for t, mask in masks]
    frames = [view_frame(clip.frames[t], clip.ids[t], network.config) for t in used]
    places = _places(np.stack([mask for _, mask in masks]))
    return _Job(evidence, shows, views, places, frames, [place[t] for t, _ in masks])


@torch.no_grad()
def encode(network: CaptionNetwork, pictures: list[Picture], packer: ImagePacker) -> list[Tensor]:
    """Features float16 [gh*gw,Cv] of each picture, on the CPU."""
    features: list[Tensor] = []
    start = 0
    while start < len(pictures):
        end, patches = start, 0
        while end < len(pictures) and (end == start or patches + len(pictures[end].rows) <= PATCHES_A_CALL):
            patches += len(pictures[end].rows)
            end += 1
        images = pack(pictures[start:end], packer)
        with torch.autocast(network.device.type, torch.bfloat16):
            out = network.model.vision_encoder(images.patches.to(network.device), images.grids)
        features += out.half().cpu().split(images.counts)
        start = end
    return features


def cache_clips(
    network: PixelReferLite, paths: list[Path], seed: int, held_out: bool, variants: int
) -> CachedFeatures:
    """Features of all evidence in some clips."""
    packer = ImagePacker(network.config, PATCHES)
    jobs = []
    for number, path in enumerate(paths):
        clip = read_clip(path)
        evidence = gather(clip, np.random.default_rng([seed, 2, number]), variants, held_out)
        if evidence:
            jobs.append(_job(clip, evidence, network))
    return _join(jobs, network, packer)


def _join(jobs: list[_Job], network: PixelReferLite, packer: ImagePacker) -> CachedFeatures:
    views = [view for job in jobs for view in job.views]
    crops = encode(network, [view.crop for view in views], packer)
    chosen = [torch.from_numpy(view.chosen) for view in views]
    first_frame = np.cumsum([0, *(len(job.frames) for job in jobs)])[:-1].tolist()
    first_view = np.cumsum([0, *(len(job.views) for job in jobs)])[:-1].tolist()
    of_mask = [base + at for base, job in zip(first_frame, jobs, strict=True) for at in job.frame_of_view]
    return CachedFeatures(
        cells=torch.cat([crop[rows] for crop, rows in zip(crops, chosen, strict=True)]),
        position_xy=torch.cat(
            [view.position_xy.flatten(0, 1)[rows] for view, rows in zip(views, chosen, strict=True)]
        ),
        cell_ends=torch.tensor([int(rows.sum()) for rows in chosen]).cumsum(0),
        locals_=torch.stack(encode(network, [view.local for view in views], packer)),
        globals_=torch.stack(encode(network, [frame for job in jobs for frame in job.frames], packer)),
        global_of_mask=torch.tensor(of_mask),
        places=torch.cat([job.places for job in jobs]),
        notes=[note for base, job in zip(first_view, jobs, strict=True) for note in _notes(job, base)],
    )


def _notes(job: _Job, base: int) -> list[dict]:
    return [
        {
            "masks": [[base + number for number in numbers] for numbers in masks],
            "times": [shown.times_s for shown in piece.shown],
            "names": [shown.name for shown in piece.shown],
            "end": piece.end_s,
            "said": asdict(piece.said),
        }
        for piece, masks in zip(job.evidence, job.masks, strict=True)
    ]


def _places(masks: np.ndarray) -> Tensor:
    """Mean x, mean y and root of the area of masks [n,H,W], float32 [n,3], in parts of the frame."""
    _, height, width = masks.shape
    area = masks.sum((1, 2)).astype(np.float32)
    x = (masks.sum(1) * np.arange(width)).sum(1) / area / width
    y = (masks.sum(2) * np.arange(height)).sum(1) / area / height
    return torch.from_numpy(np.stack([x, y, np.sqrt(area / (height * width))], 1).astype(np.float32))


def write_cache(
    network: PixelReferLite,
    paths: list[Path],
    folder: Path,
    seed: int,
    held_out: bool = False,
    variants: int = VARIANTS,
) -> None:
    """Cache clips in files of a few; files that exist are kept, so an interrupted run goes on."""

    def features_of(part: list[Path], number: int) -> tuple[dict[str, Tensor], list[dict]]:
        cached = cache_clips(network, part, seed + number, held_out, variants)
        return {
            name: value for name, value in vars(cached).items() if isinstance(value, Tensor)
        }, cached.notes

    write_parts(paths, folder, features_of)


def write_parts(
    paths: list[Path], folder: Path, make: Callable[[list[Path], int], tuple[dict[str, Tensor], list[dict]]]
) -> None:
    """Store what ``make`` makes of some clips at a time (given with the number of the first), as files.

    Files appear whole or not at all; those that exist are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(0, len(paths), CLIPS_A_FILE):
        target = folder / f"features_{number:06d}.safetensors"
        if target.exists():
            continue
        tensors, notes = make(paths[number : number + CLIPS_A_FILE], number)
        partial = target.with_suffix(".partial")
        save_file(tensors, partial, {"notes": json.dumps(notes)})
        partial.rename(target)
        print(f"cached {min(number + CLIPS_A_FILE, len(paths))} of {len(paths)} clips", flush=True)


def read_cache(folder: Path) -> CachedFeatures:
    """All files of a folder as one. Raises FileNotFoundError for an empty folder."""
    parts = [_read(path) for path in sorted(folder.glob("features_*.safetensors"))]
    if not parts:
        raise FileNotFoundError(f"{folder} holds no cached features: run the cache stage first")

    def joined(name: str) -> Tensor:
        whole = torch.cat([getattr(part, name) for part in parts])
        for at, part in enumerate(parts):  # what is joined goes: twice everything may be more than there is
            parts[at] = replace(part, **{name: whole[:0]})
        return whole

    def shifted(name: str, base: list[int]) -> Tensor:
        return torch.cat([getattr(part, name) + add for part, add in zip(parts, base, strict=True)])

    def bases(sizes: list[int]) -> list[int]:
        return np.cumsum([0, *sizes])[:-1].tolist()

    cells, masks, views = (
        bases([len(getattr(part, name)) for part in parts]) for name in ("cells", "locals_", "globals_")
    )
    return CachedFeatures(
        cells=joined("cells"),
        position_xy=joined("position_xy"),
        cell_ends=shifted("cell_ends", cells),
        locals_=joined("locals_"),
        globals_=joined("globals_"),
        global_of_mask=shifted("global_of_mask", views),
        places=joined("places"),
        notes=[
            note | {"masks": [[base + number for number in numbers] for numbers in note["masks"]]}
            for base, part in zip(masks, parts, strict=True)
            for note in part.notes
        ],
    )


def _read(path: Path) -> CachedFeatures:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        # bfloat16, as the training step wants them: converting them there would cost as much as using them.
        tensors |= {name: tensors[name].bfloat16() for name in ("cells", "locals_", "globals_")}
        return CachedFeatures(**tensors, notes=json.loads(file.metadata()["notes"]))
