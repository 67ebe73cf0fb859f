"""What is written down of the tracks while a clip goes by, and the tracked clip that is made of it at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from operators.lifecycle import Track
from operators.masks import box_of
from operators.types import Clip, Masklet, TrackedClip


class Sheet:
    """Masks and scores of every track on every frame of one clip, and who came and went."""

    def __init__(self, num_frames: int, tracks: Iterable[Track] = ()) -> None:
        """``tracks`` are those opened before this clip."""
        self.at = 0  # the frame being written
        self.shape: tuple[int, ...] = (
            1,
            1,
        )  # of masks; set from the first one the segmenter gives in this clip
        self._num_frames = num_frames
        self._before = {track.track_id: track for track in tracks}
        self._masks: dict[int, dict[int, np.ndarray]] = {}
        self._scores: dict[int, dict[int, float]] = {}
        self._born: dict[int, int] = {}
        self._shown: dict[int, set[int]] = {}
        self._closed: list[tuple[Track, str, np.ndarray | None]] = []

    def write(self, at: int, key: int, mask: np.ndarray, score: float) -> None:
        """A track's mask on a frame; it counts once the track is active (see :meth:`note`)."""
        self.at = at
        self._masks.setdefault(key, {})[at] = mask
        self._scores.setdefault(key, {})[at] = score

    def born(self, key: int) -> None:
        """The track begins on the frame being written."""
        self._born[key] = self.at

    def join(self, key: int, newcomer: int) -> None:
        """What was written of ``newcomer`` is of ``key``: they are one object."""
        shown = self._shown.pop(newcomer, set())
        self._masks.setdefault(key, {}).update(self._masks.pop(newcomer, {}))
        self._scores.setdefault(key, {}).update(self._scores.pop(newcomer, {}))
        self._shown.setdefault(key, set()).update(shown)

    def note(self, at: int, tracks: Iterable[Track]) -> None:
        """After all is written of a frame: whose masks are to be shown."""
        for track in tracks:
            if track.state != "hidden" and at in self._masks.get(track.key, {}):
                self._shown.setdefault(track.key, set()).add(at)
        self.at = at + 1

    def close(self, track: Track, reason: str, embedding: np.ndarray | None) -> None:
        """The track has ended during this clip."""
        self._closed.append((track, reason, embedding))

    def tracked(
        self, clip: Clip, tracks: Iterable[Track], looks: Mapping[int, np.ndarray | None]
    ) -> TrackedClip:
        """The tracked clip: masklets in order of birth, and the ids that came, hid, returned and ended.

        Coming and going within the clip is told as its outcome: who is hidden at the end but was not at the
        start, and the other way round.
        """
        opened = [track for track in tracks if track.opened]
        ended = [(replace(track, state="retired"), embedding) for track, _, embedding in self._closed]
        rows = [*((track, looks.get(track.key)) for track in opened), *ended]
        was_hidden = {key for key, track in self._before.items() if track.state == "hidden"}
        return TrackedClip(
            clip=clip,
            masklets=tuple(self._masklet(*row) for row in sorted(rows, key=lambda row: row[0].key)),
            opened=tuple(row[0].track_id for row in rows if row[0].track_id not in self._before),
            hidden=tuple(x.track_id for x in opened if x.state == "hidden" and x.track_id not in was_hidden),
            returned=tuple(x.track_id for x in opened if x.state == "active" and x.track_id in was_hidden),
            closed={track.track_id: reason for track, reason, _ in self._closed},
        )

    def _masklet(self, track: Track, embedding: np.ndarray | None) -> Masklet:
        masks = np.zeros((self._num_frames, *self.shape), bool)
        boxes = np.zeros((self._num_frames, 4), np.float32)
        scores = np.zeros(self._num_frames, np.float32)
        for at in self._shown.get(track.key, ()):
            masks[at] = self._masks[track.key][at]
            boxes[at] = box_of(masks[at])
            scores[at] = np.clip(self._scores[track.key][at], 0.0, 1.0)
        new = track.track_id not in self._before
        born_at = self._born.get(track.key, 0) if new else None
        return Masklet(
            track.track_id, masks, boxes, scores, track.state, born_at, embedding, track.name, track.pinned
        )
