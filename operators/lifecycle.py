"""The life of one track: tentative, active, hidden, retired. Pure rules on what the segmenter says each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from operators.appearance import likeness
from operators.foresee import ForeseeSettings, foreseen, reaches, velocity_after
from operators.masks import at_border, box_area, box_overlap, overlap
from operators.types import TrackState


@dataclass(frozen=True, slots=True)
class LifeSettings:
    """When a track is believed, given up, found again or merged. Times are seconds of camera time."""

    confirmations: int = 2  # frames in view after birth until a track is opened
    hide_timeout_s: float = 8.0
    left_timeout_s: float = 2.0  # for what was last seen at the border, or before a cut
    min_visible: float = 0.0003  # smallest mask that counts as seen, share of the picture
    max_visible: float = 0.7  # a mask that floods the picture has lost its object
    twin_overlap: float = 0.8  # two tracks this much alike ...
    twin_inside: float = 0.85  # ... or with so much of the smaller one in the larger ...
    twin_frames: int = 5  # ... for so many frames in a row are one object
    refind_overlap: float = 0.3  # box overlap with the last box at which a hidden track is meant
    refind_likeness: float = 0.9  # cosine of appearances at which it is meant elsewhere
    refind_margin: float = 0.05  # and by so much more than any other track in view
    refind_size: float = 4.0  # largest ratio of areas
    refind_look: float = 0.5  # least likeness of colours (histogram intersection)
    refind_far_look: float = 0.65  # the same where only its reach speaks for a hidden track, not its place
    same_look: float = 0.55  # below this a mask shows something else; 5 % of honest masks do, for a moment
    intruder_margin: float = 0.08  # of two tracks that meet, one so much less like itself is the intruder
    strange_frames: int = 2  # ... and for so many frames in a row it has jumped to another object
    look_pace: float = 0.1  # share of the newest look in what is remembered
    mute_s: float = 60.0  # what a person dropped is not taken up again by itself for so long
    apart_frames: int = 3  # two tracks seen side by side for so many frames are two objects for good
    apart_inside: float = 0.3  # side by side: less than this of the smaller in the larger
    again_size: float = 2.0  # looked for once more: largest ratio of areas
    again_inside: float = 0.7  # ... and the part of it that must lie where it should be
    foresee: ForeseeSettings = field(default_factory=ForeseeSettings)


@dataclass(frozen=True, slots=True)
class Track:
    """One track as it stands after the newest frame.

    ``key`` orders tracks by birth; ``track_id`` is empty until the track is opened; ``object_id`` is the
    segmenter's. ``box`` and ``area`` (share of the picture) are those of the last frame it was seen on.
    """

    key: int
    object_id: int
    state: TrackState
    seen_s: float
    box: tuple[float, float, float, float]
    area: float
    track_id: str = ""
    hits: int = 0  # frames seen in a row without being active
    doubted: bool = False  # the scene was cut: believed again only when confirmed again
    look: tuple[float, ...] = ()  # colours it is known by, see operators.appearance
    strange: int = 0  # frames in a row on which its mask looked like something else
    name: str = ""  # what a person calls it
    pinned: bool = False  # a person wants it kept: it ends only when dropped
    muted_until_s: float = 0.0  # dropped by a person: followed without an id until then; 0: not dropped
    velocity: tuple[float, float] = (0.0, 0.0)  # shares of the picture a second

    @property
    def opened(self) -> bool:
        return bool(self.track_id)

    @property
    def muted(self) -> bool:
        return self.muted_until_s > 0


def seen(track: Track, time_s: float, box: np.ndarray, area: float, settings: LifeSettings) -> Track:
    """The track after a frame on which its object is in view; it may have become active."""
    hits = 0 if track.state == "active" else track.hits + 1
    doubtful = track.state == "tentative" or track.doubted
    if doubtful and hits < settings.confirmations:
        # A doubted track must not take its place and look from what it may have jumped to.
        return replace(track if track.doubted else _placed(track, time_s, box, area, settings), hits=hits)
    return replace(_placed(track, time_s, box, area, settings), state="active", hits=0, doubted=False)


def _placed(track: Track, time_s: float, box: np.ndarray, area: float, settings: LifeSettings) -> Track:
    velocity = (0.0, 0.0)  # where it cannot have gone by itself: a cut, a person's correction
    if in_reach(track, box, time_s, settings):
        elapsed_s = time_s - track.seen_s
        velocity = velocity_after(track.box, track.velocity, elapsed_s, box, settings.foresee)
    return replace(track, seen_s=time_s, box=_corners(box), area=area, velocity=velocity)


def in_reach(track: Track, box: np.ndarray, time_s: float, settings: LifeSettings) -> bool:
    """Whether the track can be in ``box`` by now; after a cut, or unseen for long, it can be anywhere."""
    if track.doubted or time_s - track.seen_s > settings.hide_timeout_s:
        return True
    return reaches(track.box, track.velocity, time_s - track.seen_s, box, settings.foresee)


def judged(track: Track, look: np.ndarray, settings: LifeSettings) -> tuple[Track, bool]:
    """The track with its memory of colours, and whether this frame's mask is to be taken for its own.

    A mask that looks otherwise for a moment (a passer-by in front, a flash) is taken; one that stays otherwise
    is not, so that a name never wanders from one object to another.
    """
    if not track.look:
        return replace(track, look=_rounded(look)), True
    known = np.array(track.look, np.float32)
    if likeness(known, look) < settings.same_look:
        strange = track.strange + 1
        return replace(track, strange=strange), strange < settings.strange_frames
    mixed = (1 - settings.look_pace) * known + settings.look_pace * look
    return replace(track, look=_rounded(mixed), strange=0), True


def intruder(older: Track, younger: Track, look: np.ndarray, settings: LifeSettings) -> Track:
    """Which of two tracks on the same mask does not belong there: the one less like itself, else the younger."""
    if not older.look or not younger.look:
        return younger
    own, others = (likeness(np.array(track.look, np.float32), look) for track in (older, younger))
    return older if others > own + settings.intruder_margin else younger


def looks_like(track: Track, look: np.ndarray, settings: LifeSettings) -> bool:
    """Whether a newcomer has the colours of this track; true when the track is not known by any."""
    return not track.look or likeness(np.array(track.look, np.float32), look) >= settings.refind_look


def unseen(track: Track) -> Track | None:
    """The track after a frame without its object: hidden, or None for a tentative one, which is given up."""
    return None if track.state == "tentative" else replace(track, state="hidden", hits=0)


def doubt(track: Track) -> Track | None:
    """The track after a cut: kept only if it is found again."""
    return None if track.state == "tentative" else replace(track, state="hidden", hits=0, doubted=True)


def expired(track: Track, time_s: float, settings: LifeSettings) -> str:
    """Why a track is to be retired now: ``left``, ``cut`` or ``lost`` for a hidden one; empty while it goes on.

    A pinned track may return at any time; a muted one has its time, wherever it is.
    """
    if track.muted:
        return "muted" if time_s > track.muted_until_s else ""
    hidden_s = time_s - track.seen_s
    if track.state != "hidden" or track.pinned:
        return ""
    if hidden_s > settings.left_timeout_s and track.doubted:
        return "cut"
    if hidden_s > settings.left_timeout_s and at_border(np.array(track.box)):
        return "left"
    return "lost" if hidden_s > settings.hide_timeout_s else ""


def hidden_here(
    tracks: Sequence[Track], box: np.ndarray, look: np.ndarray, time_s: float, settings: LifeSettings
) -> Track | None:
    """The hidden track that a newcomer in ``box`` with this ``look`` is, if there is one.

    It was last seen there, or should be there by now; or it can have come there and looks much like it.
    """
    fits = [
        (fit, track)
        for track in tracks
        if track.state == "hidden" and (fit := _fit(track, box, look, time_s, settings)) > 0
    ]
    return max(fits, key=lambda pair: (pair[0], -pair[1].key), default=(0.0, None))[1]


def _fit(track: Track, box: np.ndarray, look: np.ndarray, time_s: float, settings: LifeSettings) -> float:
    """How well a newcomer fits a hidden track, 0 where it cannot be it."""
    alike = likeness(np.array(track.look, np.float32), look) if track.look else settings.refind_look
    if alike < settings.refind_look:
        return 0.0
    last = np.array(track.box, np.float32)
    ahead = foreseen(track.box, track.velocity, time_s - track.seen_s, settings.foresee)
    near = max(box_overlap(last, box), box_overlap(ahead, box))
    if near >= settings.refind_overlap:
        return alike + near
    far = alike >= settings.refind_far_look and in_reach(track, box, time_s, settings)
    sizes = sorted((box_area(last), box_area(box)))
    return alike if far and sizes[1] <= settings.refind_size * sizes[0] else 0.0


def hidden_alike(
    newcomer: Track, tracks: Sequence[Track], looks: Mapping[int, np.ndarray | None], settings: LifeSettings
) -> Track | None:
    """The hidden track that ``newcomer`` looks like, clearly more than like any track in view.

    ``looks`` holds appearances by key. Without the margin a segmenter whose objects all look alike would
    give every newcomer somebody else's name.
    """
    own = looks.get(newcomer.key)
    if own is None:
        return None
    others = [track for track in tracks if track.key != newcomer.key]
    likenesses = {track.key: _cosine(own, looks.get(track.key)) for track in others}
    rival = max((likenesses[track.key] for track in others if track.state != "hidden"), default=-1.0)
    wanted = max(settings.refind_likeness, rival + settings.refind_margin)
    alike = [
        track
        for track in others
        if track.state == "hidden"
        and likenesses[track.key] >= wanted
        and looks_like(track, np.array(newcomer.look, np.float32), settings)
        and max(track.area, newcomer.area) <= settings.refind_size * min(track.area, newcomer.area)
    ]
    return max(alike, key=lambda track: (likenesses[track.key], -track.key), default=None)


def count_twins(
    before: Mapping[tuple[int, int], int], masks: Mapping[int, np.ndarray], settings: LifeSettings
) -> dict[tuple[int, int], int]:
    """For how many frames in a row each pair of keys (older, younger) has been alike, or one within the other.

    Masks of different objects hardly overlap, whatever stands before what: one within another is its part.
    """
    keys = sorted(masks)
    pairs = [(a, b) for at, a in enumerate(keys) for b in keys[at + 1 :]]
    alike = (pair for pair in pairs if _are_twins(masks[pair[0]], masks[pair[1]], settings))
    return {pair: before.get(pair, 0) + 1 for pair in alike}


def count_apart(
    before: Mapping[tuple[int, int], int], masks: Mapping[int, np.ndarray], settings: LifeSettings
) -> dict[tuple[int, int], int]:
    """For how many frames each pair of keys (older, younger) has been seen side by side, up to as many as matter.

    Parts of one object come to lie in one mask sooner or later; two objects only when one hides the other.
    """
    counts = dict(before)
    keys = sorted(masks)
    for at, a in enumerate(keys):
        for b in keys[at + 1 :]:
            shared = np.count_nonzero(masks[a] & masks[b])
            if shared < settings.apart_inside * min(np.count_nonzero(masks[a]), np.count_nonzero(masks[b])):
                counts[a, b] = min(counts.get((a, b), 0) + 1, settings.apart_frames)
    return counts


def _are_twins(a: np.ndarray, b: np.ndarray, settings: LifeSettings) -> bool:
    shared, smaller = np.count_nonzero(a & b), min(np.count_nonzero(a), np.count_nonzero(b))
    return shared >= settings.twin_inside * smaller or overlap(a, b) > settings.twin_overlap


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in box)
    return x0, y0, x1, y1


def _rounded(look: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in look)


def _cosine(a: np.ndarray, b: np.ndarray | None) -> float:
    if b is None:
        return -1.0
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))
