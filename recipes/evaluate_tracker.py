"""Score the embedded tracker on freshly drawn worlds, through the session that serves.

    python -m recipes.evaluate_tracker --worlds 30 --seed 7 --json [--weights DIR] [--split held_out]
        [--memory-policy NAME] [--frames 16]

Clips of 16 frames (or as many as asked for) at 4 frames/s, 320x240. Objects with at least 60 px on frame 0 are judged,
on all later frames; scores are means over objects. J and F as in DAVIS, at the world's size. What stands still
throughout asks nothing of a tracker, so the first figures are of objects whose path on the floor is longer than 0.15 m.
Keys of the JSON line:

jf, j, f        from one point on frame 0, the object's pixel deepest from its border
jf_box          from the object's box on frame 0
jf_copy         the baseline: the TRUE mask of frame 0 on every frame
moving          how many objects those figures are of
jf_all, jf_box_all, jf_copy_all   the same over all judged objects
absent_accuracy of the frames on which a judged object shows no pixel, the share called absent (null if none)
present_accuracy of the frames on which it shows at least 30 px, the share called present
background_rejection     of clicks on the background (4 a world), the share with an object score <= 0
discovery_recall         of the judged objects, the share found on frame 0 by ``operators.discover`` (IoU at least 0.5)
discovery_false_per_frame  what else was found on frame 0, per world
worlds, objects, seed, split, frames, memory_policy   what was judged, and how objects were remembered
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from modeling.sam2.policy import POLICIES
from modeling.sam2.segmenter import DEFAULT_POLICY, load_segmenter
from modeling.sam2.session import Sam2Session
from operators.discover import DiscoverSettings, discover, grid_points
from operators.types import Prompt
from recipes.arguments import add_scoring, add_worlds, positive_int, recipe_parser, told_in_one_line
from recipes.tracker.prompts import deepest
from recipes.tracker.scores import region_score, track_scores
from synthetic.truth import SyntheticClip
from synthetic.world import sample_clip

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "tracker-embedded"
WIDTH, HEIGHT, FRAMES, FPS = 320, 240, 16, 4.0
JUDGED_PX, CLEAR_PX, BACKGROUND_CLICKS, MOST_FOUND = 60, 30, 4, 16
MOVED_M = 0.15
FIRST_WORLD = 1_000_000  # evaluation seeds start here, apart from those of training

Open = Callable[[tuple[int, int]], Sam2Session]
Figures = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Tracked:
    """One object followed through a clip: masks bool [T, H, W] and object scores (logits) [T]."""

    masks: np.ndarray
    presence: np.ndarray


def evaluate(
    open_session: Open,
    worlds: int,
    seed: int,
    split: str,
    settings: DiscoverSettings,
    frames: int = FRAMES,
) -> dict[str, object]:
    """The figures of the module's page for ``worlds`` worlds."""
    figures: Figures = {}
    for number in range(worlds):
        clip_seed = FIRST_WORLD + seed * 10_000 + number
        clip = sample_clip(clip_seed, split, WIDTH, HEIGHT, frames, FPS)
        judge(open_session, clip, np.random.default_rng(clip_seed), settings, figures)
    means = {name: round(float(np.mean(values)), 4) if values else None for name, values in figures.items()}
    counts = {"moving": len(figures.get("jf", [])), "objects": len(figures.get("jf_all", []))}
    return {**means, "worlds": worlds, **counts, "seed": seed, "split": split, "frames": frames}


def judge(
    open_session: Open,
    clip: SyntheticClip,
    rng: np.random.Generator,
    settings: DiscoverSettings,
    figures: Figures,
) -> None:
    """Add one world's figures."""
    numbers = [k + 1 for k in range(len(clip.objects)) if (clip.ids[0] == k + 1).sum() >= JUDGED_PX]
    truths = [clip.ids == number for number in numbers]
    by_point = follow(open_session, clip.frames, [_point(*deepest(truth[0])) for truth in truths])
    by_box = follow(open_session, clip.frames, [_box(truth[0]) for truth in truths])
    moving = [_path_m(clip.objects[number - 1].ground) > MOVED_M for number in numbers]
    for truth, point, box, moves in zip(truths, by_point, by_box, moving, strict=True):
        _judge_object(truth, point, box, moves, figures)
    session = open_session((HEIGHT, WIDTH))
    session.begin_clip([clip.frames[0]])
    session.step()
    _judge_background(session, clip.ids[0], rng, figures)
    _judge_discovery(session, clip.ids[0], truths, settings, figures)


