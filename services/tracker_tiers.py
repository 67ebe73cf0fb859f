"""The trackers that can be chosen by name: the two of this package and the official SAM 2.1 checkpoints.

An official checkpoint lies in the Hugging Face hub's cache; beside it lies the folder that was made from it once, in
the form in which trackers are loaded. A name may be cut short (``tiny``) and pinned to a revision
(``sam2.1-tiny@REVISION``); ``./sam2.1-tiny`` is a folder of that name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.adapters.hub import Hub
from services.tiers import Choice, Tier, TierUnusable

EMBEDDED = "tracker-embedded"
"""Name of the default tier, in this package, and of its folder."""
MADE_FILES = ("config.json", "weights.safetensors")
"""What a tracker's folder must hold."""
MADE_FOLDERS = "streamrefer"
"""Folder for what was made, in the repository's folder of the cache; it goes when the repository is deleted there."""


@dataclass(frozen=True)
class TrackerTier(Tier):
    """One tracker by name; `checkpoint` and `config` are files of its repository."""

    checkpoint: str = ""
    config: str = ""


def _official(size: str, short: str, weights_gb: float, memory_gb: float) -> TrackerTier:
    stem = f"sam2.1_hiera_{size.replace('-', '_')}"
    repository = f"facebook/sam2.1-hiera-{size}"
    files = (f"{stem}.pt", f"sam2.1_hiera_{short}.yaml")
    return TrackerTier(f"sam2.1-{size}", repository, "SAM 2.1", weights_gb, memory_gb, "official", *files)


TRACKERS = (
    TrackerTier(EMBEDDED, "", "SAM 2.1", 0.008, 1, "small, trained here on drawn worlds"),
    TrackerTier("tracker-footage", "", "SAM 2.1", 0.008, 1, "the same for footage: windows, optical flow"),
    _official("tiny", "t", 0.156, 3),
    _official("small", "s", 0.184, 3),
    _official("base-plus", "b+", 0.324, 4),
    _official("large", "l", 0.898, 6),
)
_BY_NAME = {tier.name: tier for tier in TRACKERS}


def find_tracker(name: str) -> Choice | None:
    """The tier that ``name`` or ``name@revision`` names; None when it names none (so it may be a folder).

    The published spellings (``sam2.1-hiera-tiny``, ``sam2.1_hiera_tiny``) name the same tiers.
    """
    plain, _, revision = name.partition("@")
    plain = plain.replace("_", "-").replace("sam2.1-hiera-", "sam2.1-")
    tier = _BY_NAME.get(plain) or _BY_NAME.get(f"sam2.1-{plain}")
    return Choice(tier, revision or None) if tier else None


def locate_tracker(choice: Choice, weights: Path, hub: Hub) -> Path | None:
    """The folder of a tier on this machine, complete or not; None when nothing of it was pulled.

    ``weights`` is the folder of the package's own weights.
    """
    tier = choice.tier
    assert isinstance(tier, TrackerTier)
    if not tier.repository:
        return weights / tier.name
    for file in (tier.config, tier.checkpoint):
        if snapshot := hub.locate(tier.repository, choice.revision, file):
            return made_folder(snapshot, tier)
    return None


def made_folder(snapshot: Path, tier: Tier) -> Path:
    """Where the folder made from a snapshot in the hub's cache belongs; its name ends with the tier's."""
    return snapshot.parent.parent / MADE_FOLDERS / snapshot.name / tier.name


def missing_tracker_files(folder: Path) -> list[str]:
    """Names of files that a tracker's folder needs and lacks; `verify` looks inside."""
    return [name for name in MADE_FILES if not (folder / name).is_file()]


def tracker_folder(named: str, weights: Path, hub: Hub | None = None) -> Path:
    """The folder that a setting names, by tier (``embedded`` too) or by path.

    Raises:
        TierUnusable: a tier that was not pulled, or not to its end.
    """
    choice = find_tracker(EMBEDDED if named == "embedded" else named)
    if choice is None:
        return Path(named).expanduser().absolute()
    folder = locate_tracker(choice, weights, hub or Hub.from_environment())
    if folder is None:
        raise TierUnusable(f"the tracker {choice} is not here: run `streamrefer models pull {choice}`")
    lacking = missing_tracker_files(folder)
    if lacking and choice.tier.repository:
        raise TierUnusable(
            f"the tracker {choice} lacks {lacking[0]} in {folder}: run `streamrefer models pull {choice}` again"
        )
    return folder
