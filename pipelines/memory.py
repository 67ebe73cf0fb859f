"""What the narrator remembers of every track, durably: one object a partition, named in the committed offset.

The offset's metadata carries the name of an object with the memories as they are after the committed clip; it is
named by its content, so a member that lost its partition cannot overwrite what counts.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.base import InvalidMessage, Message
from operators.describe import TrackMemory
from pipelines.ports import Commit, ObjectMissing, ObjectStore, Output, StoreUnavailable

log = logging.getLogger(__name__)

KEPT_COMMITS = 2
Memories = dict[str, TrackMemory]
"""By track id."""


class StoredMemories(Message):
    """All cameras of a partition: camera id to track id to the track's memory."""

    schema_version: int = 1
    partition: int
    cameras: dict[str, dict[str, dict[str, Any]]] = {}

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.to_bytes()).hexdigest()[:24]
        return f"narrator/{self.partition:04d}/{digest}.json"


@dataclass
class PartitionMemory:
    """One assigned partition's memories, and the order in which they are made durable."""

    partition: int
    store: ObjectStore
    cameras: dict[str, Memories] = field(default_factory=dict)
    _names: deque[str] = field(default_factory=deque)

    def restore(self, metadata: str) -> None:
        """Take up where the committed offset says; memories that cannot be used are logged, and all is fresh.

        Without memories known objects are introduced again, which is better than silence about all of them.
        Raises StoreUnavailable.
        """
        if not metadata:
            return
        try:
            stored = StoredMemories.from_bytes(self.store.get(metadata))
            self.cameras = {
                camera_id: {track_id: TrackMemory.from_json(memory) for track_id, memory in tracks.items()}
                for camera_id, tracks in stored.cameras.items()
            }
            self._names.append(metadata)
        except (ObjectMissing, InvalidMessage, ValueError) as error:
            log.error("partition %d: memories %s unusable, all fresh: %s", self.partition, metadata, error)

    def tracks(self, camera_id: str) -> Memories:
        return self.cameras.get(camera_id, {})

    def commit(
        self, outputs: tuple[Output, ...], next_offset: int, changes: Mapping[str, Memories]
    ) -> Iterator[Commit]:
        """Make one record's effects durable. ``changes`` replaces the memories of the cameras it names."""
        cameras = {**self.cameras, **changes}
        stored = StoredMemories(
            partition=self.partition,
            cameras={
                camera_id: {track_id: memory.to_json() for track_id, memory in tracks.items()}
                for camera_id, tracks in cameras.items()
                if tracks
            },
        )
        # 1. The memories, before anything names them.
        self.store.put(stored.name, stored.to_bytes(), "application/json")
        # 2. Messages and offset, at once or not at all. The caller goes on only when this is done.
        yield Commit(outputs, {self.partition: (next_offset, stored.name)})
        # 3. Our own copy; what nobody restores from any more goes.
        self.cameras = cameras
        self._retire(stored.name)

    def _retire(self, name: str) -> None:
        if not self._names or self._names[-1] != name:
            self._names.append(name)
        while len(self._names) > KEPT_COMMITS:
            old = self._names.popleft()
            if old in self._names:
                continue
            try:
                self.store.delete(old)
            except (StoreUnavailable, RuntimeError) as error:
                log.warning("old memories %s could not be deleted: %s", old, error)
