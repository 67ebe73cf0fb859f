"""Score the narrator over long synthetic streams: what it tells, what is worth telling, whether names stay.

    python -m recipes.evaluate_continuity --streams 4 --minutes 2 --seed 1 --json

The narrator's own pipeline (decision, question, verdict, memory) runs in this process on the embedded captioner;
tracks are true masks outlined roughly, under ids that never change, so that the narrator is judged, not the tracker.
Three ways to name an object are compared on the same answers: ``no history`` (by whatever was heard last), ``card``
(by its first name, for ever) and ``card + refresh`` (as in service: by votes, with corrections). A second pass puts a
wrong name into the memory of every object after its first sentence. Keys of the JSON output, per setting:

- ``recall``: share of the true ``changes`` told in their clip or the next; ``recall_of``: by kind (appears, does
  something else, gone, back after 2 s or more);
- ``precision``: share of ``sentences`` that are right in name (``name_right``; vaguer is right, too) and fact
  (``fact_right``: event and direction) and say something new (``new``) after the sentence before;
- ``same_name_over_occlusion``: of ``occlusions`` (of any length) between two sentences, the share with one name
  before and after; ``renamed_without_correction``: share of neighbouring sentences whose names differ unannounced;
- ``sentences_per_object_minute``, ``questions_per_object_minute``, ``heartbeats_per_object_minute``: per minute in
  which an object is seen; ``kinds``: how many records of each kind;
- ``wrong_repeats_per_plant``: later sentences with the wrong name that was put in (``plants`` of them);
  ``plants_corrected``: share of plants after which another name was spoken; ``seconds_to_correction``: mean, of these.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from contracts.narrations import Narration
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.questions import LONG_SIDE_PX, MAX_FRAMES, MOST_NEIGHBOURS, PROMPT_VERSION, question
from operators.describe import DescribeSettings, Naming, TrackMemory
from operators.wording import renamed
from pipelines.asking import Asking
from recipes.arguments import add_scoring, add_streams, recipe_parser, told_in_one_line
from recipes.captioner.clips import FPS
from recipes.continuity.counting import Counts, Plant, Said
from recipes.continuity.footage import stream_clips
from recipes.continuity.narrator import LocalCaptioner, Scene, believing, narrate, scene_of
from recipes.continuity.tracks import TruthTracker
from recipes.continuity.truth import TrackTruth, truths
from synthetic.palette import COLOURS
from synthetic.shapes import CLASSES

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "captioner-embedded"
SEED_BASE = 60_000_000
"""Far from any seed that training uses; held-out floors, walls and lights differ besides."""
SETTINGS: dict[str, Naming] = {"no history": "fresh", "card": "card", "card + refresh": "refreshed"}
ASKING = Asking(
    question=lambda end_s, near: question("detail", end_s, near),
    prompt_version=PROMPT_VERSION,
    questions="own",
    frames=MAX_FRAMES,
    neighbours=MOST_NEIGHBOURS,
    long_side_px=LONG_SIDE_PX,
)
"""As the narrator's own settings put questions."""
TABLE = (
    "recall precision name_right fact_right new same_name_over_occlusion renamed_without_correction "
    "sentences_per_object_minute questions_per_object_minute heartbeats_per_object_minute "
    "wrong_repeats_per_plant plants_corrected seconds_to_correction"
).split()


@dataclass(frozen=True)
class Stream:
    """One camera's clips as the narrator takes them, and the truth of its tracks by id."""

    scenes: Sequence[Scene]
    truth: dict[str, TrackTruth]


def make_stream(seed: int, minutes: float, split: str, rough: bool) -> Stream:
    """The stream of a seed; masks as rough as a small tracker's, or exact."""
    camera_id = f"stream-{seed}"
    tracker = TruthTracker(camera_id, seed, rough)
    scenes, clips = [], []
    for clip in stream_clips(seed, minutes, split):
        scenes.append(scene_of(camera_id, clip, *tracker.follow(clip)))
        clips.append(clip)
    return Stream(scenes, {tracker.track_id(number): truth for number, truth in truths(clips).items()})


