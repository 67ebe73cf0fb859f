"""Which clips show which tracks, of the last minutes: where a question about live objects finds its evidence."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.clips import ClipRecord
from contracts.tracks import TrackUpdate

CLIPS_KEPT = 75
"""Of each camera: five minutes of clips of 4 s."""
CAMERAS_KEPT = 256


class NoEvidence(LookupError):
    """There is nothing to answer a question from; ``code`` is stable, the text says what is missing."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(slots=True)
class _Camera:
    clips: deque[ClipRecord] = field(default_factory=lambda: deque(maxlen=CLIPS_KEPT))
    visible: OrderedDict[str, set[str]] = field(default_factory=OrderedDict)


class RecentClips:
    """Fed with clip records and track updates as they are committed; may be asked from other threads."""

    def __init__(self) -> None:
        self._cameras: OrderedDict[str, _Camera] = OrderedDict()
        self._lock = threading.Lock()

    def clip(self, record: ClipRecord) -> None:
        with self._lock:
            self._camera(record.camera_id).clips.append(record)

    def track(self, update: TrackUpdate) -> None:
        if not update.frames or update.state == "tentative":
            return
        with self._lock:
            visible = self._camera(update.camera_id).visible
            visible.setdefault(update.clip_id, set()).add(update.track_id)
            while len(visible) > CLIPS_KEPT:
                visible.popitem(last=False)

    def forget(self, camera_id: str) -> None:
        with self._lock:
            self._cameras.pop(camera_id, None)

    def resolve(self, camera_id: str, name: str) -> str:
        """The track id that a person means: the id itself, or the short number shown for it (12, #12, t12).

        A short number means the newest track of that number. Raises NoEvidence.
        """
        known = self._known(camera_id)
        if name in known:
            return name
        digits = name.lstrip("#t").lstrip("0")
        for track_id in reversed(known):
            if digits.isdecimal() and track_id.rsplit("-", 1)[-1].lstrip("t").lstrip("0") == digits:
                return track_id
        raise NoEvidence("object_unknown", f"camera '{camera_id}' has no object '{name[:80]}' of late")

    def choose(self, camera_id: str, track_ids: Sequence[str], most_clips: int) -> list[ClipRecord]:
        """The newest clips that show all the tracks, in order of time: one clip with all of them where there is one.

        Else the newest clip of each, if these are no more than ``most_clips``. Raises NoEvidence.
        """
        with self._lock:
            camera = self._cameras.get(camera_id) or _Camera()
            newest_first = list(reversed(camera.clips))
            visible = {clip_id: frozenset(tracks) for clip_id, tracks in camera.visible.items()}
        wanted = frozenset(track_ids)
        for record in newest_first:
            if wanted <= visible.get(record.clip_id, frozenset()):
                return [record]
        each = [
            next((r for r in newest_first if track in visible.get(r.clip_id, ())), None)
            for track in track_ids
        ]
        unseen = [track for track, record in zip(track_ids, each, strict=True) if record is None]
        if unseen:
            raise NoEvidence("no_evidence", f"no clip of the last minutes shows {', '.join(unseen)}")
        found = {record.clip_id: record for record in each if record is not None}
        alike = {(record.epoch, record.width_px, record.height_px) for record in found.values()}
        if len(found) > most_clips or len(alike) > 1:
            raise NoEvidence(
                "not_together", f"no clip of the last minutes shows {' and '.join(track_ids)} together"
            )
        return sorted(found.values(), key=lambda record: record.start_s)

    def _camera(self, camera_id: str) -> _Camera:
        camera = self._cameras.setdefault(camera_id, _Camera())
        self._cameras.move_to_end(camera_id)
        while len(self._cameras) > CAMERAS_KEPT:
            self._cameras.popitem(last=False)
        return camera

    def _known(self, camera_id: str) -> list[str]:
        """Ids of the camera's tracks that some kept clip shows, in the order in which they appeared."""
        with self._lock:
            camera = self._cameras.get(camera_id) or _Camera()
            return list(dict.fromkeys(t for tracks in camera.visible.values() for t in sorted(tracks)))
