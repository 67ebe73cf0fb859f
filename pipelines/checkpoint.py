"""Where each camera stands, durably: the order of a commit, and how a partition is taken up again.

A partition's committed offset carries as metadata the name of its *manifest*: a small object that says of each
camera up to where its time is committed and which objects hold its tracker's memory: a checkpoint, named by the clip
it follows, and the checkpoint's parts, named by their content and written once. Manifests are named by their content
too, and each names the one before it. So nothing that counts is overwritten by something else, and whoever takes a
partition over knows what nobody needs any more.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import Field

from contracts.base import CameraId, InvalidMessage, Message
from pipelines.ports import Commit, ObjectMissing, ObjectStore, Output, StoreUnavailable

log = logging.getLogger(__name__)

KEPT_COMMITS = 2
MOST_BEFORE = 4  # older manifests looked up at a take-over; more than two are there only after a crash
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
    parts: list[str] = Field(default_factory=list, description="of the checkpoint, see part_name")
    written_at: float = Field(
        default=0.0, description="UTC seconds of the commit; long unused cameras are forgotten"
    )

    @property
    def objects(self) -> set[str]:
        """Names of the objects that hold the tracker's memory."""
        main = {self.checkpoint_ref} if self.checkpoint_ref else set()
        return main | {part_name(self.camera_id, part) for part in self.parts}


class Manifest(Message):
    """All cameras of a partition, and records above the committed offset that need no second look."""

    schema_version: int = 1
    partition: int
    cameras: dict[str, CameraPosition] = {}
    settled: list[int] = []
    previous: str | None = Field(default=None, description="name of the manifest before this one")

    @property
    def name(self) -> str:
        digest = hashlib.sha256(self.to_bytes()).hexdigest()[:24]
        return f"manifests/{self.partition:04d}/{digest}.json"

    @property
    def objects(self) -> set[str]:
        """Names of all objects that its cameras would be restored from."""
        return {name for position in self.cameras.values() for name in position.objects}


@dataclass(frozen=True, slots=True)
class Artefact:
    """An object to be stored."""

    name: str
    data: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tracker's memory after a clip: ``main`` under its own name, ``parts`` by names that tell their content."""

    name: str
    main: bytes
    parts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What one commit makes durable. ``position`` and ``settled_offset`` say what it settles."""

    outputs: tuple[Output, ...]
    artefacts: tuple[Artefact, ...] = ()
    checkpoint: Checkpoint | None = None
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
    _kept: deque[tuple[str, Manifest]] = field(default_factory=deque)  # what is stored, the newest last

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
        self._kept.append((metadata, found))
        self._kept.extendleft(self._before(found))
        self._retire()

    def _before(self, manifest: Manifest) -> Iterator[tuple[str, Manifest]]:
        """Older manifests that are still stored, newest first: they know what is left to be deleted."""
        for _ in range(MOST_BEFORE):
            name = manifest.previous
            if name is None or not self.store.exists(name):
                return
            try:
                manifest = Manifest.from_bytes(self.store.get(name))
            except (ObjectMissing, InvalidMessage):
                return
            yield name, manifest

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
        # 2. The tracker's memory after this clip; of its parts only those that are not there yet.
        if step.checkpoint is not None:
            self._store_checkpoint(step.checkpoint, step.position)
        # 3. The manifest that names it.
        offset = min([at for at in needed.values() if at is not None], default=self.next_offset)
        manifest = self._after(step, offset, now_s)
        name = manifest.name
        self.store.put(name, manifest.to_bytes(), "application/json")
        # 4. Messages and offset, at once or not at all. The caller goes on only when this is done.
        yield Commit(step.outputs, {self.partition: (offset, name)})
        # 5. Our own copy of what is committed; what nobody restores from any more goes.
        self.manifest, self.committed_offset = manifest, offset
        if not self._kept or self._kept[-1][0] != name:
            self._kept.append((name, manifest))
        self._retire()

    def _store_checkpoint(self, checkpoint: Checkpoint, position: CameraPosition | None) -> None:
        if position is None:
            raise ValueError(f"checkpoint {checkpoint.name}: the position of its camera is missing")
        stored = {name for _, manifest in self._kept for name in manifest.objects}
        for part, data in checkpoint.parts.items():
            name = part_name(position.camera_id, part)
            if name not in stored:
                self.store.put(name, data)
        self.store.put(checkpoint.name, checkpoint.main)

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
        after = self.manifest.model_copy(update={"cameras": cameras, "settled": sorted(settled)})
        if after == self.manifest or not self._kept:
            return after
        return after.model_copy(update={"previous": self._kept[-1][0]})

    def _retire(self) -> None:
        """Delete what only superseded manifests name.

        Never what one that is kept names; the superseded manifest itself goes last, so that the next owner of the
        partition finds it, and the rest through it, if we die on the way.
        """
        while len(self._kept) > KEPT_COMMITS:
            name, old = self._kept.popleft()
            needed = {each for _, manifest in self._kept for each in manifest.objects}
            self._forget([*sorted(old.objects - needed), name])

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
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


def part_name(camera_id: str, part: str) -> str:
    """Where a part of a camera's checkpoints is; ``part`` tells its content (see ``pipelines.snapshot``)."""
    return f"checkpoints/{camera_id}/parts/{part}"
