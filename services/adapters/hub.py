"""The Hugging Face hub through its own client: what a repository holds, and fetching it into the usual cache.

The client's variables hold as everywhere: HF_ENDPOINT (a mirror), HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE,
proxies. Files are fetched to their end or not at all and are taken up where a fetch broke off.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WAIT_S = 10.0
"""How long the hub may take to answer about a file."""
SPARE_BYTES = 100_000_000
"""Left free on the disk."""


class HubError(RuntimeError):
    """The hub gave nothing; the text is one line and says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository: its size, and how much of it is still to be fetched."""

    name: str
    size_bytes: int
    wanting_bytes: int


@dataclass(frozen=True)
class Hub:
    """One hub and one local cache. None stands for what the client takes by itself."""

    endpoint: str | None = None
    cache: Path | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Hub:
        """The hub and cache that the client's own variables name, read now and not at import."""
        cache = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
        home = environ.get("HF_HOME")
        place = Path(cache) if cache else Path(home) / "hub" if home else None
        return cls(environ.get("HF_ENDPOINT") or None, place and place.expanduser())

    @property
    def cache_folder(self) -> Path:
        """Where the cache is."""
        if self.cache is not None:
            return self.cache
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)

    def locate(self, repository: str, revision: str | None = None, file: str = "config.json") -> Path | None:
        """The folder of a revision (default: main) in the cache; it may be incomplete. None where `file` is not."""
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            found = try_to_load_from_cache(repository, file, self.cache, revision)
        except HFValidationError:
            return None
        return Path(found).parent if isinstance(found, str) else None

    def offer(self, repository: str, revision: str | None = None, to: Path | None = None) -> list[RemoteFile]:
        """All files of a revision. Raises HubError."""
        with self._named_faults(repository, revision):
            listed = self._snapshot(repository, revision, to, dry_run=True)
        return [
            RemoteFile(file.filename, file.file_size, file.file_size if file.will_download else 0)
            for file in listed
        ]

    def fetch(
        self, repository: str, names: list[str], revision: str | None = None, to: Path | None = None
    ) -> Path:
        """Fetch those files that are not here yet, into the cache or a folder of its own; returns the folder.

        Raises HubError.
        """
        with self._named_faults(repository, revision):
            return Path(self._snapshot(repository, revision, to, allow_patterns=names))

    def check_room(self, files: list[RemoteFile], to: Path | None = None) -> None:
        """Raise HubError when the disk cannot take what is still wanting."""
        place = (to or self.cache_folder).absolute()
        while not place.exists():
            place = place.parent
        wanting = sum(file.wanting_bytes for file in files)
        free = shutil.disk_usage(place).free
        if wanting and free < wanting + SPARE_BYTES:
            raise HubError(
                f"{wanting / 1e9:.1f} GB are to be fetched and {place} has {free / 1e9:.1f} GB free: "
                "make room, or name another place with HF_HOME or --to"
            )

    def _snapshot(self, repository: str, revision: str | None, to: Path | None, **options: Any) -> Any:
        from huggingface_hub import snapshot_download

        return snapshot_download(
            repository,
            revision=revision,
            cache_dir=self.cache,
            local_dir=to,
            endpoint=self.endpoint,
            etag_timeout=WAIT_S,
            **options,
        )

    @contextmanager
    def _named_faults(self, repository: str, revision: str | None) -> Iterator[None]:
        """Whatever the client raises becomes one line."""
        try:
            yield
        except Exception as fault:
            place = self.endpoint or "the Hugging Face hub"
            raise HubError(_words(fault, repository, revision or "main", place)) from fault


def hide_progress() -> None:
    """No progress bars from the client."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()


def _words(fault: BaseException, repository: str, revision: str, place: str) -> str:
    """One line for what went wrong; the client wraps causes, so the innermost known one counts."""
    from huggingface_hub import errors

    known: list[tuple[type[BaseException], Callable[[BaseException], str]]] = [
        (
            errors.GatedRepoError,
            lambda _: f"{repository} is gated: accept its terms on its page at {place}, then set HF_TOKEN",
        ),
        (
            errors.RepositoryNotFoundError,
            lambda _: f"{place} has no {repository}, or shows it only to those who may see it: set HF_TOKEN",
        ),
        (errors.RevisionNotFoundError, lambda _: f"{repository} has no revision '{revision}'"),
        (
            errors.OfflineModeIsEnabled,
            lambda _: (
                "HF_HUB_OFFLINE forbids to ask the hub: unset it, or name a folder that holds the model"
            ),
        ),
        (errors.HfHubHTTPError, lambda cause: f"{place} answered for {repository}: {_first_line(cause)}"),
    ]
    for cause in _causes(fault):
        for kind, say in known:
            if isinstance(cause, kind):
                return say(cause)
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            return "the disk is full: make room and pull again, it goes on where it stopped"
    return (
        f"{place} cannot be reached ({_first_line(list(_causes(fault))[-1])}): check the network, set HF_ENDPOINT to a "
        "mirror, or copy the model's folder here and name it"
    )


def _causes(fault: BaseException) -> Iterator[BaseException]:
    """The fault, and what it was raised from or during."""
    seen: BaseException | None = fault
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _first_line(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0] if lines else type(fault).__name__
