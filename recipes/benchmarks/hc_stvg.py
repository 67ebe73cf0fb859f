"""HC-STVG captions: a brief description of a marked person in a video.

Files, as the published evaluation reads them: ``hc_stvg_val.json`` (``video``, ``caption``, ``frame_idx``, ``mask``) or
``hc-stvg-val-allframe.json`` (``video`` a list, ``masks`` one mapping an object from picture number to run lengths, the
caption in the second of ``conversations``), videos in ``video_parts/`` or beside the file. The field names come from
that evaluation's code; the files themselves were not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from recipes.benchmarks.items import (
    FormatError,
    Framework,
    Item,
    Reading,
    Seen,
    entries,
    find,
    need,
    picture_number,
    seen_of,
)

ASK: dict[Framework, str] = {
    "pixelrefer": "Please describe the object <region> in brief in the video.",
    "pixelreferlite": "There is one object in the video: <region>. Please give a description of the highlighted "
    "object in the video. Using only one sentence.",
}
SINGLE, ALL = "hc_stvg_val.json", "hc-stvg-val-allframe.json"


def read_hc_stvg(folder: Path, reading: Reading) -> Iterator[Item]:
    """The captions asked for. Raises FormatError."""
    path = find(folder, *((SINGLE, ALL) if reading.masks == "single" else (ALL, SINGLE)))
    videos = find(folder, "video_parts", ".")
    for number, (where, entry) in enumerate(entries(path, reading.limit)):
        yield Item(
            key=str(entry.get("id", number)),
            source=videos / _video(entry, where),
            question=ASK[reading.framework],
            seen=_seen(entry, reading, where),
            reference=_caption(entry, where),
        )


def _video(entry: Mapping, where: str) -> str:
    named = need(entry, "video", (str, list), where)
    first = named[0] if isinstance(named, list) and named else named
    if not isinstance(first, str):
        raise FormatError(f"{where}: field 'video' names no file")
    return first


def _seen(entry: Mapping, reading: Reading, where: str) -> tuple[Seen, ...]:
    if entry.get("mask"):
        return (Seen(picture_number(entry.get("frame_idx"), where), 0, entry["mask"]),)
    found = seen_of(need(entry, "masks", list, where), None, where, inner=None)
    return found[:1] if reading.masks == "single" else found


def _caption(entry: Mapping, where: str) -> str:
    if isinstance(entry.get("caption"), str):
        return entry["caption"]
    turns = need(entry, "conversations", list, where)
    if len(turns) < 2 or not isinstance(turns[1], Mapping):
        raise FormatError(f"{where}: no caption and no second turn of a conversation")
    return need(turns[1], "value", str, where)
