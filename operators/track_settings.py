"""How many objects of a camera are followed, and how often new ones are looked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from operators.discover import DiscoverSettings
from operators.lifecycle import LifeSettings
from operators.motion import MotionSettings


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """How many objects are followed and how often new ones are looked for; rules in the parts."""

    max_tracks: int = 8  # cost is linear in tracks
    max_requested: int = 4  # more than that, for what a person pointed at
    max_pinned: int = 4
    max_births: int = 3  # in one frame
    grid_every: int = 4  # frames between two searches by clicks; 0 never
    motion_every: int = 2  # frames between two looks at what moves; 0 never
    detect_every: int = 4  # frames between two questions to a detector, where there is one; 0 never
    max_proposals: int = 6  # boxes of one answer that the segmenter is asked about
    detector_patience: int = (
        8  # unanswered questions in a row after which its absence is no reason to see nothing
    )
    life: LifeSettings = field(default_factory=LifeSettings)
    discover: DiscoverSettings = field(default_factory=DiscoverSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)
