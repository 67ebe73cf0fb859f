"""How the narrator works, from ``STREAMREFER_NARRATOR_*`` variables."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError

from modeling.pixelrefer.history import previous_caption
from modeling.pixelrefer.profile import Profile
from modeling.pixelrefer.questions import question
from operators.describe import DescribeSettings
from pipelines.asking import Asking
from pipelines.narration import NarrationSettings
from services.settings import SettingsError

PREFIX = "STREAMREFER_NARRATOR_"
History = Literal["none", "previous"]
Compression = Literal["published", "2x2", "4x4", "4x4+carry"]


class NarratorSettings(BaseModel):
    """Seconds are of camera time unless the description says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        default_factory=lambda: f"narrator-{socket.gethostname()}",
        description="this replica's name; two that run at once must differ",
    )
    group_id: str = "streamrefer-narrator"
    budget_share: float = Field(0.8, gt=0, le=10, description="of a clip's duration, for its questions")
    behind_limit_s: float = Field(
        20.0, gt=0, description="older clips get first sights, losses, returns only"
    )
    answer_s: float = Field(20.0, gt=0, le=300, description="longest wait for one answer, wall clock")
    max_new_tokens: int | None = Field(None, ge=1, le=2048, description="as the captioner has it if not set")
    scene_frames: int | None = Field(
        None,
        ge=0,
        le=64,
        description="whole frames of a clip shown beside the object; as the captioner has it if not set",
    )
    compression: Compression = Field(
        "published", description="how the whole frames are shortened for the captioner"
    )
    compression_cameras: Json[dict[str, Compression]] = Field(
        default_factory=dict, description='JSON, cameras that differ: {"yard": "4x4"}'
    )
    quiet_limit_s: float = Field(15.0, gt=0, description="longest silence about an object in view")
    sentence_gap_s: float = Field(3.0, ge=0, description="between two sentences about one object")
    hidden_limit_s: float = Field(2.0, ge=0, description="shorter absences need no word on the return")
    label_clips: int = Field(8, ge=1, description="ask anew after so many clips without a change")
    history: History = Field("none", description="previous: tell the captioner its last sentence (PAM style)")
    history_cameras: Json[dict[str, History]] = Field(
        default_factory=dict, description='JSON, cameras that differ: {"yard": "previous"}'
    )
    stuck_s: float = Field(180.0, gt=0, description="unhealthy after so long without a poll, wall clock")

    def narration(self) -> NarrationSettings:
        """The part that the pipeline knows."""
        describe = DescribeSettings(
            quiet_limit_s=self.quiet_limit_s,
            sentence_gap_s=self.sentence_gap_s,
            hidden_limit_s=self.hidden_limit_s,
            label_clips=self.label_clips,
        )
        return NarrationSettings(
            describe=describe,
            budget_share=self.budget_share,
            behind_limit_s=self.behind_limit_s,
            answer_s=self.answer_s,
        )

    def asking(self, profile: Profile) -> Asking:
        """Pictures and their number as the captioner wants them; its questions are worded for each camera."""
        return Asking(
            question=lambda end_s, near: question("detail", end_s, near),
            prompt_version=profile.prompt_version,
            questions=profile.questions,
            frames=profile.frames,
            neighbours=profile.neighbours,
            long_side_px=profile.long_side_px,
            max_new_tokens=self.max_new_tokens or profile.max_new_tokens,
            history=self._history(),
            scene_frames=profile.scene_frames if self.scene_frames is None else self.scene_frames,
            compression=self.compression,
            compression_cameras=self.compression_cameras,
        )

    def _history(self) -> Callable[[str, str | None], str] | None:
        """How the last sentence is told to the captioner; None if no camera wants it."""
        if self.history == "none" and "previous" not in self.history_cameras.values():
            return None

        def told(camera_id: str, previous: str | None) -> str:
            chosen = self.history_cameras.get(camera_id, self.history)
            return previous_caption(previous) if chosen == "previous" else ""

        return told


def load_narrator_settings(environ: Mapping[str, str] = os.environ, **given: object) -> NarratorSettings:
    """Variables, over which values ``given`` by the caller win. Raises SettingsError."""
    values = {
        name: environ[PREFIX + name.upper()]
        for name in NarratorSettings.model_fields
        if environ.get(PREFIX + name.upper())
    }
    try:
        return NarratorSettings.model_validate({**values, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(f"{PREFIX}{name.upper()}: {first['msg']}") from error
