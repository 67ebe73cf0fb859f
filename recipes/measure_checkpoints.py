"""What checkpoints cost: bytes put into the store for each committed clip, by kind, beside writing all of it each time.

    python -m recipes.measure_checkpoints --minutes 1 --seed 1 --json [--weights DIR] [--mask-side-px 256]

A synthetic stream through the tracker that serves, its snapshots committed as in service. Means over the commits after
the first. Keys of the JSON line:

commits, tracks     committed clips, and how many tracks were followed on average
written             bytes put for a commit, in all
written_of          the same by kind: main, anchors, recent (the session's own part), pictures, manifest
whole               bytes of the whole checkpoint, which would be written if nothing were kept
stored              bytes in the store at the end: the checkpoints that are kept
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch

from modeling.sam2.segmenter import load_segmenter
from operators.ports import Segmenter
from operators.track import Tracker
from pipelines.checkpoint import CameraPosition, Checkpoint, PartitionLedger, Step, checkpoint_name
from pipelines.restore import TrackerMaker, mask_size
from pipelines.snapshot import Packed, pack, read_header
from recipes.arguments import (
    add_scoring,
    not_negative_int,
    positive_float,
    positive_int,
    recipe_parser,
    told_in_one_line,
)
from recipes.continuity.footage import stream_clips
from recipes.evaluate_following import SEED_BASE
from recipes.evaluate_tracker import HEIGHT, WEIGHTS, WIDTH
from recipes.following.streams import clip_of
from recipes.memory_store import MemoryStore


class CountingObjects(MemoryStore):
    """An object store in memory that remembers what was put since it was last asked."""

    def __init__(self) -> None:
        super().__init__()
        self._put: Counter[str] = Counter()

    def put(self, name: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        super().put(name, data, content_type)
        self._put[name] += len(data)

    def taken(self) -> Counter[str]:
        """Bytes by name since the last call."""
        put, self._put = self._put, Counter()
        return put


def measure(
    open_segmenter: Callable[[tuple[int, int]], Segmenter], minutes: float, seed: int, mask_side_px: int = 256
) -> dict[str, object]:
    """The figures of the module's page."""
    store = CountingObjects()
    ledger = PartitionLedger(0, store)
    tracker = Tracker("yard", open_segmenter(mask_size((HEIGHT, WIDTH), mask_side_px)))
    rows: list[Counter[str]] = []
    for part in stream_clips(SEED_BASE + seed * 1_000, minutes, "held_out"):
        clip = clip_of("yard", part)
        tracked = tracker.push(clip)
        packed = pack(tracker.snapshot())
        name = checkpoint_name("yard", clip.epoch, clip.index, clip.end_s)
        held = {"checkpoint_ref": name, "parts": sorted(packed.parts)}
        position = CameraPosition(camera_id="yard", epoch=clip.epoch, start_s=clip.end_s, **held)
        step = Step((), checkpoint=Checkpoint(name, packed.main, packed.parts), position=position)
        list(ledger.commit(step, {}, clip.end_s))
        rows.append(_kinds(store.taken(), packed))
        rows[-1]["tracks"] = sum(masklet.state != "retired" for masklet in tracked.masklets)
    later = rows[1:]
    mean = {kind: round(float(np.mean([row[kind] for row in later]))) for kind in KINDS}
    return {
        "commits": len(rows),
        "tracks": round(float(np.mean([row["tracks"] for row in later])), 2),
        "written": sum(mean.values()),
        "written_of": mean,
        "whole": round(float(np.mean([row["whole"] for row in later]))),
        "stored": sum(map(len, store.objects.values())),
    }


KINDS = ("main", "anchors", "recent", "pictures", "manifest")


def _kinds(put: Counter[str], packed: Packed) -> Counter[str]:
    recent = read_header(packed.main)["segmenter"]["session"]
    found: Counter[str] = Counter(whole=len(packed.main) + sum(map(len, packed.parts.values())))
    for name, size in put.items():
        kind = "main"
        if name.startswith("manifests/"):
            kind = "manifest"
        elif name.endswith(".jpg"):
            kind = "pictures"
        elif "/parts/" in name:
            kind = "recent" if name.endswith(recent) else "anchors"
        found[kind] += size
    return found


def main() -> None:
    """Command line."""
    parser = recipe_parser("measure_checkpoints", __doc__)
    parser.add_argument("--minutes", type=positive_float, default=1.0)
    parser.add_argument("--seed", type=not_negative_int, default=1)
    parser.add_argument("--mask-side-px", type=positive_int, default=TrackerMaker.mask_side_px)
    add_scoring(parser, WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        opened = load_segmenter(chosen.weights, chosen.device)
    result = measure(opened, chosen.minutes, chosen.seed, chosen.mask_side_px)
    if chosen.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:12} {value}")


if __name__ == "__main__":
    main()