@dataclass
class Planter:
    """Puts a wrong name into the memory of every track after its first sentence."""

    plants: dict[str, Plant] = field(default_factory=dict)

    def __call__(self, clip: int, memories: dict[str, TrackMemory]) -> dict[str, TrackMemory]:
        """The memories after a clip, tampered with."""
        return {track: self._planted(clip, track, memory) for track, memory in memories.items()}

    def _planted(self, clip: int, track: str, memory: TrackMemory) -> TrackMemory:
        wrong = wrong_name(memory.label)
        if track in self.plants or wrong is None or memory.kind != "new":
            return memory
        self.plants[track] = Plant(clip, memory.spoken_at_s or 0.0, wrong)
        return believing(memory, wrong, renamed(memory.text or "", wrong) or "")


def wrong_name(label: str | None) -> str | None:
    """Another colour and another class than those of a label; None for a label of other words."""
    colour, _, kind = (label or "").partition(" ")
    if colour not in COLOURS or kind not in CLASSES:
        return None
    other = COLOURS[(COLOURS.index(colour) + 1) % len(COLOURS)]
    return f"{other} {CLASSES[(CLASSES.index(kind) + 1) % len(CLASSES)]}"


def evaluate(captioner: LocalCaptioner, streams: Sequence[Stream], base: DescribeSettings) -> dict[str, dict]:
    """The figures of every setting over the same streams."""
    found = {}
    for name, naming in SETTINGS.items():
        settings, counts = replace(base, naming=naming), Counts()
        for stream in streams:
            count(counts, stream, narrate(stream.scenes, captioner, ASKING, settings))
            planter = Planter()
            said = narrate(stream.scenes, captioner, ASKING, settings, planter)
            for track, plant in planter.plants.items():
                counts.add_planted(plant, records_of(said, track))
        found[name] = counts.report()
    return found


def count(counts: Counts, stream: Stream, said: Sequence[Narration]) -> None:
    """Add every track of one stream."""
    for track, truth in stream.truth.items():
        counts.add(truth, records_of(said, track), FPS)


def records_of(said: Sequence[Narration], track: str) -> list[Said]:
    """What was recorded of one track, in order."""
    return [
        Said(int(n.clip_id[-6:]), n.kind, n.text, n.end_s, n.tokens.output > 0)
        for n in said
        if n.track_ids == [track]
    ]


def print_table(figures: dict[str, dict]) -> None:
    """One row a figure, one column a setting."""
    print(f"{'':32}" + "".join(f"{name:>16}" for name in figures))
    for key in TABLE:
        print(f"{key:32}" + "".join(f"{figures[name][key]!s:>16}" for name in figures))
    for key in ("changes", "sentences", "occlusions", "plants"):
        print(f"{key:32}" + "".join(f"{figures[name][key]!s:>16}" for name in figures))


def main() -> None:
    """Command line."""
    parser = recipe_parser("evaluate_continuity", __doc__)
    add_streams(parser)
    add_scoring(parser, WEIGHTS)
    parser.add_argument("--masks", choices=("true", "rough"), default="rough")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    with told_in_one_line(parser):
        network = Captioner.load(chosen.weights, chosen.device)
    begun = time.perf_counter()
    seeds = [SEED_BASE + chosen.seed * 1000 + number for number in range(chosen.streams)]
    streams = [make_stream(seed, chosen.minutes, chosen.split, chosen.masks == "rough") for seed in seeds]
    captioner = LocalCaptioner(network)
    figures = evaluate(captioner, streams, DescribeSettings())
    seconds = round(time.perf_counter() - begun, 1)
    run = {name: getattr(chosen, name) for name in ("streams", "minutes", "seed", "split", "masks")}
    if chosen.json:
        print(json.dumps({**run, "weights": str(chosen.weights), "seconds": seconds, **figures}, indent=1))
        return
    print_table(figures)
    print(f"\n{run}, {seconds} s")


if __name__ == "__main__":
    main()
