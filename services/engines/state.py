"""What a stack remembers in its data folder: ports, secrets, identities, and who runs it now."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import Any

from services.engines.errors import EngineError
from services.settings import STATE_FILE

VERSION = 1


class State:
    """The data folder, locked for one owner, with a small JSON file that survives restarts.

    The file is readable by its owner only (it holds the S3 secret) and is replaced atomically.

    Raises:
        EngineError: another stack runs on the folder, or the folder or its file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("a+")
        except OSError as error:
            raise EngineError(f"data folder {folder} cannot be used: {error.strerror}") from error
        self._acquire()
        try:
            self.values = _read(self.folder / STATE_FILE)
        except EngineError:
            self._lock.close()
            raise

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise EngineError(
                f"a stack already runs on {self.folder} (process {owner}): "
                "stop it, or choose another folder with --data"
            ) from error
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    @property
    def logs(self) -> Path:
        """Folder of the children's logs."""
        return self.subfolder("logs")

    def subfolder(self, name: str) -> Path:
        """A folder of that name in the data folder, made when missing."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def remembered(self, name: str, length: int = 16) -> str:
        """A random URL-safe text of ``length`` bytes that stays the same for ever in this folder."""
        kept = self.values.setdefault("secrets", {})
        if name not in kept:
            kept[name] = secrets.token_urlsafe(length)
            self.save()
        return kept[name]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        path = self.folder / STATE_FILE
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.values, file, indent=2)
        fresh.replace(path)

    def close(self) -> None:
        """Forget the addresses of this run and unlock the folder."""
        for name in ("settings", "pid", "run_id"):
            self.values.pop(name, None)
        self.save()
        self._lock.close()


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"version": VERSION}
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path} cannot be read: {error}; move it away to begin with fresh ports"
        ) from error
    if not isinstance(values, dict) or values.get("version") != VERSION:
        raise EngineError(f"{path} was written by another version: choose another folder with --data")
    return values
