"""Where each camera stands, durably: the order of a commit, and how a partition is taken up again.

A partition's committed offset carries as metadata the name of its *manifest*: a small object that says of each
camera up to where its time is committed and which checkpoint holds its tracker's memory. Manifests are named by
their content and checkpoints by what they hold, so nothing that counts is ever overwritten by something else.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import Field

from contracts.base import CameraId, InvalidMessage, Message
from pipelines.ports import Commit, ObjectMissing, ObjectStore, Output, StoreUnavailable

log = logging.getLogger(__name__)

KEPT_COMMITS = 2
FORGET_AFTER_S = 7 * 24 * 3600.0  # far longer than segments are kept


class CameraPosition(Message):
    """One camera: its time before ``start_s`` is committed, and what comes next has these numbers."""

    camera_id: CameraId
    epoch: int
    start_s: float
    next_index: int = Field(default=0, description="number of the next clip in the epoch")
    next_frame: int = Field(default=0, description="number of the next sampled frame in the epoch")
    last_cell: int = Field(default=-1, description="last cell of the sampling grid that gave a frame")
    seen_offset: int = Field(default=-1, description="highest record offset taken when this was written")
    opened: int = Field(default=0, description="tracks opened in the epoch")
    checkpoint_ref: str | None = None
    written_at: float = Field(
        default=0.0, description="UTC seconds of the commit; long unused cameras are forgotten"
    )


class Manifest(Message):
    """All cameras of a partition, and records above the committed offset that need no second look."""

    schema_version: int = 1
    partition: int
    cameras: dict[str, CameraPosition] = {}
    settled: list[int] = []

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.to_bytes()).hexdigest()[:24]
        return f"manifests/{self.partition:04d}/{digest}.json"


@dataclass(frozen=True, slots=True)
class Artefact:
    """An object to be stored."""

    name: str
    data: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Step:
    """What one commit makes durable. ``position`` and ``settled_offset`` say what it settles."""

    outputs: tuple[Output, ...]
    artefacts: tuple[Artefact, ...] = ()
    checkpoint: Artefact | None = None
    position: CameraPosition | None = None
    settled_offset: int | None = None


@dataclass
class PartitionLedger:
    """What is committed of one partition. ``next_offset`` follows the last record taken."""

    partition: int
    store: ObjectStore
    manifest: Manifest = field(init=False)
    next_offset: int = 0
    committed_offset: int | None = None
    _names: deque[str] = field(default_factory=deque)
    _checkpoints: dict[str, deque[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.manifest = Manifest(partition=self.partition)

    def restore(self, offset: int | None, metadata: str) -> None:
        """Take up where the committed offset says. A manifest that cannot be used is logged, and all is fresh."""
        self.next_offset = offset or 0
        self.committed_offset = offset
        if not metadata:
            return
        try:
            found = Manifest.from_bytes(self.store.get(metadata))
            if found.partition != self.partition:
                raise InvalidMessage(f"it is of partition {found.partition}")
        except (ObjectMissing, InvalidMessage) as error:
            log.error(
                "partition %d: manifest %s unusable, cameras start fresh: %s", self.partition, metadata, error
            )
            return
        self.manifest = found
        self._names.append(metadata)
        for camera_id, position in found.cameras.items():
            if position.checkpoint_ref:
                self._checkpoints.setdefault(camera_id, deque()).append(position.checkpoint_ref)

    def position(self, camera_id: str) -> CameraPosition | None:
        return self.manifest.cameras.get(camera_id)

    def is_settled(self, offset: int) -> bool:
        return offset in self.manifest.settled

    def commit(self, step: Step, needed: Mapping[str, int | None], now_s: float) -> Iterator[Commit]:
        """The order of a commit. ``needed``: for each camera the smallest offset it still needs.

        A crash after any of these leaves nothing but objects that the replay names again, or that nobody names.
        """
        # 1. What the messages refer to is there before anybody can read them.
        for artefact in step.artefacts:
            self.store.put(artefact.name, artefact.data, artefact.content_type)
        # 2. The tracker's memory after this clip.
        if step.checkpoint is not None:
            self.store.put(step.checkpoint.name, step.checkpoint.data)
        # 3. The manifest that names it.
        offset = min([at for at in needed.values() if at is not None], default=self.next_offset)
        manifest = self._after(step, offset, now_s)
        name = manifest.name
        self.store.put(name, manifest.to_bytes(), "application/json")
        # 4. Messages and offset, at once or not at all. The caller goes on only when this is done.
        yield Commit(step.outputs, {self.partition: (offset, name)})
        # 5. Our own copy of what is committed; what nobody restores from any more goes.
        self.manifest, self.committed_offset = manifest, offset
        self._retire(name, step)

    def _after(self, step: Step, offset: int, now_s: float) -> Manifest:
        cameras = {
            camera_id: position
            for camera_id, position in self.manifest.cameras.items()
            if now_s - position.written_at < FORGET_AFTER_S
        }
        if step.position is not None:
            cameras[step.position.camera_id] = step.position.model_copy(update={"written_at": now_s})
        settled = {at for at in self.manifest.settled if at >= offset}
        if step.settled_offset is not None and step.settled_offset >= offset:
            settled.add(step.settled_offset)
        return Manifest(partition=self.partition, cameras=cameras, settled=sorted(settled))

    def _retire(self, name: str, step: Step) -> None:
        if not self._names or self._names[-1] != name:
            self._names.append(name)
        old = [self._names.popleft() for _ in range(len(self._names) - KEPT_COMMITS)]
        if step.checkpoint is not None and step.position is not None:
            refs = self._checkpoints.setdefault(step.position.camera_id, deque())
            refs.append(step.checkpoint.name)
            old += [refs.popleft() for _ in range(len(refs) - KEPT_COMMITS)]
        for gone in old:
            if gone not in self._names:
                self._forget(gone)

    def _forget(self, name: str) -> None:
        try:
            self.store.delete(name)
        except (StoreUnavailable, RuntimeError) as error:
            log.warning("old object %s could not be deleted: %s", name, error)


def clip_folder(camera_id: str, epoch: int, index: int, end_s: float, mark: str = "") -> str:
    """Where a clip's objects are. The end is in the name since a stalled camera may close a clip early; ``mark``
    names the prompts that took effect in it, which another try may know or not."""
    return f"clips/{camera_id}/{epoch}/{index:06d}-{round(end_s * 1000)}{_behind(mark)}"


def checkpoint_name(camera_id: str, epoch: int, index: int, end_s: float, mark: str = "") -> str:
    return f"checkpoints/{camera_id}/{epoch}-{index:06d}-{round(end_s * 1000)}{_behind(mark)}.safetensors"


def _behind(mark: str) -> str:
    return f"-{mark}" if mark else ""
