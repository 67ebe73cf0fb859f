"""Make a camera's tracker, with its memory where a checkpoint holds it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from operators.ports import Proposer, Segmenter
from operators.track import Tracker, TrackSettings
from operators.track_state import TrackerState
from operators.types import Clip
from pipelines.checkpoint import CameraPosition, part_name
from pipelines.ports import ObjectMissing, ObjectStore
from pipelines.snapshot import unpack

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackerMaker:
    """``open_segmenter`` gives a new session for a mask size (h, w) and, where a camera wants one, a memory policy;
    ``model`` names its weights; ``proposer`` is a detector that all cameras ask.
    """

    store: ObjectStore
    open_segmenter: Callable[..., Segmenter]
    model: str
    mask_side_px: int = 256
    settings: TrackSettings = field(default_factory=TrackSettings)
    proposer: Proposer | None = None

    def ready(
        self,
        tracker: Tracker | None,
        clip: Clip,
        position: CameraPosition | None,
        policy: str | None = None,
    ) -> Tracker:
        """The camera's tracker for its next clip: the one at hand, or one restored, or a fresh one.

        Track ids go on where they stopped within an epoch, even when the memory behind them is lost.
        """
        if tracker is not None:
            return tracker
        shape = clip.frames[0].pixels.shape
        state = self._stored(position)
        if state is None:
            return self._fresh(clip, self.session_for(shape, policy), position)
        try:
            return Tracker.restore(state, self.session_for(shape, policy), self.settings)
        except ValueError as error:
            words = "camera %s: going on from the last masks and their pictures: %s"
            log.warning(words, clip.camera_id, error)
            return Tracker.restore_roughly(state, self.session_for(shape, policy), self.settings)

    def session_for(self, shape: tuple[int, ...], policy: str | None = None) -> Segmenter:
        """A session of its own for pictures of a shape [H, W, 3]; without a policy it has the usual one."""
        wanted = () if policy is None else (policy,)
        return self.open_segmenter(mask_size(shape, self.mask_side_px), *wanted)

    def _stored(self, position: CameraPosition | None) -> TrackerState | None:
        if position is None or position.checkpoint_ref is None:
            return None
        try:
            main = self.store.get(position.checkpoint_ref)
            return unpack(main, lambda part: self._part(part_name(position.camera_id, part)))
        except (ObjectMissing, ValueError) as error:
            log.warning(
                "camera %s: checkpoint %s unusable, tracking starts fresh: %s",
                position.camera_id,
                position.checkpoint_ref,
                error,
            )
            return None

    def _part(self, name: str) -> bytes | None:
        try:
            return self.store.get(name)
        except ObjectMissing:
            return None

    def _fresh(self, clip: Clip, segmenter: Segmenter, position: CameraPosition | None) -> Tracker:
        if position is None or position.epoch != clip.epoch or not position.opened:
            return Tracker(clip.camera_id, segmenter, self.settings)
        numbers = TrackerState(
            clip.camera_id, segmenter.export_state(), epoch=clip.epoch, next_number=position.opened + 1
        )
        return Tracker.restore(numbers, segmenter, self.settings)


def mask_size(picture: tuple[int, ...], longest_px: int) -> tuple[int, int]:
    """(h, w) of masks: the picture's shape with its longer side shrunk to the limit, never enlarged."""
    scale = min(1.0, longest_px / max(picture[:2]))
    return max(1, round(picture[0] * scale)), max(1, round(picture[1] * scale))
