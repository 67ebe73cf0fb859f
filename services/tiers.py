"""The captioners that can be chosen by name: where each comes from, what it needs, and where it lies here.

A tier's name is as good as a folder wherever a captioner is chosen: ``pixelrefer-2b``, or ``pixelrefer-2b@REVISION``
to pin one revision. ``./pixelrefer-2b`` is a folder of that name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.adapters.hub import Hub

EMBEDDED_FOLDER = "captioner-embedded"


class TierUnusable(ValueError):
    """A tier that is not known or not here; the text is one line and says what to do."""


@dataclass(frozen=True)
class Tier:
    """One captioner by name.

    Attributes:
        repository: owner/name on the Hugging Face hub; empty for the one in this package.
        weights_gb: size of its weights, in GB (10^9 bytes).
        memory_gb: memory wanted to run it, weights included: of the GPU, or of the machine without one.
    """

    name: str
    repository: str
    framework: str
    weights_gb: float
    memory_gb: float
    about: str


TIERS = (
    Tier("embedded", "", "PixelRefer-Lite", 0.01, 1, "small, trained here on the synthetic world"),
    Tier(
        "pixelrefer-lite-2b", "Alibaba-DAMO-Academy/PixelRefer-Lite-2B", "PixelRefer-Lite", 3.9, 6, "official"
    ),
    Tier("pixelrefer-2b", "Alibaba-DAMO-Academy/PixelRefer-2B", "PixelRefer", 3.9, 8, "official"),
    Tier(
        "pixelrefer-lite-7b",
        "Alibaba-DAMO-Academy/PixelRefer-Lite-7B",
        "PixelRefer-Lite",
        16.1,
        20,
        "official",
    ),
    Tier("pixelrefer-7b", "Alibaba-DAMO-Academy/PixelRefer-7B", "PixelRefer", 16.1, 24, "official"),
)
_BY_NAME = {tier.name: tier for tier in TIERS}


@dataclass(frozen=True)
class Choice:
    """A tier and the revision asked for."""

    tier: Tier
    revision: str | None = None

    def __str__(self) -> str:
        return self.tier.name + (f"@{self.revision}" if self.revision else "")


def find_tier(name: str) -> Choice | None:
    """The tier that ``name`` or ``name@revision`` names; None when it names none (so it may be a folder)."""
    plain, _, revision = name.partition("@")
    tier = _BY_NAME.get(plain) or _BY_NAME.get(f"pixelrefer-{plain}")
    return Choice(tier, revision or None) if tier else None


def need_tier(name: str) -> Choice:
    """The same for names that must be tiers. Raises TierUnusable listing those that are known."""
    choice = find_tier(name)
    if choice is None:
        raise TierUnusable(f"no tier '{name}': there are {', '.join(_BY_NAME)}")
    return choice


def tier_folder(choice: Choice, weights: Path, hub: Hub) -> Path | None:
    """Where a tier lies on this machine, complete or not; None when it was never pulled.

    ``weights`` is the folder of the package's own weights.
    """
    if not choice.tier.repository:
        return weights / EMBEDDED_FOLDER
    return hub.locate(choice.tier.repository, choice.revision)


def captioner_folder(named: str, weights: Path, hub: Hub | None = None) -> Path:
    """The model folder that a setting names, by tier or by path.

    Raises:
        TierUnusable: a tier that was not pulled, or not to its end.
    """
    choice = find_tier(named)
    if choice is None:
        return Path(named).expanduser().absolute()
    folder = tier_folder(choice, weights, hub or Hub.from_environment())
    if folder is None:
        raise TierUnusable(f"the captioner {choice} is not here: run `streamrefer models pull {choice}`")
    lacking = missing_files(folder)
    if lacking and choice.tier.repository:
        raise TierUnusable(
            f"the captioner {choice} lacks {lacking[0]} in {folder}: run `streamrefer models pull {choice}` again"
        )
    return folder


def missing_files(folder: Path) -> list[str]:
    """Names of files that a model folder needs and lacks. Weights are judged by name only; `verify` looks inside."""
    return list(_missing(folder))


def _missing(folder: Path) -> Iterator[str]:
    if not (folder / "config.json").exists():
        yield "config.json"
    parts = (folder / "vocab.json").exists() and (folder / "merges.txt").exists()
    if not parts and not (folder / "tokenizer.json").exists():
        yield "tokenizer.json"
    wanted = _weight_names(folder)
    yield from (name for name in wanted if not (folder / name).exists())


def _weight_names(folder: Path) -> list[str]:
    """The weights files that an index names, or the one file there must be without one."""
    for stem in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{stem}.index.json"
        if index.exists():
            try:
                return sorted(
                    {Path(name).name for name in json.loads(index.read_text())["weight_map"].values()}
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                return [f"a readable {index.name}"]
        if (folder / stem).exists():
            return []
    return ["model.safetensors"]


def stored_gb(folder: Path) -> float:
    """Size of all files of a model folder, in GB."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e9
