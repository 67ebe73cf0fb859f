"""Follow every object of one camera, clip after clip: births, confirmations, hiding, returning, ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from operators.attribute import attribute
from operators.cast import Cast
from operators.glimpse import Glimpse, show_again
from operators.lifecycle import Track, expired
from operators.ports import Proposer, Segmenter
from operators.requests import Request, meet
from operators.search import Search
from operators.sheet import Sheet
from operators.track_settings import TrackSettings
from operators.track_state import TrackerState
from operators.types import Clip, Frame, Outcome, TrackedClip


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
        self._glimpses: dict[int, Glimpse] = {}  # of every track, the newest
        self._unknown: tuple[Track, ...] = ()  # tracks that the segmenter cannot be shown again

    def push(self, clip: Clip, requests: Sequence[Request] = ()) -> TrackedClip:
        """Follow all tracks through the clip and open those that are found in it.

        Requests are met on their frames, in order; what became of them stands in ``outcomes``.
        """
        if clip.camera_id != self.camera_id:
            raise ValueError(f"Tracker of {self.camera_id}: got a clip of {clip.camera_id}")
        cast = self._cast
        if self._cut or clip.epoch != cast.epoch:
            self._start_scene(clip.epoch)
        before = [*cast.tracks.values(), *self._unknown]
        cast.sheet = Sheet(len(clip.frames), [track for track in before if track.opened])
        self._segmenter.begin_clip([frame.pixels for frame in clip.frames])
        outcomes: list[Outcome] = []
        for at, frame in enumerate(clip.frames):
            self._follow(frame)
            if at == 0:
                self._give_up_unknown()
            due = [request for request in requests if min(request.frame, len(clip.frames) - 1) == at]
            outcomes += [meet(cast, request, frame.time_s) for request in due]
            for found in self._search.look(frame, cast.masks, self._has_room):
                cast.admit(found, frame.time_s)
            cast.sheet.note(at, cast.tracks.values())
            self._glance(frame)
        self._cut = clip.closed_by == "scene_cut"
        looks = {key: self._segmenter.embedding(track.object_id) for key, track in cast.tracks.items()}
        return replace(cast.sheet.tracked(clip, cast.tracks.values(), looks), outcomes=tuple(outcomes))

    def search_by(self, proposer: Proposer | None, words: Sequence[str] = ()) -> None:
        """From the next clip on, ask a detector too; with ``words`` nothing is opened but what it finds by them."""
        self._search.detector.proposer, self._search.detector.words = proposer, tuple(words)

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
            searches=self._search.searches,
            cut=self._cut,
            tracks=tuple(cast.tracks.values()),
            twins=dict(cast.twins),
            apart=dict(cast.apart),
            motion=self._search.motion,
            glimpses={key: seen for key, seen in self._glimpses.items() if _is_told(cast.tracks[key])},
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
        tracker._cast.twins, tracker._cast.apart = dict(state.twins), dict(state.apart)
        tracker._glimpses = dict(state.glimpses)
        return tracker

    @classmethod
    def restore_roughly(
        cls, state: TrackerState, segmenter: Segmenter, settings: TrackSettings | None = None
    ) -> Tracker:
        """A tracker with the same ids when the segmenter cannot read the memory: say, a newer model's.

        The segmenter is shown where every track was seen last, hidden ones on older pictures; tracks of which no
        picture is left are ended with the next clip.
        """
        tracker = cls._resumed(state, segmenter, settings)
        told = [track for track in state.tracks if _is_told(track)]
        begun = show_again(segmenter, state.glimpses)
        known = (replace(track, object_id=begun[track.key]) for track in told if track.key in begun)
        tracker._cast.tracks = {track.key: track for track in known}
        tracker._unknown = tuple(track for track in told if track.opened and track.key not in begun)
        tracker._glimpses = {key: state.glimpses[key] for key in tracker._cast.tracks}
        return tracker

    @classmethod
    def _resumed(cls, state: TrackerState, segmenter: Segmenter, settings: TrackSettings | None) -> Tracker:
        tracker = cls(state.camera_id, segmenter, settings)
        cast = tracker._cast
        tracker._search = Search(
            segmenter, tracker.settings, state.motion, state.since_grid, state.since_motion, state.searches
        )
        cast.epoch, tracker._cut = state.epoch, state.cut
        cast.next_key, cast.next_number = state.next_key, state.next_number
        tracker.notes = dict(state.notes)
        return tracker

    def _start_scene(self, epoch: int) -> None:
        self._cast.start_scene(epoch)
        self._search.start_scene()

    def _give_up_unknown(self) -> None:
        for track in self._unknown:
            self._cast.sheet.close(track, "lost", None)
        self._unknown = ()

    def _glance(self, frame: Frame) -> None:
        """Keep every track's newest sight; one that is doubted may be on somebody else."""
        tracks = self._cast.tracks
        for key, mask in self._cast.masks.items():
            if tracks[key].state != "hidden":
                self._glimpses[key] = Glimpse(mask, frame.pixels, frame.time_s)
        self._glimpses = {key: seen for key, seen in self._glimpses.items() if key in tracks}

    def _follow(self, frame: Frame) -> None:
        """Take the segmenter's word for every track on the next frame, then end what has come to its end."""
        cast, steps = self._cast, self._segmenter.step()
        cast.turn_to(frame)
        attribute(cast, steps, frame.time_s)
        cast.merge_twins()
        cast.note_apart()
        for track in list(cast.tracks.values()):
            if reason := expired(track, frame.time_s, self.settings.life):
                cast.end(track, reason)

    @property
    def _has_room(self) -> bool:
        """Whether it makes sense to look for more: there is room, or somebody who may be found again or give way."""
        tracks = self._cast.tracks.values()
        return len(tracks) < self.settings.max_tracks or any(track.state == "hidden" for track in tracks)


def _is_told(track: Track) -> bool:
    """Whether anybody knows of the track, or wants to hear no more of it."""
    return track.opened or track.muted
