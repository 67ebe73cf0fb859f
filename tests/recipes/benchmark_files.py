"""Small data sets in the formats of the public benchmarks, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fakes.video import encode, squares

HEIGHT, WIDTH = 96, 128
FPS = 8


def film(path: Path, pictures: int = 24) -> None:
    """A film of moving squares."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(squares(pictures), [i / FPS for i in range(pictures)]))


def pictures(folder: Path, count: int = 6) -> list[str]:
    """A folder of JPEG pictures of moving squares; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{at:05d}.jpg" for at in range(count)]
    for name, picture in zip(names, squares(count), strict=True):
        Image.fromarray(picture).save(folder / name)
    return names


def runs(left: int, top: int, right: int, bottom: int) -> dict:
    """A filled box as COCO's run lengths, in numbers."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top:bottom, left:right] = 1
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, len(flat)]).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": [0, *counts] if flat[0] else counts}


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def bench_d(folder: Path) -> None:
    """Two descriptions; the second one's video is missing."""
    film(folder / "Panda-70M-part" / "one.mkv")
    masks = {"3": {"segmentation": runs(8, 12, 40, 40)}, "9": {"segmentation": runs(20, 12, 50, 40)}}
    entry = {
        "id": 0,
        "video": "one.mkv",
        "caption": "A square moves right.",
        "frame_idx": "9",
        "annotation": [masks],
    }
    _write(folder / "VideoRefer-Bench-D.json", [entry, entry | {"id": 1, "video": "two.mkv"}])


def bench_q(folder: Path) -> None:
    """Two questions on a folder of pictures, the second about two objects."""
    pictures(folder / "DAVIS" / "clip")
    mask = {"2": {"segmentation": runs(8, 12, 40, 40)}}
    entry = {
        "id": 0,
        "video": "DAVIS/clip",
        "Question": "What is <object0><region> doing?",
        "type": "Basic Questions",
        "options": ["(A) Moving", "(B) Resting", "(C) Singing", "(D) Falling"],
        "Answer": "(A) Moving",
        "frame_idx": "2",
        "annotation": [mask],
    }
    two = {"Question": "Does <object0><region> meet <object1><region>?", "annotation": [mask, mask]}
    _write(
        folder / "VideoRefer-Bench-Q.json", [entry, entry | two | {"id": 1, "type": "Relationship Questions"}]
    )


def hc_stvg(folder: Path, every: bool = False) -> None:
    """One caption, with one mask or with all."""
    film(folder / "video_parts" / "one.mkv")
    if not every:
        entry = {
            "video": "one.mkv",
            "caption": "A square moves.",
            "frame_idx": 4,
            "mask": runs(8, 12, 40, 40),
        }
        _write(folder / "hc_stvg_val.json", [entry, entry | {"caption": "It rests."}])
        return
    masks = {"4": runs(8, 12, 40, 40), "8": runs(0, 0, 0, 0), "12": runs(30, 12, 60, 40)}
    turns = [{"value": "Describe it."}, {"value": "A square moves."}]
    _write(
        folder / "hc-stvg-val-allframe.json",
        [{"video": ["one.mkv"], "masks": [masks], "conversations": turns}],
    )


def dlc(folder: Path) -> None:
    """One region of one picture; a second region has no questions."""
    pictures(folder / "images", 1)
    region = {"id": 7, "image_id": 1, "segmentation": [[8.0, 12.0, 40.0, 12.0, 40.0, 40.0, 8.0, 40.0]]}
    listing = {"images": [{"id": 1, "file_name": "00000.jpg"}], "annotations": [region, region | {"id": 8}]}
    _write(folder / "annotations.json", listing)
    positive = {
        "question": "Is it red?",
        "type": "positive",
        "choices": [["Red", 1], ["Blue", -1], ["Unsaid", 0]],
    }
    negative = {"question": "Has it wheels?", "type": "negative", "choices": [["Yes", -1], ["No", 1]]}
    _write(folder / "qa.json", {"7": [positive, negative]})
    _write(folder / "class_names.json", {"7": "square"})


def eoc(folder: Path) -> None:
    """A choice of one, a choice of several, a time."""
    film(folder / "videos" / "1.mkv")
    entry = {
        "idx": 0,
        "video_path": "1.mkv",
        "question": "What will <object 0> do?",
        "answer": ["A"],
        "choices": {"a": "Move", "b": "Rest"},
        "choice_type": "single-choice",
        "video_type": "State Change Prediction",
        "box": [[8, 12, 40, 40]],
    }
    several = {"idx": 1, "answer": ["A", "B"], "video_type": "Object Relationship"}
    timed = {"idx": 2, "answer": ["2.5 seconds"], "choice_type": "open-ended"}
    timed |= {"video_type": "Absolute Time Perception", "question": "When did <object 0> start?"}
    timed_entry = {key: value for key, value in (entry | timed).items() if key != "choices"}
    _write(folder / "meta_infos.json", [entry, entry | several, timed_entry])


def pam(folder: Path) -> None:
    """One video of two events."""
    names = pictures(folder / "frames" / "v1")
    events = [
        {"event_id": 1, "frames": names[:4], "gt": "A square appears.", "box": [[8.0, 12.0, 24.0, 24.0]]},
        {"event_id": 2, "frames": names[4:], "gt": " It moves on.", "box": [[12.0, 12.0, 24.0, 24.0]]},
    ]
    line = json.dumps({"type": "video", "image_root": "/elsewhere/frames/v1", "annotations": events})
    (folder / "input.jsonl").write_text(line + "\n", encoding="utf-8")
