"""Follow every object of one camera, clip after clip: births, confirmations, hiding, returning, ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from operators.appearance import look_of, shrink
from operators.discover import (
    DiscoverSettings,
    discover,
    grid_points,
    is_unclaimed,
    moving_object,
    settled,
)
from operators.lifecycle import (
    LifeSettings,
    Track,
    count_twins,
    doubt,
    expired,
    hidden_alike,
    hidden_here,
    intruder,
    judged,
    looks_like,
    seen,
    unseen,
)
from operators.masks import box_of, box_overlap, overlap, share, tidy
from operators.motion import MotionProposer, MotionSettings, Moving
from operators.ports import Segmenter
from operators.sheet import Sheet
from operators.track_state import TrackerState
from operators.types import Clip, Detection, Frame, Prompt, TrackedClip


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """How many objects are followed and how often new ones are looked for; rules in the parts."""

    max_tracks: int = 8  # cost is linear in tracks
    max_requested: int = 4  # more than that, for what a person pointed at
    max_births: int = 3  # in one frame
    grid_every: int = 4  # frames between two searches by clicks; 0 never
    motion_every: int = 2  # frames between two looks at what moves; 0 never
    life: LifeSettings = field(default_factory=LifeSettings)
    discover: DiscoverSettings = field(default_factory=DiscoverSettings)
    motion: MotionSettings = field(default_factory=MotionSettings)


@dataclass(frozen=True, slots=True)
class Request:
    """A person's wish: follow what the prompt marks, or correct the track that is named."""

    prompt: Prompt
    track_id: str = ""


