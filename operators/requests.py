"""What a person asks of the tracks of a camera, and how it is met on the frame at hand: at once, without doubt.

A person's word needs no confirmation; what cannot be met is refused with the reason, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from operators.cast import Cast
from operators.lifecycle import Track
from operators.masks import box_of, box_overlap, overlap, tidy
from operators.types import Outcome, Prompt

ASTRAY = 0.3
"""Overlap of boxes below which a correction is about another place than the track's."""

Deed = Literal["mark", "rename", "pin", "unpin", "drop"]


@dataclass(frozen=True, slots=True)
class Request:
    """A person's wish. ``mark``: follow what the prompt marks, or correct the track that is named by it.

    ``frame`` is the position in the clip at which it takes effect; ``name`` is for ``rename``, and for what is newly
    followed.
    """

    prompt: Prompt | None = None
    track_id: str = ""
    deed: Deed = "mark"
    name: str = ""
    frame: int = 0
    request_id: str = ""


def meet(cast: Cast, request: Request, time_s: float) -> Outcome:
    """Do what is asked, on the newest frame."""
    if request.deed == "mark" and not request.track_id:
        return _follow(cast, request, time_s)
    named = next((track for track in cast.opened if track.track_id == request.track_id), None)
    if named is None:
        words = f"no track {request.track_id} is followed (any more)"
        return Outcome(request.request_id, "track_unknown", request.track_id, words)
    return _DEEDS[request.deed](cast, request, named, time_s)


def _follow(cast: Cast, request: Request, time_s: float) -> Outcome:
    settings = cast.settings
    assert request.prompt is not None, "a request to follow has a prompt"
    try:
        known = _already(cast, request.prompt)
        if known is None:
            if not cast.make_room(settings.max_tracks + settings.max_requested, time_s):
                words = f"{len(cast.tracks)} objects are followed already: drop one of them"
                return Outcome(request.request_id, "no_room", words=words)
            began = cast.begin(request.prompt, None, time_s, hits=settings.life.confirmations)
        else:
            began = known
    except ValueError as error:  # the segmenter cannot use the prompt
        return _nothing(request, str(error))
    if began is None:
        return _nothing(request, "the tracker sees no object at the marked place")
    named = replace(began, name=request.name) if request.name else began
    cast.tracks[named.key] = named
    return _done(cast, request, named, "followed" if known is None else "already_followed", time_s)


def _already(cast: Cast, prompt: Prompt) -> Track | None:
    """The track in view that a prompt marks, if there is one."""
    found = cast.segmenter.decode(prompt).mask
    alike = [
        (overlap(found, cast.masks[track.key]), track) for track in cast.opened if track.key in cast.masks
    ]
    likeness, track = max(alike, key=lambda pair: (pair[0], -pair[1].key), default=(0.0, None))
    return track if likeness >= cast.settings.discover.same_mask else None


def _correct(cast: Cast, request: Request, track: Track, time_s: float) -> Outcome:
    assert request.prompt is not None, "a request to correct has a prompt"
    try:
        prompt = _relocated(cast, track, request.prompt)
        step = cast.segmenter.correct(track.object_id, prompt)
    except ValueError as error:
        return _nothing(request, str(error))
    mask = tidy(step.mask)
    if not mask.any():
        return _nothing(request, "the tracker sees nothing of it at the marked place")
    # A person knows better than what was remembered of its colours.
    meant = replace(track, hits=cast.settings.life.confirmations, look=(), strange=0)
    cast.reconsider(track.key)
    cast.sheet.shape = mask.shape
    cast.place(meant, mask, step.score, time_s)
    return _done(cast, request, cast.tracks[track.key], "corrected", time_s)


def _relocated(cast: Cast, track: Track, prompt: Prompt) -> Prompt:
    """The prompt of a correction; the mask of what it marks where that is elsewhere than the track is.

    What a track that has gone astray remembers is of the wrong object: a prompt there is not to be read in its light.
    """
    if prompt.mask is not None or not _is_elsewhere(prompt, cast.masks.get(track.key)):
        return prompt
    found = cast.segmenter.decode(prompt)
    mask = tidy(found.mask)
    return Prompt(mask=mask) if found.presence > 0 and mask.any() else prompt


def _is_elsewhere(prompt: Prompt, mask: np.ndarray | None) -> bool:
    """Whether a box hardly overlaps with the mask's, or no click on the object lies on the mask."""
    if prompt.box is not None:
        return mask is None or box_overlap(box_of(mask), prompt.box) < ASTRAY
    if prompt.points is None or prompt.labels is None or not (prompt.labels == 1).any():
        return False
    if mask is None:
        return True
    inside = prompt.points[prompt.labels == 1] * (mask.shape[1], mask.shape[0])
    columns, rows = np.minimum(inside.astype(int), (mask.shape[1] - 1, mask.shape[0] - 1)).T
    return not mask[rows, columns].any()


def _rename(cast: Cast, request: Request, track: Track, time_s: float) -> Outcome:
    cast.tracks[track.key] = replace(track, name=request.name)
    return _done(cast, request, cast.tracks[track.key], "renamed", time_s)


def _pin(cast: Cast, request: Request, track: Track, time_s: float) -> Outcome:
    limit = cast.settings.max_pinned
    if not track.pinned and sum(other.pinned for other in cast.tracks.values()) >= limit:
        words = f"{limit} tracks are pinned already: unpin one of them"
        return Outcome(request.request_id, "too_many_pinned", track.track_id, words)
    cast.tracks[track.key] = replace(track, pinned=True)
    return _done(cast, request, cast.tracks[track.key], "pinned", time_s)


def _unpin(cast: Cast, request: Request, track: Track, time_s: float) -> Outcome:
    cast.tracks[track.key] = replace(track, pinned=False)
    return _done(cast, request, cast.tracks[track.key], "unpinned", time_s)


def _drop(cast: Cast, request: Request, track: Track, time_s: float) -> Outcome:
    done = _done(cast, request, track, "dropped", time_s)
    cast.mute(track, time_s)
    return replace(done, mask=None)


_DEEDS: dict[Deed, Callable[[Cast, Request, Track, float], Outcome]] = {
    "mark": _correct,
    "rename": _rename,
    "pin": _pin,
    "unpin": _unpin,
    "drop": _drop,
}


def _done(cast: Cast, request: Request, track: Track, code: str, time_s: float) -> Outcome:
    mask: np.ndarray | None = cast.masks.get(track.key)
    return Outcome(request.request_id, code, track.track_id, name=track.name, time_s=time_s, mask=mask)


def _nothing(request: Request, words: str) -> Outcome:
    return Outcome(request.request_id, "nothing_there", request.track_id, words)
