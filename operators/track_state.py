"""A tracker's snapshot: a plain value, and its bytes (arrays with a JSON header, never pickle)."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from operators.lifecycle import Track
from operators.motion import MotionState

SCHEMA = "streamrefer.tracker.1"


@dataclass(frozen=True, slots=True)
class TrackerState:
    """Everything a tracker needs to go on after the newest clip; ``segmenter`` is the session's own state."""

    camera_id: str
    segmenter: bytes
    epoch: int | None = None
    next_key: int = 1
    next_number: int = 1
    since_grid: int | None = None  # frames since the last search by clicks, None before the first
    since_motion: int = 0
    cut: bool = False  # the next clip shows another scene
    tracks: tuple[Track, ...] = ()
    twins: dict[tuple[int, int], int] = field(default_factory=dict)
    motion: MotionState = field(default_factory=MotionState)
    masks: dict[int, np.ndarray] = field(default_factory=dict)  # of opened tracks in view, bool [h, w] by key
    notes: dict[str, Any] = field(default_factory=dict)  # the pipeline's own, plain JSON values

    def to_bytes(self) -> bytes:
        """The state as an ``npz`` archive."""
        plain = (
            "camera_id",
            "epoch",
            "next_key",
            "next_number",
            "since_grid",
            "since_motion",
            "cut",
            "notes",
        )
        header = {
            "schema": SCHEMA,
            **{name: getattr(self, name) for name in plain},
            "tracks": [asdict(track) for track in self.tracks],
            "twins": [[*pair, count] for pair, count in self.twins.items()],
            "mask_widths": [[key, mask.shape[1]] for key, mask in self.masks.items()],
            "motion": {
                "offsets": self.motion.offsets,
                "pushes": self.motion.pushes,
                "moving": self.motion.moving,
            },
        }
        arrays = {f"ground{at}": picture for at, picture in enumerate(self.motion.ground)}
        arrays |= {f"mask{key}": np.packbits(mask, axis=1) for key, mask in self.masks.items()}
        if self.motion.before is not None:
            arrays["before"] = self.motion.before
        arrays["segmenter"] = np.frombuffer(self.segmenter, np.uint8)
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, state: bytes) -> TrackerState:
        """Read :meth:`to_bytes`. Raises ValueError when the bytes are no tracker state of this schema."""
        try:
            with np.load(io.BytesIO(state), allow_pickle=False) as archive:
                arrays = dict(archive)
            header = json.loads(arrays["header"].tobytes())
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"tracker state: cannot be read ({error})") from error
        schema = header.pop("schema", None)
        if schema != SCHEMA:
            raise ValueError(f"tracker state: schema {schema!r}, this version reads {SCHEMA!r}")
        facts = header.pop("motion")
        offsets = tuple((rows, columns) for rows, columns in facts["offsets"])
        ground = tuple(arrays[f"ground{at}"] for at in range(len(offsets)))
        moving = tuple((tuple(box), count) for box, count in facts["moving"])
        motion = MotionState(ground, offsets, arrays.get("before"), facts["pushes"], moving)
        tracks = tuple(
            Track(**{**fields, "box": tuple(fields["box"]), "look": tuple(fields["look"])})
            for fields in header.pop("tracks")
        )
        twins = {(older, younger): count for older, younger, count in header.pop("twins")}
        masks = {
            key: np.unpackbits(arrays[f"mask{key}"], axis=1, count=width).astype(bool)
            for key, width in header.pop("mask_widths")
        }
        memory = arrays["segmenter"].tobytes()
        return cls(segmenter=memory, tracks=tracks, twins=twins, motion=motion, masks=masks, **header)
