"""The tracks of one camera as they stand on the newest frame, each with its object in the segmenter's session.

Births, ids, places, merging and ends; when to look for new ones is not decided here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from operators.appearance import look_of, shrink
from operators.lifecycle import (
    Track,
    count_apart,
    count_twins,
    doubt,
    hidden_alike,
    hidden_here,
    intruder,
    judged,
    seen,
)
from operators.masks import box_of, share, tidy
from operators.ports import Segmenter
from operators.sheet import Sheet
from operators.track_settings import TrackSettings
from operators.types import Detection, Frame, Prompt


class Cast:
    """Everyone who is followed. ``sheet`` takes down what becomes of them during the clip at hand."""

    def __init__(self, camera_id: str, segmenter: Segmenter, settings: TrackSettings) -> None:
        self.camera_id, self.segmenter, self.settings = camera_id, segmenter, settings
        self.tracks: dict[int, Track] = {}
        self.twins: dict[tuple[int, int], int] = {}
        self.apart: dict[tuple[int, int], int] = {}  # frames on which two were seen side by side
        self.epoch: int | None = None
        self.next_key = 1
        self.next_number = 1
        self.sheet = Sheet(0)
        self.masks: dict[int, np.ndarray] = {}  # of the newest frame, of tracks in view
        self._pixels = np.zeros((1, 1, 3), np.uint8)  # the newest picture

    @property
    def opened(self) -> list[Track]:
        """Tracks that have an id."""
        return [track for track in self.tracks.values() if track.opened]

    def start_scene(self, epoch: int) -> None:
        """After a cut or a new epoch every track has to be found again; ids of an epoch count from one."""
        if epoch != self.epoch:
            self.epoch, self.next_number = epoch, 1
        for track in list(self.tracks.values()):
            self.keep(track, doubt(track))
        self.twins = {}

    def turn_to(self, frame: Frame) -> None:
        """The next frame: nobody has been seen on it yet."""
        self.masks = {}
        self._pixels = frame.pixels

    def look(self, mask: np.ndarray) -> np.ndarray:
        """The colours under a mask on the newest picture."""
        return look_of(shrink(self._pixels, *mask.shape), mask)

    def place(self, track: Track, mask: np.ndarray, score: float, time_s: float) -> None:
        """The track is seen there; it may be believed now, and get its id."""
        now = seen(track, time_s, box_of(mask), share(mask), self.settings.life)
        self.sheet.write(self.sheet.at, track.key, mask, score)
        self.masks[track.key] = mask
        self.tracks[track.key] = now
        if now.state == "active" and not now.opened and not now.muted:
            self._open(now)

    def keep(self, track: Track, now: Track | None) -> None:
        """The track goes on as ``now``; None ends it."""
        if now is None:
            self.end(track, "unconfirmed")
        else:
            self.tracks[track.key] = now

    def admit(self, found: Detection, time_s: float) -> None:
        """Follow a detection: as the hidden track last seen there, or else as a tentative track."""
        mask = tidy(found.mask)
        known = [track for track in self.tracks.values() if track.opened or track.muted]
        old = hidden_here(known, box_of(mask), self.look(mask), time_s, self.settings.life)
        if old is not None:
            self.segmenter.correct(old.object_id, Prompt(mask=mask))
            back = replace(old, hits=self.settings.life.confirmations, strange=0)
            self.place(back, mask, found.score, time_s)
        elif self.make_room(self.settings.max_tracks, time_s):
            self.begin(Prompt(mask=mask), found.score, time_s)

    def begin(self, prompt: Prompt, score: float | None, time_s: float, hits: int = 0) -> Track | None:
        """Begin to follow what the prompt marks; None when nothing is there. Enough ``hits`` give it its id at once."""
        object_id, step = self.segmenter.add_object(prompt)
        mask = tidy(step.mask)
        if not mask.any():
            self.segmenter.remove_object(object_id)
            return None
        self.sheet.shape = mask.shape
        key, self.next_key = self.next_key, self.next_key + 1
        x0, y0, x1, y1 = box_of(mask).tolist()
        track = Track(key, object_id, "tentative", time_s, (x0, y0, x1, y1), share(mask), hits=hits)
        track, _ = judged(track, self.look(mask), self.settings.life)
        self.tracks[key] = track
        self.masks[key] = mask
        self.sheet.write(self.sheet.at, key, mask, step.score if score is None else score)
        self.sheet.born(key)
        if hits < self.settings.life.confirmations:
            return track
        self.tracks[key] = replace(track, state="active", hits=0)
        return self._open(self.tracks[key])

    def make_room(self, limit: int, time_s: float) -> bool:
        """Whether one more track fits, if need be in place of a dropped one, or of the one hidden longest."""
        if len(self.tracks) < limit:
            return True
        patience = self.settings.life.left_timeout_s
        muted = [x for x in self.tracks.values() if x.muted]
        hidden = [
            x
            for x in self.tracks.values()
            if x.state == "hidden" and not x.pinned and time_s - x.seen_s > patience
        ]
        leaving = muted or hidden
        if leaving:
            self.end(min(leaving, key=lambda track: (track.seen_s, track.key)), "replaced")
        return bool(leaving)

    def end(self, track: Track, reason: str) -> None:
        """The track is over, and so is its object in the session."""
        if track.opened:
            self.sheet.close(track, reason, self.segmenter.embedding(track.object_id))
        self.segmenter.remove_object(track.object_id)
        del self.tracks[track.key]
        self.masks.pop(track.key, None)

    def mute(self, track: Track, time_s: float) -> None:
        """A person wants none of it: its id ends, and it is followed in silence so that it is not found anew."""
        self.sheet.close(track, "dropped", self.segmenter.embedding(track.object_id))
        del self.tracks[track.key]
        mask = self.masks.pop(track.key, None)
        key, self.next_key = self.next_key, self.next_key + 1
        until_s = time_s + self.settings.life.mute_s
        self.tracks[key] = replace(track, key=key, track_id="", name="", pinned=False, muted_until_s=until_s)
        if mask is not None:
            self.masks[key] = mask

    def merge_twins(self) -> None:
        """Of two tracks that are one object the older keeps its id, and what is followed is the larger mask."""
        self.twins = count_twins(self.twins, self.masks, self.settings.life)
        for pair, frames in self.twins.items():
            if self.are_rivals(*pair) or not all(key in self.tracks for key in pair):
                continue
            older, younger = (self.tracks[key] for key in pair)
            if not older.opened or not younger.opened:  # nobody has been told of one of them: no need to wait
                self.end(_untold(older, younger), "duplicate")
            elif frames >= self.settings.life.twin_frames and not (older.pinned and younger.pinned):
                self._settle_twins(older, younger)

    def note_apart(self) -> None:
        """Who is seen beside whom."""
        apart = count_apart(self.apart, self.masks, self.settings.life)
        self.apart = {
            pair: frames for pair, frames in apart.items() if all(key in self.tracks for key in pair)
        }

    def are_rivals(self, a: int, b: int) -> bool:
        """Whether two tracks, by key, are known to be two objects."""
        return self.apart.get((min(a, b), max(a, b)), 0) >= self.settings.life.apart_frames

    def reconsider(self, key: int) -> None:
        """The track may be anybody's from here on: a person has put it elsewhere."""
        self.apart = {pair: frames for pair, frames in self.apart.items() if key not in pair}

    def _settle_twins(self, older: Track, younger: Track) -> None:
        """End the intruder; where both belong, a part becomes the whole under the older id. Pinned ones stay."""
        look = self.look(self.masks[younger.key])
        strays = intruder(older, younger, look, self.settings.life) is older
        if younger.pinned or (strays and not older.pinned):
            self.end(older, "duplicate")
        elif younger.area > older.area:
            self.sheet.close(younger, "duplicate", self.segmenter.embedding(younger.object_id))
            self._take_over(older, younger)
        else:
            self.end(younger, "duplicate")

    def _open(self, track: Track) -> Track:
        """Give a confirmed track its id: a new one, or that of the hidden track which it is."""
        looks = {key: self.segmenter.embedding(other.object_id) for key, other in self.tracks.items()}
        old = hidden_alike(track, self.opened, looks, self.settings.life)
        if old is not None:
            return self._take_over(old, track)
        track_id = f"{self.camera_id}-{self.epoch}-{self.next_number:04d}"
        self.next_number += 1
        self.tracks[track.key] = replace(track, track_id=track_id)
        return self.tracks[track.key]

    def _take_over(self, old: Track, new: Track) -> Track:
        """``old`` keeps its id, name and pin, and is from now on what ``new`` follows."""
        self.segmenter.remove_object(old.object_id)
        del self.tracks[new.key]
        kept = {"key": old.key, "track_id": old.track_id, "name": old.name, "pinned": old.pinned}
        self.tracks[old.key] = replace(new, **kept)
        self.masks[old.key] = self.masks.pop(new.key)
        self.sheet.join(old.key, new.key)
        return self.tracks[old.key]


def _untold(older: Track, younger: Track) -> Track:
    """Which of two tracks on one mask to end when nobody knows of one: that one; a muted one stays in silence."""
    if older.opened or younger.opened:
        return older if younger.opened else younger
    return older if younger.muted and not older.muted else younger
