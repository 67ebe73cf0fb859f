"""Score the embedded tracker on long streams on which it has to find its objects itself.

    python -m recipes.evaluate_following --streams 4 --minutes 2 --seed 1 --json [--weights DIR] [--passages 2]

Held-out synthetic streams at 4 frames/s, objects coming and going, through the session and the rules that serve.
Objects are judged on frames on which they show at least 60 px. Keys of the JSON line:

hota, deta, assa, idf1, mota   by TrackEval, on masks (IDF1 and MOTA at an overlap of 0.5)
switches_per_object_minute     identity switches by CLEAR MOT, per minute in which an object is clear in view
found_in_2_s                   of the objects clear for at least 2 s (``found_of``), the share with a track by then
false_births                   of all ``tracks``, the share that lay mostly on no object on most of their frames
kept_through_occlusion         of the occlusions of up to 3 s of a followed object (``occlusions``), the share after
                               which the first track that has it within 1.5 s is the same; none is a loss too
streams, passages, minutes, seed, split, object_minutes   what was judged

Hardly anything is hidden in the usual streams, so occlusions are judged on ``--passages`` further ones, in which small
things pass behind a large one (:mod:`recipes.following.passages`), and on the usual ones; all else on the usual alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import torch

from modeling.sam2.segmenter import load_segmenter
from operators.ports import Segmenter
from operators.track import TrackSettings
from recipes.arguments import add_scoring, add_streams, not_negative_int, recipe_parser, told_in_one_line
from recipes.captioner.clips import FPS
from recipes.evaluate_tracker import HEIGHT, WEIGHTS, WIDTH
from recipes.following.lives import false_births, found_in_time, lives, returns
from recipes.following.record import Seen
from recipes.following.standard import standard_scores
from recipes.following.streams import follow_passages, follow_stream

SEED_BASE = 65_000_000
"""Far from any seed that training uses; held-out floors, walls and lights differ besides."""


def evaluate(
    open_segmenter: Callable[[tuple[int, int]], Segmenter],
    settings: TrackSettings,
    streams: int,
    minutes: float,
    seed: int,
    split: str = "held_out",
    passages: int = 0,
) -> dict:
    """The scores by the keys described above."""
    seen, hidden = (
        [
            list(follow(open_segmenter((HEIGHT, WIDTH)), settings, first + number, minutes, split))
            for number in range(count)
        ]
        for follow, first, count in (
            (follow_stream, SEED_BASE + seed * 1_000, streams),
            (follow_passages, SEED_BASE + seed * 1_000 + 500, passages),
        )
    )
    told = {"streams": streams, "passages": passages, "minutes": minutes, "seed": seed, "split": split}
    return told | scores(seen, hidden)


def scores(streams: Sequence[Sequence[Seen]], passages: Sequence[Sequence[Seen]] = ()) -> dict:
    """The scores of what was recorded; of ``passages`` occlusions only."""
    standard = standard_scores(streams)
    object_minutes = sum(len(it.objects) for frames in streams for it in frames) / FPS / 60
    found = [
        in_time
        for frames in streams
        for life in lives(frames).values()
        if (in_time := found_in_time(life, frames[-1].time_s)) is not None
    ]
    kept = [
        same for frames in (*streams, *passages) for life in lives(frames).values() for same in returns(life)
    ]
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
    parser.add_argument(
        "--passages", type=not_negative_int, default=2, help="further streams, for occlusions"
    )
    add_scoring(parser, WEIGHTS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        opened = load_segmenter(chosen.weights, chosen.device)
    result = evaluate(
        opened,
        TrackSettings(),
        chosen.streams,
        chosen.minutes,
        chosen.seed,
        chosen.split,
        chosen.passages,
    )
    if chosen.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
