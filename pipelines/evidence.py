"""A clip's evidence: pictures and masklets in one safetensors object, from which words can be made again.

Pictures are JPEG bytes at the size they were tracked at, masks are packed bits, everything else is JSON in the
file's metadata. The same tracked clip gives the same bytes.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from operators.types import Masklet, TrackedClip
from pipelines.pictures import from_jpeg, to_jpeg

SCHEMA = "streamrefer.evidence.1"
_MAX_HEADER_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen in a clip. ``pictures``: RGB uint8 [H, W, 3] each; ``times_s`` camera time of each."""

    camera_id: str
    epoch: int
    clip_index: int
    start_s: float
    end_s: float
    pictures: tuple[np.ndarray, ...]
    times_s: tuple[float, ...]
    pts_s: tuple[float, ...]
    masklets: tuple[Masklet, ...]
    opened: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    closed: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(tracked: TrackedClip) -> Evidence:
        """The evidence of a tracked clip, pictures uncompressed."""
        clip = tracked.clip
        return Evidence(
            clip.camera_id,
            clip.epoch,
            clip.index,
            clip.start_s,
            clip.end_s,
            tuple(frame.pixels for frame in clip.frames),
            tuple(frame.time_s for frame in clip.frames),
            tuple(frame.pts_s for frame in clip.frames),
            tracked.masklets,
            tracked.opened,
            tracked.hidden,
            tracked.returned,
            dict(tracked.closed),
        )

    def to_bytes(self) -> bytes:
        tensors = {
            f"picture.{i:03d}": np.frombuffer(to_jpeg(picture), np.uint8)
            for i, picture in enumerate(self.pictures)
        }
        for i, masklet in enumerate(self.masklets):
            tensors[f"masks.{i:03d}"] = np.packbits(masklet.masks.reshape(len(masklet.masks), -1), axis=1)
            tensors[f"boxes.{i:03d}"] = np.ascontiguousarray(masklet.boxes)
            tensors[f"scores.{i:03d}"] = np.ascontiguousarray(masklet.scores)
            if masklet.embedding is not None:
                tensors[f"embedding.{i:03d}"] = np.ascontiguousarray(masklet.embedding, dtype=np.float32)
        return save(tensors, metadata={"evidence": json.dumps(self._header(), sort_keys=True)})

    @staticmethod
    def from_bytes(data: bytes) -> Evidence:
        """Raises ValueError when the bytes are no evidence of this schema."""
        try:
            header = _read_header(data)
            tensors = load(data)
            count = len(header["times_s"])
            return Evidence(
                header["camera_id"],
                header["epoch"],
                header["clip_index"],
                header["start_s"],
                header["end_s"],
                tuple(from_jpeg(tensors[f"picture.{i:03d}"].tobytes()) for i in range(count)),
                tuple(header["times_s"]),
                tuple(header["pts_s"]),
                tuple(_masklet(facts, i, tensors) for i, facts in enumerate(header["masklets"])),
                tuple(header["opened"]),
                tuple(header["hidden"]),
                tuple(header["returned"]),
                header["closed"],
            )
        except (SafetensorError, KeyError, TypeError, OSError) as error:
            raise ValueError(f"evidence cannot be read: {type(error).__name__}: {error}") from error

    def _header(self) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "camera_id": self.camera_id,
            "epoch": self.epoch,
            "clip_index": self.clip_index,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "times_s": self.times_s,
            "pts_s": self.pts_s,
            "opened": self.opened,
            "hidden": self.hidden,
            "returned": self.returned,
            "closed": dict(self.closed),
            "masklets": [
                {
                    "track_id": masklet.track_id,
                    "state": masklet.state,
                    "born_at": masklet.born_at,
                    "shape": masklet.masks.shape,
                }
                for masklet in self.masklets
            ],
        }


@dataclass(frozen=True, slots=True)
class Look:
    """A track's best look in a clip: picture position, JPEG of the cut-out, PNG of the mask cut alike."""

    track_id: str
    position: int
    crop: bytes
    mask: bytes


def best_look(tracked: TrackedClip, masklet: Masklet, margin: float = 0.12) -> Look | None:
    """Where the track is seen best (score, size, away from the border); None when it is not seen at all."""
    visible = np.flatnonzero(masklet.visible)
    if not len(visible):
        return None
    boxes = masklet.boxes[visible]
    area = masklet.masks[visible].mean(axis=(1, 2))
    inside = (boxes[:, :2] > 0.01).all(axis=1) & (boxes[:, 2:] < 0.99).all(axis=1)
    worth = masklet.scores[visible] * np.sqrt(area) * np.where(inside, 1.0, 0.5)
    position = int(visible[int(worth.argmax())])
    picture = tracked.clip.frames[position].pixels
    x0, y0, x1, y1 = _cut(masklet.boxes[position], picture.shape[1], picture.shape[0], margin)
    mask = Image.fromarray(masklet.masks[position]).resize(
        (picture.shape[1], picture.shape[0]), Image.Resampling.NEAREST
    )
    crop = _encode(Image.fromarray(picture[y0:y1, x0:x1]), "JPEG", quality=90)
    return Look(masklet.track_id, position, crop, _encode(mask.crop((x0, y0, x1, y1)), "PNG"))


def _cut(box: np.ndarray, width_px: int, height_px: int, margin: float) -> tuple[int, int, int, int]:
    """Pixel borders of a normalised box with a margin around, inside the picture and never empty."""
    pad_x, pad_y = margin * (box[2] - box[0]), margin * (box[3] - box[1])
    x0 = int(np.clip(np.floor((box[0] - pad_x) * width_px), 0, width_px - 2))
    y0 = int(np.clip(np.floor((box[1] - pad_y) * height_px), 0, height_px - 2))
    x1 = int(np.clip(np.ceil((box[2] + pad_x) * width_px), x0 + 2, width_px))
    y1 = int(np.clip(np.ceil((box[3] + pad_y) * height_px), y0 + 2, height_px))
    return x0, y0, x1, y1


def _encode(image: Image.Image, form: str, **options: int) -> bytes:
    target = io.BytesIO()
    image.save(target, form, **options)
    return target.getvalue()


def _masklet(facts: Mapping, i: int, tensors: Mapping[str, np.ndarray]) -> Masklet:
    count, height, width = facts["shape"]
    bits = np.unpackbits(tensors[f"masks.{i:03d}"], axis=1, count=height * width)
    return Masklet(
        facts["track_id"],
        bits.reshape(count, height, width).astype(bool),
        tensors[f"boxes.{i:03d}"],
        tensors[f"scores.{i:03d}"],
        facts["state"],
        facts["born_at"],
        tensors.get(f"embedding.{i:03d}"),
    )


def _read_header(data: bytes) -> dict:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 0 < size <= min(_MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError("evidence: not a safetensors file")
    try:
        header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["evidence"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"evidence: its header cannot be read: {error}") from error
    if header.get("schema") != SCHEMA:
        raise ValueError(f"evidence: schema {header.get('schema')!r}, this version reads {SCHEMA!r}")
    return header


def safe_name(text: str) -> str:
    """Text as one part of an object's name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)
