"""Score the embedded tracker on long streams on which it has to find its objects itself.

    python -m recipes.evaluate_following --streams 4 --minutes 2 --seed 1 --json [--weights DIR]

Held-out synthetic streams at 4 frames/s, objects coming and going, through the session and the rules that serve.
Objects are judged on frames on which they show at least 60 px. Keys of the JSON line:

hota, deta, assa, idf1, mota   by TrackEval, on masks (IDF1 and MOTA at an overlap of 0.5)
switches_per_object_minute     identity switches by CLEAR MOT, per minute in which an object is clear in view
found_in_2_s                   of the objects clear for at least 2 s (``found_of``), the share with a track by then
false_births                   of all ``tracks``, the share that lay mostly on no object on most of their frames
kept_through_occlusion         of the occlusions of up to 3 s of a followed object (``occlusions``), the share after
                               which the same track has it within 1.5 s
streams, minutes, seed, split, object_minutes   what was judged
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch

from modeling.sam2.segmenter import load_segmenter
from operators.ports import Segmenter
from operators.track import TrackSettings
from recipes.arguments import add_scoring, add_streams, recipe_parser, told_in_one_line
from recipes.captioner.clips import FPS
from recipes.evaluate_tracker import HEIGHT, WEIGHTS, WIDTH
from recipes.following.lives import false_births, found_in_time, lives, returns
from recipes.following.record import Seen
from recipes.following.standard import standard_scores
from recipes.following.streams import follow_stream

SEED_BASE = 65_000_000
"""Far from any seed that training uses; held-out floors, walls and lights differ besides."""


def evaluate(
    open_segmenter: Callable[[tuple[int, int]], Segmenter],
    settings: TrackSettings,
    streams: int,
    minutes: float,
    seed: int,
    split: str = "held_out",
) -> dict:
    """The scores by the keys described above."""
    seeds = [SEED_BASE + seed * 1_000 + number for number in range(streams)]
    seen = [
        list(follow_stream(open_segmenter((HEIGHT, WIDTH)), settings, one, minutes, split)) for one in seeds
    ]
    return {"streams": streams, "minutes": minutes, "seed": seed, "split": split} | scores(seen)


def scores(streams: Sequence[Sequence[Seen]]) -> dict:
    """The scores of what was recorded."""
    standard = standard_scores(streams)
    object_minutes = sum(len(it.objects) for frames in streams for it in frames) / FPS / 60
    found = [
        in_time
        for frames in streams
        for life in lives(frames).values()
        if (in_time := found_in_time(life, frames[-1].time_s)) is not None
    ]
    kept = [same for frames in streams for life in lives(frames).values() for same in returns(life)]
    births = [false for frames in streams for false in false_births(frames).values()]
    switches = standard.pop("switches")
    return {
        **{name: round(value, 4) for name, value in standard.items()},
        "switches_per_object_minute": round(switches / object_minutes, 4) if object_minutes else None,
        "found_in_2_s": _share(found),
        "found_of": len(found),
        "false_births": _share(births),
        "tracks": len(births),
        "kept_through_occlusion": _share(kept),
        "occlusions": len(kept),
        "object_minutes": round(object_minutes, 2),
    }


def _share(values: Sequence[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def main() -> None:
    """Command line."""
    parser = recipe_parser("evaluate_following", __doc__)
    add_streams(parser)
    add_scoring(parser, WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        opened = load_segmenter(chosen.weights, chosen.device)
    result = evaluate(opened, TrackSettings(), chosen.streams, chosen.minutes, chosen.seed, chosen.split)
    if chosen.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
