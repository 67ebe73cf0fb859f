"""PAM's streaming set: a video cut into events, each described in its turn.

File: lines of JSON, one a video: ``image_root`` (folder of pictures) and ``annotations``, one an event in order, with
``event_id``, ``frames`` (names of pictures), ``gt`` (reference) and ``box`` ([[left, top, width, height]] in pixels, on
the event's first picture). Of ``image_root`` the last part counts, under ``frames/`` or beside the file. Scored are
METEOR and CIDEr over all events and the continuity of each video's events, 0 to 5, by a judge who sees all of them
beside the references. Not in the data: the time between pictures (taken as a second); masks (the box is filled, on the
first picture alone, where PAM itself tracks it). The wording of question and judge is our own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from recipes.benchmarks.items import FormatError, Framework, Item, Reading, Seen, need
from recipes.benchmarks.judge import Judge, score_in
from recipes.benchmarks.masks import BoxShape

ASK: dict[Framework, str] = {
    "pixelrefer": "Please describe what the object <region> does in the video, in one sentence.",
    "pixelreferlite": "There is one object in the video: <region>. Please describe what it does in one sentence.",
}
STEP_S = 1.0
RULES = (
    "Two sets of sentences describe the same video, one sentence for each stretch of it: the reference and a "
    "prediction. Rate how well the prediction holds together as one account, by the measure of the reference: does "
    "time run on; do actions follow from one another; does the subject stay the same person or thing; does the setting "
    'hold; is it free of contradictions. Reply with JSON only: {"continuity": N}, N from 0 (falls apart) to 5 '
    "(as continuous as the reference); halves are allowed."
)


def read_pam(folder: Path, reading: Reading) -> Iterator[Item]:
    """The events in order of videos and time. Raises FormatError."""
    path = _listing(folder)
    count = 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if not line.strip():
            continue
        where = f"{path.name}, line {number + 1}"
        try:
            video = json.loads(line)
        except ValueError as error:
            raise FormatError(f"{where}: cannot be read as JSON: {error}") from error
        for item in _events(path.parent, video, reading.framework, where):
            if reading.limit is not None and count >= reading.limit:
                return
            count += 1
            yield item


def _listing(folder: Path) -> Path:
    if folder.is_file():
        return folder
    found = sorted(folder.glob("*.jsonl"))
    if len(found) != 1:
        raise FormatError(f"{folder}: one .jsonl file is expected, not {len(found)}; name the file itself")
    return found[0]


def _events(folder: Path, video: Mapping, framework: Framework, where: str) -> Iterator[Item]:
    name = Path(need(video, "image_root", str, where)).name
    root = next(
        (place for place in (folder / "frames" / name, folder / name) if place.is_dir()), folder / name
    )
    for at, event in enumerate(need(video, "annotations", list, where)):
        place = f"{where}, event {at}"
        files = [str(file) for file in need(event, "frames", list, place)]
        boxes = need(event, "box", list, place)
        if not files or not boxes or not isinstance(boxes[0], list) or len(boxes[0]) != 4:
            raise FormatError(f"{place}: frames and a box [left, top, width, height] are needed")
        left, top, width, height = (float(value) for value in boxes[0])
        numbers = tuple(_number(root, files, place))
        yield Item(
            key=f"{name}/{event.get('event_id', at + 1)}",
            source=root,
            question=ASK[framework],
            seen=(Seen(numbers[0], 0, BoxShape((left, top, left + width, top + height))),),
            reference=need(event, "gt", str, place).strip(),
            facts={"video": name},
            scene=numbers,
            step_s=STEP_S,
        )


def _number(root: Path, files: Sequence[str], where: str) -> Iterator[int]:
    """Places of the pictures in the folder's order; a missing folder is met again when pictures are read."""
    order = {path.name: at for at, path in enumerate(sorted(root.iterdir()))} if root.is_dir() else {}
    for file in files:
        if root.is_dir() and file not in order:
            raise FormatError(f"{where}: {root} has no picture {file}")
        yield order.get(file, 0)


def judge_continuity(judge: Judge, records: Sequence[Mapping]) -> float | None:
    """Continuity of the answers about one video, 0..5; None when the judge gives no usable reply."""
    reference = "\n".join(f"{at + 1}. {record['reference']}" for at, record in enumerate(records))
    told = "\n".join(f"{at + 1}. {record['answer']}" for at, record in enumerate(records))
    text = f"Reference:\n{reference}\n\nPrediction:\n{told}"
    return judge.ask(RULES, text, lambda reply: score_in(reply, "continuity"))


def by_video(records: Sequence[Mapping]) -> list[list[Mapping]]:
    """Records of the same video together, in order."""
    found: dict[str, list[Mapping]] = {}
    for record in records:
        found.setdefault(record["facts"]["video"], []).append(record)
    return list(found.values())