def follow(open_session: Open, frames: np.ndarray, prompts: list[Prompt]) -> list[Tracked]:
    """Follow what the prompts mark on the first of ``frames``, uint8 [T, H, W, 3], as the tracker service does."""
    session = open_session((HEIGHT, WIDTH))
    session.begin_clip(list(frames))
    session.step()
    steps = {key: [step] for key, step in map(session.add_object, prompts)}
    for _ in range(1, len(frames)):
        for key, step in session.step().items():
            steps[key].append(step)
    return [
        Tracked(np.stack([s.mask for s in taken]), np.array([s.presence for s in taken]))
        for taken in steps.values()
    ]


def _path_m(ground: np.ndarray) -> float:
    """Length of a path on the floor, from places float [T, 2]."""
    return float(np.linalg.norm(np.diff(ground, axis=0), axis=1).sum())


def _judge_object(truth: np.ndarray, point: Tracked, box: Tracked, moves: bool, figures: Figures) -> None:
    later = truth[1:]
    j, f = track_scores(point.masks[1:], later)
    boxed = sum(track_scores(box.masks[1:], later)) / 2
    copied = sum(track_scores(np.repeat(truth[:1], len(later), 0), later)) / 2
    scores = {"jf": (j + f) / 2, "j": j, "f": f, "jf_box": boxed, "jf_copy": copied}
    for name, score in scores.items() if moves else ():
        _add(figures, name, [score])
    for name in ("jf", "jf_box", "jf_copy"):
        _add(figures, f"{name}_all", [scores[name]])
    shown_px = truth.sum((1, 2))
    _add(figures, "absent_accuracy", (point.presence[shown_px == 0] <= 0).tolist())
    _add(figures, "present_accuracy", (point.presence[shown_px >= CLEAR_PX] > 0).tolist())


def _judge_background(
    session: Sam2Session, ids: np.ndarray, rng: np.random.Generator, figures: Figures
) -> None:
    rows, columns = np.nonzero(ids == 0)
    picks = rng.integers(len(rows), size=BACKGROUND_CLICKS)
    points = np.stack([(columns[picks] + 0.5) / WIDTH, (rows[picks] + 0.5) / HEIGHT], 1).astype(np.float32)
    found = session.candidates(points)
    _add(figures, "background_rejection", [float(each.presence <= 0) for each in found])


def _judge_discovery(
    session: Sam2Session,
    ids: np.ndarray,
    truths: list[np.ndarray],
    settings: DiscoverSettings,
    figures: Figures,
) -> None:
    answers = session.candidates(grid_points(settings.grid))
    found = [each.mask for each in discover(answers, [], settings, MOST_FOUND)]
    hits = [max((region_score(mask, truth[0]) for mask in found), default=0.0) >= 0.5 for truth in truths]
    _add(figures, "discovery_recall", [float(hit) for hit in hits])
    things = [ids == number for number in np.unique(ids) if number]
    matched = [any(region_score(mask, thing) >= 0.5 for thing in things) for mask in found]
    _add(figures, "discovery_false_per_frame", [float(len(found) - sum(matched))])


def _point(x: int, y: int) -> Prompt:
    place = np.array([[(x + 0.5) / WIDTH, (y + 0.5) / HEIGHT]], np.float32)
    return Prompt(points=place, labels=np.ones(1, np.int32))


def _box(mask: np.ndarray) -> Prompt:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    corners = (columns[0] / WIDTH, rows[0] / HEIGHT, (columns[-1] + 1) / WIDTH, (rows[-1] + 1) / HEIGHT)
    return Prompt(box=np.array(corners, np.float32))


def _add(figures: Figures, name: str, values: list[float]) -> None:
    figures.setdefault(name, []).extend(values)


def main() -> None:
    """Command line."""
    parser = recipe_parser("evaluate_tracker", __doc__)
    add_worlds(parser, worlds=30, seed=7)
    add_scoring(parser, WEIGHTS)
    parser.add_argument("--memory-policy", choices=tuple(POLICIES), default=DEFAULT_POLICY)
    parser.add_argument("--frames", type=positive_int, default=FRAMES, help="of each world's clip")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with told_in_one_line(parser):
        opened = load_segmenter(options.weights, options.device)
    policy = options.memory_policy
    scores = evaluate(
        lambda size: opened(size, policy),
        options.worlds,
        options.seed,
        options.split,
        DiscoverSettings(),
        options.frames,
    )
    result = {**scores, "memory_policy": policy}
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:26} {value}")


if __name__ == "__main__":
    main()
