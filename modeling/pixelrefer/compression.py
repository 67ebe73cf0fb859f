"""How a clip's frames are shortened before the language model: settings, roles, and what they cost in tokens.

One frame of a clip, the anchor, is shown densely and the others, the body, coarsely (after Perceive Anything,
arXiv 2506.05302, on PixelRefer's patch grid). With carrying, the last frame of a clip is kept densely and is the
next clip's anchor, so that every frame of that clip is body. No tensors here: see `scene` and `pixel_shuffle`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

CompressionName = Literal["published", "2x2", "4x4", "4x4+carry"]
Role = Literal["anchor", "body"]
Cap = Literal["pixels", "tokens"]
Reading = Literal["mean", "centre"]

COMPRESSOR_VERSION = "1"
"""Rises with any change of what a kept frame's tokens mean: older ones are then not used again."""

LONGEST_NAME = 200
"""Characters of a camera's or clip's name."""


@dataclass(frozen=True)
class Compression:
    """Edge in patches of the block that one token stands for, by role, and whether a frame is carried on."""

    anchor: int
    body: int
    carry: bool = False

    @property
    def sides(self) -> int:
        """Frame sides are multiples of so many patches, so that every block is full."""
        return max(self.anchor, self.body)

    def factor(self, role: Role) -> int:
        """Block edge of a frame with this role."""
        return self.anchor if role == "anchor" else self.body


COMPRESSIONS: dict[CompressionName, Compression] = {
    "published": Compression(2, 2),
    "2x2": Compression(2, 2),
    "4x4": Compression(2, 4),
    "4x4+carry": Compression(2, 4, carry=True),
}


@dataclass(frozen=True)
class ClipRef:
    """Which clip the frames are of, so that its objects can share work and the next clip can follow it.

    `clip` is unique within `camera`; `previous` names the clip whose last frame may be carried into this one, the
    last one of the scene that was asked about (empty: none, as after a cut); `begin_s` is the camera time at which
    the request's clock starts. Raises ValueError.
    """

    camera: str
    clip: str
    previous: str = ""
    begin_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("camera", "clip", "previous"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > LONGEST_NAME:
                raise ValueError(f"scene: {name} must be text of at most {LONGEST_NAME} characters")
        if not self.camera or not self.clip:
            raise ValueError("scene: camera and clip must both be named, or neither")
        if not _is_number(self.begin_s):
            raise ValueError(f"scene: begin_s must be a finite number of seconds, not {self.begin_s!r}")


@dataclass(frozen=True)
class SceneOptions:
    """How one request's scene is shown. `published` and no clip is the stateless, published behaviour.

    `anchor` is the frame shown densely where none is carried in. `cap` bounds the pixels of a clip as published,
    or its tokens, which lets compressed frames be larger at the same prompt length. `reading` says which patches
    of a block a token averages: all, or the middle four. Raises ValueError.
    """

    compression: CompressionName = "published"
    anchor: int = 0
    cap: Cap = "pixels"
    reading: Reading = "mean"
    clip: ClipRef | None = None

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"scene: compression {self.compression!r} is none of {', '.join(COMPRESSIONS)}")
        if isinstance(self.anchor, bool) or not isinstance(self.anchor, int) or self.anchor < 0:
            raise ValueError(f"scene: anchor must be the number of a frame, not {self.anchor!r}")
        for name, choices in (("cap", get_args(Cap)), ("reading", get_args(Reading))):
            if getattr(self, name) not in choices:
                raise ValueError(f"scene: {name} {getattr(self, name)!r} is none of {', '.join(choices)}")

    @property
    def shape(self) -> Compression:
        """The block edges that the name stands for."""
        return COMPRESSIONS[self.compression]

    @classmethod
    def from_json(cls, text: str) -> "SceneOptions":
        """Read a flat JSON object of any of the fields of this class and of `ClipRef`; empty text: the defaults.

        Raises ValueError naming what is wrong.
        """
        if not text:
            return cls()
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("scene: not valid JSON") from None
        if not isinstance(values, dict):
            raise ValueError("scene: must be one JSON object")
        named = {entry.name for entry in fields(ClipRef)}
        own = {entry.name for entry in fields(cls)} - {"clip"}
        unknown = sorted(set(values) - named - own)
        if unknown:
            raise ValueError(f"scene: does not know {', '.join(unknown)[:LONGEST_NAME]}")
        clip = {name: value for name, value in values.items() if name in named}
        if clip and not {"camera", "clip"} <= set(clip):
            raise ValueError("scene: camera and clip must both be named, or neither")
        options = {name: _hashable(name, value) for name, value in values.items() if name in own}
        return cls(**options, clip=ClipRef(**clip) if clip else None)

    def to_json(self) -> str:
        """The text that `from_json` reads back."""
        own = ("compression", "anchor", "cap", "reading")
        values: dict[str, Any] = {name: getattr(self, name) for name in own}
        if self.clip is not None:
            values |= {entry.name: getattr(self.clip, entry.name) for entry in fields(ClipRef)}
        return json.dumps(values)


def _hashable(name: str, value: object) -> Any:
    if isinstance(value, dict | list):
        raise ValueError(f"scene: {name} must be one value, not {type(value).__name__}")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def assign_roles(frames: int, anchor: int = 0, carried: bool = False) -> tuple[Role, ...]:
    """Roles of a clip's own frames. A frame carried in is the anchor, and then all of them are body.

    Raises ValueError for a clip without frames or an anchor outside it.
    """
    if frames < 1:
        raise ValueError("a clip needs at least one frame")
    if not 0 <= anchor < frames:
        raise ValueError(f"scene: anchor {anchor} is not one of {frames} frames")
    return tuple("anchor" if at == anchor and not carried else "body" for at in range(frames))


@dataclass(frozen=True)
class SceneBudget:
    """Scene tokens of one clip by role. `carried`: the anchor is the frame before the clip.

    `dropped` tokens were left out because nothing had changed there; the others count what is shown.
    """

    anchor: int
    body: int
    dropped: int = 0
    carried: bool = False

    @property
    def total(self) -> int:
        """All scene tokens shown."""
        return self.anchor + self.body

    def saved(self, than: "SceneBudget") -> float:
        """Share of another budget's tokens that this one does without."""
        return 1 - self.total / than.total


def frame_tokens(grid: tuple[int, int], factor: int) -> int:
    """Tokens of a frame of `grid` (rows, columns) patches folded in blocks of `factor`, partial blocks included."""
    return math.ceil(grid[0] / factor) * math.ceil(grid[1] / factor)


def scene_budget(
    grid: tuple[int, int], roles: Sequence[Role], shape: Compression, carried: tuple[int, int] | None = None
) -> SceneBudget:
    """Tokens of a clip's frames, all of one `grid`, before unchanged ones are dropped.

    `carried` is the grid of the frame carried in, if there is one.
    """
    anchors = roles.count("anchor")
    shown = anchors * frame_tokens(grid, shape.anchor)
    if carried is not None:
        shown += frame_tokens(carried, shape.anchor)
    body = (len(roles) - anchors) * frame_tokens(grid, shape.body)
    return SceneBudget(shown, body, carried=carried is not None)


def clip_patches(tokens: int, frames: int, shape: Compression) -> int:
    """Most patches a frame may have so that a clip of `frames` own frames stays within `tokens`.

    Counts an anchor among the frames; one carried in comes on top, as it was within the bound of its own clip.
    """
    per_patch = 1 / shape.anchor**2 + (frames - 1) / shape.body**2
    return int(tokens / per_patch)
