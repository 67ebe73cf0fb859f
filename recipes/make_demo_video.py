"""Film the synthetic world for a demo camera: an H.264 file and what is true in it.

python -m recipes.make_demo_video demo.mp4 --seconds 60 --truth truth.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from recipes.arguments import not_negative_int, positive_float, positive_int, recipe_parser, told_in_one_line
from synthetic.scene import SPLITS
from synthetic.stream import SyntheticStream
from synthetic.truth import StreamObject
from synthetic.video import write_h264
from synthetic.world import sample_stream


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, film, write."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with told_in_one_line(parser):
        film(options)


def film(options: argparse.Namespace) -> None:
    """Film and write. Raises ValueError or OSError."""
    stream = sample_stream(
        options.seed, options.seconds, options.split, options.width, options.height, options.fps
    )
    truth = FilmedTruth(stream)
    count = write_h264(options.out, truth.film(), options.fps, b_frames=options.b_frames)
    if options.truth:
        options.truth.write_text(json.dumps(truth.as_json(options), indent=1) + "\n")
    print(f"{options.out}: {count} frames, {count / options.fps:.1f} s, {len(stream.truth)} objects")


def _parser() -> argparse.ArgumentParser:
    parser = recipe_parser("make_demo_video", __doc__)
    parser.add_argument("out", type=Path, help="video to write; the suffix names the container (.mp4, .mkv)")
    parser.add_argument("--seconds", type=positive_float, default=60.0, help="length of the film")
    parser.add_argument("--fps", type=positive_float, default=12.0, help="pictures a second")
    parser.add_argument("--width", type=positive_int, default=640, help="pixels")
    parser.add_argument("--height", type=positive_int, default=480, help="pixels")
    parser.add_argument("--seed", type=not_negative_int, default=1)
    parser.add_argument("--split", choices=SPLITS, default="held_out", help="whose floors, walls and lights")
    parser.add_argument("--b-frames", type=not_negative_int, default=0, help="consecutive B-frames allowed")
    parser.add_argument("--truth", type=Path, help="JSON file for objects, events and who is visible when")
    return parser


class FilmedTruth:
    """Passes the frames of a stream on and notes who is visible in each second and what happens."""

    def __init__(self, stream: SyntheticStream) -> None:
        self.stream = stream
        self.seconds: list[set[int]] = []
        self.events: list[dict] = []

    def film(self) -> Iterator[np.ndarray]:
        """The frames, in order."""
        for index, (frame, _, rows) in enumerate(self.stream):
            second = int(index / self.stream.fps)
            if second == len(self.seconds):
                self.seconds.append(set())
            self.seconds[second].update(number for number, _, visible_px, _ in rows if visible_px > 0)
            self.events += [{"number": number, **asdict(event)} for number, event in self.stream.events]
            yield frame

    def as_json(self, options: argparse.Namespace) -> dict:
        """Plain values: how it was made, objects, events, visible objects for each second."""
        keys = ("seed", "split", "seconds", "fps", "width", "height")
        return {
            "made_with": {key: getattr(options, key) for key in keys},
            "objects": [_as_row(known) for known in self.stream.truth.values()],
            "events": self.events,
            "visible_each_second": [sorted(numbers) for numbers in self.seconds],
        }


def _as_row(known: StreamObject) -> dict:
    row = asdict(known)
    return {"number": row.pop("number"), "class": row.pop("class_name"), **row}


if __name__ == "__main__":
    main()
