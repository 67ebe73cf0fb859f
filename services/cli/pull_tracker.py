"""Fetch an official tracker and make the folder that our tracker loads."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from services.adapters.hub import Hub, HubError, RemoteFile
from services.tiers import Choice
from services.tracker_tiers import TrackerTier, locate_tracker, made_folder, missing_tracker_files

BESIDE = ("LICENSE*", "README.md")
MADE = "weights.safetensors"


def pull_tracker(choice: Choice, to: Path | None, hub: Hub) -> Path:
    """Fetch the checkpoint into the hub's cache and make its folder there, or at `to`. Returns that folder.

    Raises HubError for what cannot be fetched or written, ValueError for a checkpoint that does not fit.
    """
    tier = choice.tier
    assert isinstance(tier, TrackerTier)
    files = checkpoint_files(hub.offer(tier.repository, choice.revision), tier)
    made = to or locate_tracker(choice, Path(), hub)
    size = next(file.size_bytes for file in files if file.name == tier.checkpoint)
    making = [RemoteFile(MADE, size, size)] if made is None or missing_tracker_files(made) else []
    hub.check_room(files if to else files + making)
    hub.check_room(making, to)
    snapshot = hub.fetch(tier.repository, [file.name for file in files], choice.revision)
    origin = {"tier": tier.name, "repository": tier.repository, "commit": snapshot.name}
    return make_tracker(snapshot / tier.checkpoint, tier, to or made_folder(snapshot, tier), origin)


def checkpoint_files(offered: list[RemoteFile], tier: TrackerTier) -> list[RemoteFile]:
    """What a tracker needs of its repository: checkpoint, configuration, and the words about both."""
    wanted = (tier.checkpoint, tier.config)
    if tier.checkpoint not in (file.name for file in offered):
        raise HubError(f"{tier.repository} holds no {tier.checkpoint}")
    return [
        file
        for file in offered
        if file.name in wanted or any(fnmatch(file.name, pattern) for pattern in BESIDE)
    ]


def make_tracker(checkpoint: Path, tier: TrackerTier, folder: Path, origin: dict[str, str]) -> Path:
    """The tracker's folder made from an official file, where it is not there yet. Raises HubError, ValueError."""
    from modeling.sam2.official import make_folder  # torch takes its seconds only here

    try:
        make_folder(checkpoint, tier.config, folder, origin)
    except OSError as fault:
        raise HubError(f"{folder} cannot be written: {fault.strerror or fault}") from fault
    return folder
