"""How the tracker works, from ``STREAMREFER_TRACKER_*`` variables."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from contracts.cameras import MemoryPolicy
from operators.hardware import Hardware
from operators.track import TrackSettings
from pipelines.camera import StreamSettings
from services.settings import SettingsError
from services.tracker_tiers import tracker_folder

PREFIX = "STREAMREFER_TRACKER_"
EMBEDDED = Path(__file__).resolve().parents[2] / "weights" / "tracker-embedded"


class TrackerSettings(BaseModel):
    """Seconds are wall clock unless the description says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        default_factory=lambda: f"tracker-{socket.gethostname()}",
        description="this replica's name; two that run at once must differ",
    )
    group_id: str = "streamrefer-tracker"
    replicas: int = Field(1, ge=1, le=1000, description="on Ray Serve; more than partitions stay idle")
    weights: Path = Field(
        EMBEDDED,
        description="a tier of `streamrefer models list`, or a folder with config.json and weights.safetensors",
    )
    input_px: int | None = Field(
        None, ge=64, le=2048, multiple_of=32, description="input size; by default the weights' own"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1 ...; auto takes a GPU if there is one")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the network; auto is bfloat16 (mixed) on a GPU and float32 elsewhere"
    )
    compiled: bool = Field(
        False,
        description="compile what every picture needs before the replica is ready; for GPUs, takes minutes",
    )
    threads: int = Field(1, ge=1, le=256, description="for networks on the CPU, per replica")
    decode_threads: int = Field(1, ge=1, le=64)
    decode_hardware: str = Field(
        "off", description="off, auto, or a device of FFmpeg's (cuda, vaapi ...); software where it fails"
    )
    memory_policy: MemoryPolicy = Field("official", description="of cameras that name none")
    max_side_px: int = Field(640, ge=64, le=4096, description="pictures are kept no larger than this")
    mask_side_px: int = Field(256, ge=16, le=2048, description="longer side of masks")
    max_tracks: int = Field(8, ge=1, le=256, description="objects followed per camera; cost is linear in it")
    hidden_every: int = Field(
        1, ge=1, le=256, description="objects long out of view are looked for on every so-manieth picture"
    )
    detector: str = Field(
        "", max_length=1024, description="a detector's name or folder (docs/detectors.md); empty for none"
    )
    detector_every: int = Field(4, ge=1, le=1000, description="sampled frames between two questions to it")
    detector_deadline_s: float = Field(
        1.0, gt=0, le=2.0, description="longest wait for its answer; a clip is 4 s long"
    )
    stall_s: float = Field(10.0, gt=0, description="a silent camera's clip is closed after this long")
    thin_after_s: float = Field(
        20.0, ge=0, description="a camera this far behind is sampled more thinly; 0: never"
    )
    shed_after_s: float = Field(
        0.0, ge=0, description="clips of a camera this far behind become gaps, reason shed; 0: never"
    )
    session_timeout_s: float = Field(
        10.0, ge=1, le=300, description="a dead replica's cameras move on after this"
    )
    stuck_s: float = Field(180.0, gt=0, description="unhealthy after so long without a poll")

    def stream(self) -> StreamSettings:
        """The part that decoding and chunking know."""
        hardware = Hardware(self.decode_hardware)
        return StreamSettings(
            self.max_side_px,
            self.decode_threads,
            hardware,
            self.stall_s,
            self.thin_after_s,
            self.shed_after_s,
        )

    @field_validator("weights", mode="before")
    @classmethod
    def _known_weights(cls, named: object) -> object:
        return tracker_folder(named, EMBEDDED.parent) if isinstance(named, str) else named

    @field_validator("decode_hardware")
    @classmethod
    def _known_hardware(cls, kind: str) -> str:
        Hardware(kind)
        return kind

    def tracks(self) -> TrackSettings:
        """The part that following objects knows."""
        return TrackSettings(max_tracks=self.max_tracks, detect_every=self.detector_every)

    def model(self) -> str:
        """The weights' name and hash. Raises SettingsError when the folder holds none."""
        for name in ("config.json", "weights.safetensors"):
            if not (self.weights / name).is_file():
                raise SettingsError(
                    f"tracker weights: {self.weights / name} is not there; "
                    f"set {PREFIX}WEIGHTS to a folder with config.json and weights.safetensors"
                )
        with (self.weights / "weights.safetensors").open("rb") as file:
            name = f"{self.weights.name}@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"
        # Memories made at one input size are of no use at another.
        return name if self.input_px is None else f"{name}/{self.input_px}px"

    def size_warning(self) -> str:
        """What to know of an input size that is not the weights' own; empty where there is nothing to say."""
        try:
            tree = json.loads((self.weights / "config.json").read_text(encoding="utf-8"))
            own_px = tree.get("model", tree)["image_size"]
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return ""
        if self.input_px in (None, own_px):
            return ""
        return (
            f"{PREFIX}INPUT_PX is {self.input_px}, {self.weights.name} was trained at {own_px}: "
            "expect it to be less accurate, small things first, and try it on your own video"
        )


def load_tracker_settings(environ: Mapping[str, str] = os.environ, **given: object) -> TrackerSettings:
    """Variables, over which values ``given`` by the caller win. Raises SettingsError."""
    values = {
        name: environ[PREFIX + name.upper()]
        for name in TrackerSettings.model_fields
        if environ.get(PREFIX + name.upper())
    }
    try:
        return TrackerSettings.model_validate({**values, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(f"{PREFIX}{name.upper()}: {first['msg']}") from error
