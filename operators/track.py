"""Follow every object of one camera, clip after clip: births, confirmations, hiding, returning, ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from operators.cast import Cast
from operators.lifecycle import Track, expired
from operators.masks import tidy
from operators.ports import Segmenter
from operators.requests import Request, meet
from operators.search import Search
from operators.sheet import Sheet
from operators.track_settings import TrackSettings
from operators.track_state import TrackerState
from operators.types import Clip, Frame, Outcome, Prompt, TrackedClip


class Tracker:
    """Turns one camera's clips into tracked clips. Same clips in, same tracks out, also after a restore.

    Ids are ``camera-epoch-number`` and never used twice in an epoch. When ``push`` raises, restore from the last
    snapshot: the segmenter has already moved on. ``notes`` are the caller's: plain JSON values that stay with the
    tracker through snapshots.
    """

    def __init__(self, camera_id: str, segmenter: Segmenter, settings: TrackSettings | None = None) -> None:
        self.camera_id = camera_id
        self.settings = settings or TrackSettings()
        self.notes: Mapping[str, Any] = {}
        self._segmenter = segmenter
        self._cast = Cast(camera_id, segmenter, self.settings)
        self._search = Search(segmenter, self.settings)
        self._cut = False
        self._unknown: tuple[
            tuple[Track, np.ndarray | None], ...
        ] = ()  # tracks the segmenter knows nothing of

    def push(self, clip: Clip, requests: Sequence[Request] = ()) -> TrackedClip:
        """Follow all tracks through the clip and open those that are found in it.

        Requests are met on their frames, in order; what became of them stands in ``outcomes``.
        """
        if clip.camera_id != self.camera_id:
            raise ValueError(f"Tracker of {self.camera_id}: got a clip of {clip.camera_id}")
        cast = self._cast
        if self._cut or clip.epoch != cast.epoch:
            self._start_scene(clip.epoch)
        before = [*cast.tracks.values(), *(track for track, _ in self._unknown)]
        cast.sheet = Sheet(len(clip.frames), [track for track in before if track.opened])
        self._segmenter.begin_clip([frame.pixels for frame in clip.frames])
        outcomes: list[Outcome] = []
        for at, frame in enumerate(clip.frames):
            self._follow(frame)
            if at == 0:
                self._show_again(frame.time_s)
            due = [request for request in requests if min(request.frame, len(clip.frames) - 1) == at]
            outcomes += [meet(cast, request, frame.time_s) for request in due]
            for found in self._search.look(frame, cast.masks, self._has_room):
                cast.admit(found, frame.time_s)
            cast.sheet.note(at, cast.tracks.values())
        self._cut = clip.closed_by == "scene_cut"
        looks = {key: self._segmenter.embedding(track.object_id) for key, track in cast.tracks.items()}
        return replace(cast.sheet.tracked(clip, cast.tracks.values(), looks), outcomes=tuple(outcomes))

    def snapshot(self) -> TrackerState:
        """The state after the newest clip."""
        cast = self._cast
        return TrackerState(
            camera_id=self.camera_id,
            segmenter=self._segmenter.export_state(),
            epoch=cast.epoch,
            next_key=cast.next_key,
            next_number=cast.next_number,
            since_grid=self._search.since_grid,
            since_motion=self._search.since_motion,
            cut=self._cut,
            tracks=tuple(cast.tracks.values()),
            twins=dict(cast.twins),
            motion=self._search.motion,
            masks={key: mask for key, mask in cast.masks.items() if cast.tracks[key].state == "active"},
            notes=dict(self.notes),
        )

    @classmethod
    def restore(
        cls, state: TrackerState, segmenter: Segmenter, settings: TrackSettings | None = None
    ) -> Tracker:
        """A tracker that goes on from ``state``; ValueError when the segmenter is of another model."""
        segmenter.import_state(state.segmenter)
        tracker = cls._resumed(state, segmenter, settings)
        tracker._cast.tracks = {track.key: track for track in state.tracks}
        tracker._cast.twins = dict(state.twins)
        return tracker

    @classmethod
    def restore_roughly(
        cls, state: TrackerState, segmenter: Segmenter, settings: TrackSettings | None = None
    ) -> Tracker:
        """A tracker with the same ids when the segmenter cannot read the memory: say, a newer model's.

        On the next frame the segmenter is shown the last masks; tracks that were out of view then are ended.
        """
        tracker = cls._resumed(state, segmenter, settings)
        tracker._unknown = tuple(
            (track, state.masks.get(track.key)) for track in state.tracks if track.opened
        )
        return tracker

    @classmethod
    def _resumed(cls, state: TrackerState, segmenter: Segmenter, settings: TrackSettings | None) -> Tracker:
        tracker = cls(state.camera_id, segmenter, settings)
        cast = tracker._cast
        tracker._search = Search(
            segmenter, tracker.settings, state.motion, state.since_grid, state.since_motion
        )
        cast.epoch, tracker._cut = state.epoch, state.cut
        cast.next_key, cast.next_number = state.next_key, state.next_number
        tracker.notes = dict(state.notes)
        return tracker

    def _start_scene(self, epoch: int) -> None:
        self._cast.start_scene(epoch)
        self._unknown = tuple((track, None) for track, _ in self._unknown)
        self._search.start_scene()

    def _show_again(self, time_s: float) -> None:
        """Begin anew, under their ids, the tracks that the segmenter knows nothing of."""
        for track, mask in self._unknown:
            if mask is None:
                self._cast.sheet.close(track, "lost", None)
                continue
            object_id, step = self._segmenter.add_object(Prompt(mask=mask))
            self._cast.sheet.shape = step.mask.shape
            self._cast.place(replace(track, object_id=object_id), tidy(step.mask), step.score, time_s)
        self._unknown = ()

    def _follow(self, frame: Frame) -> None:
        """Take the segmenter's word for every track on the next frame, then end what has come to its end."""
        cast, steps = self._cast, self._segmenter.step()
        cast.turn_to(frame)
        for track in list(cast.tracks.values()):
            cast.recognise(track, steps[track.object_id], frame.time_s)
        cast.merge_twins()
        for track in list(cast.tracks.values()):
            if reason := expired(track, frame.time_s, self.settings.life):
                cast.end(track, reason)

    @property
    def _has_room(self) -> bool:
        """Whether it makes sense to look for more: there is room, or somebody who may be found again or give way."""
        tracks = self._cast.tracks.values()
        return len(tracks) < self.settings.max_tracks or any(track.state == "hidden" for track in tracks)
