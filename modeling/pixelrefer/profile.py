"""How a captioner wants to be asked and shown things: it says so itself, to whoever is about to ask it.

The embedded captioner's profile is what it was trained with; that of the published checkpoints is how they were
evaluated, as far as it fits clips of some seconds. A ``profile`` block in a folder's ``config.json`` wins over both, so
that weights keep the profile with which they were trained.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from modeling.pixelrefer.config import Framework, framework_of
from modeling.pixelrefer.instructions import INSTRUCTIONS_VERSION, follows_instructions
from modeling.pixelrefer.questions import LONG_SIDE_PX, MAX_FRAMES, MOST_NEIGHBOURS, PROMPT_VERSION

Questions = Literal["own", "any"]
BLOCK = "profile"
"""Key of ``config.json``."""


@dataclass(frozen=True)
class Profile:
    """One captioner's way of being asked. Raises ValueError for values that mean nothing.

    Attributes:
        questions: ``own``, it knows those of `modeling.pixelrefer.questions` and no other; ``any``, it follows
            instructions.
        prompt_version: the wording of narrations' questions that it goes with.
        frames: most masked pictures of one object and clip.
        neighbours: most other objects shown with the one asked about.
        long_side_px: pictures are shrunk so that their longer side is at most this.
        scene_frames: most whole pictures of the clip shown besides; 0 where only objects are looked at.
        max_new_tokens: longest narration.
    """

    framework: Framework
    questions: Questions
    prompt_version: str
    frames: int
    neighbours: int
    long_side_px: int
    scene_frames: int = 0
    max_new_tokens: int = 64

    def __post_init__(self) -> None:
        if self.framework not in ("pixelrefer", "pixelreferlite") or self.questions not in ("own", "any"):
            raise ValueError(f"unknown framework or questions: {self.framework!r}, {self.questions!r}")
        for name, least in _COUNTS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")

    @property
    def any_question(self) -> bool:
        """Whether it follows instructions."""
        return self.questions == "any"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, block: Mapping[str, Any]) -> "Profile":
        """The inverse of ``to_json``; fields that are not known here are left out. Raises ValueError."""
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{name: value for name, value in block.items() if name in known})
        except (TypeError, AttributeError) as fault:
            raise ValueError(f"no captioner's profile: {fault}") from None


_COUNTS = {
    "frames": 1,
    "neighbours": 0,
    "long_side_px": 28,
    "scene_frames": 0,
    "max_new_tokens": 1,
}
"""Fields that count something, with the least value of each."""

EMBEDDED = Profile("pixelreferlite", "own", PROMPT_VERSION, MAX_FRAMES, MOST_NEIGHBOURS, LONG_SIDE_PX)
"""The small captioner's, trained on the synthetic world."""

PUBLISHED: dict[Framework, Profile] = {
    # One masked picture of the object beside the scene at about one picture a second.
    "pixelrefer": Profile(
        "pixelrefer", "any", INSTRUCTIONS_VERSION, 1, 0, 1280, scene_frames=4, max_new_tokens=128
    ),
    # Masked pictures only, as many as are at hand: the views of more than 14 would share the budget and shrink.
    "pixelreferlite": Profile("pixelreferlite", "any", INSTRUCTIONS_VERSION, 8, 0, 1280, max_new_tokens=128),
}
"""Those of the official checkpoints, by framework."""


def profile_of(folder: Path) -> Profile:
    """The profile of a model folder. Raises FileNotFoundError or ValueError naming the file and what is wrong."""
    path = folder / "config.json"
    block = _read_object(path)
    own = block.get(BLOCK, {})
    if not isinstance(own, dict):
        raise ValueError(f"{path}: {BLOCK} must be an object, not {own!r}")
    is_any = follows_instructions(folder)
    try:
        framework = framework_of(block)
        usual = PUBLISHED[framework] if is_any else EMBEDDED
        return Profile.from_json({**usual.to_json(), "framework": framework, **own})
    except ValueError as fault:
        raise ValueError(f"{path}: {fault}") from None


def write_profile(folder: Path, profile: Profile) -> None:
    """Keep the profile with the weights, in ``config.json``."""
    path = folder / "config.json"
    block = _read_object(path) | {BLOCK: profile.to_json()}
    path.write_text(json.dumps(block, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises FileNotFoundError or ValueError, naming it."""
    try:
        block = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"{path} is not valid JSON: {fault}") from None
    if not isinstance(block, dict):
        raise ValueError(f"{path} must hold one JSON object")
    return block