class Tracker:
    """Turns one camera's clips into tracked clips. Same clips in, same tracks out, also after a restore.

    Ids are ``camera-epoch-number`` and never used twice in an epoch. When ``push`` raises, restore from the last
    snapshot: the segmenter has already moved on.
    """

    def __init__(self, camera_id: str, segmenter: Segmenter, settings: TrackSettings | None = None) -> None:
        self.camera_id = camera_id
        self.settings = settings or TrackSettings()
        self._segmenter = segmenter
        self._motion = MotionProposer(self.settings.motion)
        self._tracks: dict[int, Track] = {}
        self._twins: dict[tuple[int, int], int] = {}
        self._epoch: int | None = None
        self._next_key = 1
        self._next_number = 1
        self._since_grid: int | None = None
        self._since_motion = 0
        self._cut = False
        self._masks: dict[int, np.ndarray] = {}  # of the newest frame, of tracks in view
        self._pixels = np.zeros((1, 1, 3), np.uint8)  # the newest picture
        self._sheet = Sheet(0)
        self._unknown: tuple[
            tuple[Track, np.ndarray | None], ...
        ] = ()  # tracks the segmenter knows nothing of

    def push(self, clip: Clip, requests: Sequence[Request] = ()) -> TrackedClip:
        """Follow all tracks through the clip and open those that are found in it.

        Requests are met on the clip's first frame; one that finds no room or names no living track is dropped.
        """
        if clip.camera_id != self.camera_id:
            raise ValueError(f"Tracker of {self.camera_id}: got a clip of {clip.camera_id}")
        if self._cut or clip.epoch != self._epoch:
            self._start_scene(clip.epoch)
        before = [*self._tracks.values(), *(track for track, _ in self._unknown)]
        self._sheet = Sheet(len(clip.frames), [track for track in before if track.opened])
        self._segmenter.begin_clip([frame.pixels for frame in clip.frames])
        for at, frame in enumerate(clip.frames):
            self._follow(at, frame)
            if at == 0:
                self._show_again(frame.time_s)
                for request in requests:
                    self._meet(request, frame.time_s)
            self._find(frame)
            self._sheet.note(at, self._tracks.values())
        self._cut = clip.closed_by == "scene_cut"
        looks = {key: self._segmenter.embedding(track.object_id) for key, track in self._tracks.items()}
        return self._sheet.tracked(clip, self._tracks.values(), looks)

    def snapshot(self) -> TrackerState:
        """The state after the newest clip."""
        return TrackerState(
            camera_id=self.camera_id,
            segmenter=self._segmenter.export_state(),
            epoch=self._epoch,
            next_key=self._next_key,
            next_number=self._next_number,
            since_grid=self._since_grid,
            since_motion=self._since_motion,
            cut=self._cut,
            tracks=tuple(self._tracks.values()),
            twins=dict(self._twins),
            motion=self._motion.snapshot(),
            masks={key: mask for key, mask in self._masks.items() if self._tracks[key].state == "active"},
        )

    @classmethod
    def restore(
        cls, state: TrackerState, segmenter: Segmenter, settings: TrackSettings | None = None
    ) -> Tracker:
        """A tracker that goes on from ``state``; ValueError when the segmenter is of another model."""
        segmenter.import_state(state.segmenter)
        tracker = cls._resumed(state, segmenter, settings)
        tracker._tracks = {track.key: track for track in state.tracks}
        tracker._twins = dict(state.twins)
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
        tracker._motion = MotionProposer(tracker.settings.motion, state.motion)
        tracker._epoch, tracker._cut = state.epoch, state.cut
        tracker._next_key, tracker._next_number = state.next_key, state.next_number
        tracker._since_grid, tracker._since_motion = state.since_grid, state.since_motion
        return tracker

    def _start_scene(self, epoch: int) -> None:
        """After a cut or a new epoch every track has to be found again; ids of an epoch count from one."""
        if epoch != self._epoch:
            self._epoch, self._next_number = epoch, 1
        for track in list(self._tracks.values()):
            self._keep(track, doubt(track))
        self._unknown = tuple((track, None) for track, _ in self._unknown)
        self._twins, self._since_grid = {}, None
        self._motion.forget()

    def _show_again(self, time_s: float) -> None:
        """Begin anew, under their ids, the tracks that the segmenter knows nothing of."""
        for track, mask in self._unknown:
            if mask is None:
                self._sheet.close(track, "lost", None)
                continue
            object_id, step = self._segmenter.add_object(Prompt(mask=mask))
            self._sheet.shape = step.mask.shape
            self._place(0, replace(track, object_id=object_id), tidy(step.mask), step.score, time_s)
        self._unknown = ()

    def _follow(self, at: int, frame: Frame) -> None:
        """Take the segmenter's word for every track on the next frame, then end what has come to its end."""
        steps = self._segmenter.step()
        self._masks = {}
        self._pixels = frame.pixels
        for track in list(self._tracks.values()):
            step = steps[track.object_id]
            self._sheet.shape = step.mask.shape
            mask = tidy(step.mask)
            if (
                step.presence > 0
                and self.settings.life.min_visible <= share(mask) <= self.settings.life.max_visible
            ):
                self._recognise(at, track, mask, step.score, frame.time_s)
            else:
                self._keep(track, unseen(track))
        self._merge_twins()
        for track in list(self._tracks.values()):
            if reason := expired(track, frame.time_s, self.settings.life):
                self._end(track, reason)

    def _recognise(self, at: int, track: Track, mask: np.ndarray, score: float, time_s: float) -> None:
        """Take the mask for the track's own if it looks like it; otherwise the track is out of sight."""
        track, own = judged(track, self._look(mask), self.settings.life)
        if own:
            self._place(at, track, mask, score, time_s)
        else:
            self._keep(track, unseen(track))

    def _look(self, mask: np.ndarray) -> np.ndarray:
        return look_of(shrink(self._pixels, *mask.shape), mask)

    def _place(self, at: int, track: Track, mask: np.ndarray, score: float, time_s: float) -> None:
        now = seen(track, time_s, box_of(mask), share(mask), self.settings.life)
        self._sheet.write(at, track.key, mask, score)
        self._masks[track.key] = mask
        self._tracks[track.key] = now
        if now.state == "active" and not now.opened:
            self._open(now)

    def _open(self, track: Track) -> None:
        """Give a confirmed track its id: a new one, or that of the hidden track which it is."""
        looks = {key: self._segmenter.embedding(other.object_id) for key, other in self._tracks.items()}
        known = [other for other in self._tracks.values() if other.opened]
        old = hidden_alike(track, known, looks, self.settings.life)
        if old is None:
            track_id = f"{self.camera_id}-{self._epoch}-{self._next_number:04d}"
            self._next_number += 1
            self._tracks[track.key] = replace(track, track_id=track_id)
            return
        self._take_over(old, track)

    def _take_over(self, old: Track, new: Track) -> None:
        """``old`` keeps its id and is from now on what ``new`` follows."""
        self._segmenter.remove_object(old.object_id)
        del self._tracks[new.key]
        self._tracks[old.key] = replace(new, key=old.key, track_id=old.track_id)
        self._masks[old.key] = self._masks.pop(new.key)
        self._sheet.join(old.key, new.key)

    def _merge_twins(self) -> None:
        """Of two tracks that are one object the older keeps its id, and what is followed is the larger mask."""
        self._twins = count_twins(self._twins, self._masks, self.settings.life)
        for pair, frames in self._twins.items():
            if not all(key in self._tracks for key in pair):
                continue
            older, younger = (self._tracks[key] for key in pair)
            if not older.opened or not younger.opened:  # nobody has been told of one of them: no need to wait
                self._end(older if younger.opened else younger, "duplicate")
            elif frames >= self.settings.life.twin_frames:
                self._settle_twins(older, younger)

    def _settle_twins(self, older: Track, younger: Track) -> None:
        """End the intruder; where both belong, a part becomes the whole under the older id."""
        look = self._look(self._masks[younger.key])
        if intruder(older, younger, look, self.settings.life) is older:
            self._end(older, "duplicate")
        elif younger.area > older.area:
            self._sheet.close(younger, "duplicate", self._segmenter.embedding(younger.object_id))
            self._take_over(older, younger)
        else:
            self._end(younger, "duplicate")

    def _find(self, frame: Frame) -> None:
        """Look for objects that are not followed yet, where something moves and, now and then, everywhere."""
        moving = self._motion.push(frame.pixels) if self.settings.motion_every else []
        self._since_motion += 1
        self._since_grid = None if self._since_grid is None else self._since_grid + 1
        full = len(self._tracks) >= self.settings.max_tracks
        if full and all(track.state != "hidden" for track in self._tracks.values()):
            return
        if moving and self._since_motion >= self.settings.motion_every:
            self._since_motion = 0
            for found in self._moving_objects(moving):
                self._admit(found, frame.time_s)
        every = self.settings.grid_every
        if every and (self._since_grid is None or self._since_grid >= every):
            self._since_grid = 0
            for found in self._objects_anywhere():
                self._admit(found, frame.time_s)

    def _moving_objects(self, moving: Sequence[Moving]) -> list[Detection]:
        rules, new = self.settings.discover, []
        for thing in moving:
            held = [*self._masks.values(), *(found.mask for found in new)]
            if len(new) == self.settings.max_births or any(_holds(mask, thing) for mask in held):
                continue
            found = moving_object(thing, self._segmenter.decode(Prompt(box=thing.box)), rules)
            if found and is_unclaimed(found.mask, held, rules):
                new.append(found)
        return new

    def _objects_anywhere(self) -> list[Detection]:
        held = list(self._masks.values())
        taken = np.logical_or.reduce(held) if held else None
        points = grid_points(self.settings.discover.grid, taken)
        if not len(points):
            return []
        rules = self.settings.discover
        new = discover(self._segmenter.candidates(points), held, rules, self.settings.max_births)
        again = (self._segmenter.decode(Prompt(box=box_of(found.mask))) for found in new)
        pairs = zip(new, again, strict=True)
        return [best for found, other in pairs if (best := settled(found, other, rules))]

    def _admit(self, found: Detection, time_s: float) -> None:
        """Follow a detection: as the hidden track last seen there, or else as a tentative track."""
        mask = tidy(found.mask)
        opened = [track for track in self._tracks.values() if track.opened]
        look = self._look(mask)
        alike = [track for track in opened if looks_like(track, look, self.settings.life)]
        old = hidden_here(alike, box_of(mask), self.settings.life)
        if old is not None:
            self._segmenter.correct(old.object_id, Prompt(mask=mask))
            back = replace(old, hits=self.settings.life.confirmations, strange=0)
            self._place(self._sheet.at, back, mask, found.score, time_s)
        elif self._make_room(self.settings.max_tracks, time_s):
            self._begin(Prompt(mask=mask), found.score, time_s)

    def _begin(self, prompt: Prompt, score: float | None, time_s: float, hits: int = 0) -> None:
        object_id, step = self._segmenter.add_object(prompt)
        mask = tidy(step.mask)
        if not mask.any():
            self._segmenter.remove_object(object_id)
            return
        self._sheet.shape = mask.shape
        key, self._next_key = self._next_key, self._next_key + 1
        x0, y0, x1, y1 = box_of(mask).tolist()
        track = Track(key, object_id, "tentative", time_s, (x0, y0, x1, y1), share(mask), hits=hits)
        track, _ = judged(track, self._look(mask), self.settings.life)
        self._tracks[key] = track
        self._masks[key] = mask
        self._sheet.write(self._sheet.at, key, mask, step.score if score is None else score)
        self._sheet.born(key)
        if hits >= self.settings.life.confirmations:
            self._tracks[key] = replace(track, state="active", hits=0)
            self._open(self._tracks[key])

    def _meet(self, request: Request, time_s: float) -> None:
        """Do what a person asked for; a person's word needs no confirmation."""
        named = [
            track for track in self._tracks.values() if track.opened and track.track_id == request.track_id
        ]
        confirmed = self.settings.life.confirmations
        if named:
            step = self._segmenter.correct(named[0].object_id, request.prompt)
            if step.mask.any():
                meant = replace(named[0], hits=confirmed, look=(), strange=0)  # a person knows better
                self._place(0, meant, tidy(step.mask), step.score, time_s)
        elif not request.track_id and not self._is_followed(request.prompt):
            if self._make_room(self.settings.max_tracks + self.settings.max_requested, time_s):
                self._begin(request.prompt, None, time_s, hits=confirmed)

    def _is_followed(self, prompt: Prompt) -> bool:
        found = self._segmenter.decode(prompt).mask
        opened = (mask for key, mask in self._masks.items() if self._tracks[key].opened)
        return any(overlap(found, mask) >= self.settings.discover.same_mask for mask in opened)

    def _make_room(self, limit: int, time_s: float) -> bool:
        """Whether one more track fits, if need be in place of the one that has been hidden longest."""
        if len(self._tracks) < limit:
            return True
        patience = self.settings.life.left_timeout_s
        hidden = [x for x in self._tracks.values() if x.state == "hidden" and time_s - x.seen_s > patience]
        if hidden:
            self._end(min(hidden, key=lambda track: (track.seen_s, track.key)), "replaced")
        return bool(hidden)

    def _keep(self, track: Track, now: Track | None) -> None:
        if now is None:
            self._end(track, "unconfirmed")
        else:
            self._tracks[track.key] = now

    def _end(self, track: Track, reason: str) -> None:
        if track.opened:
            self._sheet.close(track, reason, self._segmenter.embedding(track.object_id))
        self._segmenter.remove_object(track.object_id)
        del self._tracks[track.key]
        self._masks.pop(track.key, None)


def _holds(mask: np.ndarray, thing: Moving) -> bool:
    """Whether a followed mask is what moves: it has the thing's point, or much the same box."""
    height, width = mask.shape
    column, row = (thing.point * (width, height)).astype(int)
    return bool(mask[row, column]) or box_overlap(box_of(mask), thing.box) >= 0.5
