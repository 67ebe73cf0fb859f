"""A tracker's snapshot as stored objects: a main one, and parts that are written once and named by their content.

The main object is safetensors with a JSON header: tracks, rules' counters, small grey pictures of the ground, masks.
Parts are what the segmenter exports (its conditioning memories stay the same for as long as an object lives; its
recent memories are a new part after every clip) and, as JPEG, the pictures on which tracks were seen last. A part's
name is the hash of its bytes, so it can neither change nor be mistaken, and is put into the store only once.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from operators.glimpse import Glimpse
from operators.lifecycle import Track
from operators.motion import MotionState
from operators.track_state import TrackerState
from pipelines.pictures import from_jpeg, to_jpeg

log = logging.getLogger(__name__)

SCHEMA = "streamrefer.tracker.2"
_MAX_HEADER_BYTES = 1 << 22
_PLAIN = (
    "camera_id",
    "epoch",
    "next_key",
    "next_number",
    "since_grid",
    "since_motion",
    "searches",
    "cut",
    "notes",
)

Fetch = Callable[[str], bytes | None]
"""A stored part by its name, None when it is not there."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A snapshot's main object, and its parts by name; what is in ``parts`` never changes under its name."""

    main: bytes
    parts: Mapping[str, bytes]


def pack(state: TrackerState) -> Packed:
    """The snapshot as objects; the same state gives the same bytes."""
    named = {key: (_name(data, "safetensors"), data) for key, data in state.segmenter.items()}
    pictures = {seen.time_s: to_jpeg(seen.picture) for seen in state.glimpses.values()}
    stills = {time_s: (_name(data, "jpg"), data) for time_s, data in pictures.items()}
    header = {
        "schema": SCHEMA,
        **{name: getattr(state, name) for name in _PLAIN},
        "notes": dict(state.notes),
        "segmenter": {key: name for key, (name, _) in named.items()},
        "tracks": [asdict(track) for track in state.tracks],
        "twins": [[*pair, count] for pair, count in state.twins.items()],
        "apart": [[*pair, count] for pair, count in state.apart.items()],
        "motion": {
            "offsets": state.motion.offsets,
            "pushes": state.motion.pushes,
            "moving": state.motion.moving,
        },
        "glimpses": [
            [key, seen.mask.shape[1], seen.time_s, stills[seen.time_s][0]]
            for key, seen in state.glimpses.items()
        ],
    }
    main = save(_arrays(state), metadata={"tracker": json.dumps(header, sort_keys=True)})
    return Packed(main, dict((*named.values(), *stills.values())))


def read_header(main: bytes) -> dict[str, Any]:
    """What a main object says without its arrays. Raises ValueError when it is none of this schema."""
    size = int.from_bytes(main[:8], "little")
    if len(main) < 8 or not 0 < size <= min(_MAX_HEADER_BYTES, len(main) - 8):
        raise ValueError("tracker state: not a safetensors file")
    try:
        header = json.loads(json.loads(main[8 : 8 + size])["__metadata__"]["tracker"])
        schema = header["schema"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"tracker state: its header cannot be read ({error})") from error
    if schema != SCHEMA:
        raise ValueError(f"tracker state: schema {schema!r}, this version reads {SCHEMA!r}")
    return header


def part_names(header: Mapping[str, Any]) -> set[str]:
    """Names of all parts that a main object with this header belongs to."""
    return {*header["segmenter"].values(), *(name for *_, name in header["glimpses"])}


def unpack(main: bytes, fetch: Fetch) -> TrackerState:
    """The snapshot again; parts that are missing or damaged are logged and left out.

    Without one of its own parts a segmenter refuses its state; without its picture a track has no glimpse. Raises
    ValueError when the main object is none of this schema.
    """
    header = read_header(main)
    try:
        return _state(header, load(main), _Parts(fetch))
    except (SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"tracker state: cannot be read ({type(error).__name__}: {error})") from error


def _state(header: dict[str, Any], arrays: Mapping[str, np.ndarray], parts: _Parts) -> TrackerState:
    facts = header["motion"]
    offsets = tuple((rows, columns) for rows, columns in facts["offsets"])
    ground = tuple(arrays[f"ground.{at}"] for at in range(len(offsets)))
    moving = tuple((tuple(box), count) for box, count in facts["moving"])
    fetched = {key: parts.get(name) for key, name in header["segmenter"].items()}
    return TrackerState(
        **{name: header[name] for name in _PLAIN if name in header},  # some are younger than the schema
        segmenter={key: data for key, data in fetched.items() if data is not None},
        tracks=tuple(
            Track(**{name: tuple(x) if isinstance(x, list) else x for name, x in fields.items()})
            for fields in header["tracks"]
        ),
        twins={(older, younger): count for older, younger, count in header["twins"]},
        apart={(older, younger): count for older, younger, count in header.get("apart", [])},
        motion=MotionState(ground, offsets, arrays.get("before"), facts["pushes"], moving),
        glimpses=_glimpses(header["glimpses"], arrays, parts),
    )


def _glimpses(rows: list[list], arrays: Mapping[str, np.ndarray], parts: _Parts) -> dict[int, Glimpse]:
    pictures = {name: parts.picture(name) for name in sorted({name for *_, name in rows})}
    return {
        key: Glimpse(np.unpackbits(arrays[f"mask.{key}"], axis=1, count=width).astype(bool), picture, time_s)
        for key, width, time_s, name in rows
        if (picture := pictures[name]) is not None
    }


class _Parts:
    """Stored parts, each checked against its name."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch

    def get(self, name: str) -> bytes | None:
        data = self._fetch(name)
        if data is None or name != _name(data, name.rpartition(".")[2]):
            log.warning("tracker state: part %s is %s", name, "missing" if data is None else "damaged")
            return None
        return data

    def picture(self, name: str) -> np.ndarray | None:
        data = self.get(name)
        return None if data is None else from_jpeg(data)


def _arrays(state: TrackerState) -> dict[str, np.ndarray]:
    arrays = {f"ground.{at}": np.ascontiguousarray(x) for at, x in enumerate(state.motion.ground)}
    arrays |= {f"mask.{key}": np.packbits(seen.mask, axis=1) for key, seen in state.glimpses.items()}
    if state.motion.before is not None:
        arrays["before"] = np.ascontiguousarray(state.motion.before)
    return arrays


def _name(data: bytes, ending: str) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:40]}.{ending}"
