"""What is compared: how a clip's scene is shown, and what of the clip before is told with it."""

from __future__ import annotations

from dataclasses import dataclass

from modeling.pixelrefer.compression import COMPRESSIONS, Compression, CompressionName, Role, assign_roles

FRAME_PX = (168, 224)
"""Height and width at which whole frames are encoded: 12 x 16 patches, sides of whole blocks of 4."""
CLIP_FRAMES = 8
"""Frames of one clip: two seconds of the stored four."""
MOST_MASKS = 3
"""Masks given for an object of a clip: first, middle and last of the frames on which it is seen."""


@dataclass(frozen=True)
class Setting:
    """One way of asking.

    ``compression`` as in service; ``own_projector``: 4 x 4 blocks go through a projector of their own that sees all
    their patches (`tiled_projector`, trained on), not through the published one as an average; ``history``: the last
    sentence about the object is told. ``weight``: how often training draws it.
    """

    name: str
    compression: CompressionName
    weight: float
    own_projector: bool = False
    history: bool = False

    @property
    def shape(self) -> Compression:
        """Block edges by role."""
        return COMPRESSIONS[self.compression]

    def factors(self, has_past: bool) -> list[int]:
        """Block edge of each frame shown, a carried one first; ``has_past``: there is a clip before this one."""
        carried = self.carries(has_past)
        roles: list[Role] = ["anchor"] if carried else []
        return [self.shape.factor(role) for role in (*roles, *assign_roles(CLIP_FRAMES, carried=carried))]

    def carries(self, has_past: bool) -> bool:
        """Whether the last frame of the clip before is shown."""
        return self.shape.carry and has_past


SETTINGS: tuple[Setting, ...] = (
    Setting("none", "published", 0.25),
    Setting("4x4", "4x4", 0.16),
    Setting("4x4+carry", "4x4+carry", 0.16),
    Setting("4x4+carry+history", "4x4+carry", 0.17, history=True),
    Setting("4x4+history", "4x4", 0.13, history=True),
    Setting("none+history", "published", 0.13, history=True),
)
OWN_PROJECTOR: tuple[Setting, ...] = (
    Setting("4x4 own projector", "4x4", 0.2, own_projector=True),
    Setting("4x4+carry own projector", "4x4+carry", 0.2, own_projector=True),
)
"""Compared if wanted: service shows no checkpoint so yet."""


def named(name: str) -> Setting:
    """The setting of a name. Raises ValueError naming those there are."""
    known = {setting.name: setting for setting in (*SETTINGS, *OWN_PROJECTOR)}
    if name not in known:
        raise ValueError(f"no setting is called {name!r}: there are {', '.join(known)}")
    return known[name]
