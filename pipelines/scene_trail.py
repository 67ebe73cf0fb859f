"""Which clip may hand its last frame on to the next one."""

from __future__ import annotations

from contracts.clips import ClipRecord
from pipelines.ports import ClipScene


class SceneTrail:
    """Which clip of each camera was last asked about within one scene: its last frame can lead into the next clip.

    Kept in memory only. When it is lost, a clip begins with its own first frame, and nothing else changes.
    """

    def __init__(self) -> None:
        self._asked: dict[str, tuple[int, str]] = {}

    def scene(self, clip: ClipRecord, begin_s: float, compression: str) -> ClipScene:
        """The clip as requests about it name it. ``begin_s``: camera time of its first frame."""
        epoch, previous = self._asked.get(clip.camera_id, (clip.epoch, ""))
        previous = previous if epoch == clip.epoch and previous != clip.clip_id else ""
        return ClipScene(clip.camera_id, clip.clip_id, previous, begin_s, compression)

    def passed(self, clip: ClipRecord, asked: bool) -> None:
        """The clip is done with. Behind a cut, or the end of an epoch, a new scene begins."""
        if clip.closed_by in ("scene_cut", "end"):
            self.forget(clip.camera_id)
        elif asked:
            self._asked[clip.camera_id] = (clip.epoch, clip.clip_id)

    def forget(self, camera_id: str) -> None:
        """The camera is somebody else's now."""
        self._asked.pop(camera_id, None)
