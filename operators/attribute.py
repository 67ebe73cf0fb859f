"""Attribute: which mask on the newest frame is whose, and which is nobody's.

What the segmenter says of a track is taken for it if it can be the track: within its reach, not somebody else's, of
its colours. Otherwise the memory is told to forget it, so that the track does not learn another object, and the track
is looked for once more where it should be, without memory. Who is not found is out of sight.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from operators.appearance import likeness
from operators.cast import Cast
from operators.contend import Claim, contend
from operators.foresee import foreseen
from operators.lifecycle import Track, in_reach, judged, unseen
from operators.masks import box_of, box_overlap, inside, share, tidy
from operators.types import Prompt, Step


def attribute(cast: Cast, steps: Mapping[int, Step], time_s: float) -> None:
    """Place every track of the cast on the newest frame, or hide it; ``steps`` by the segmenter's object ids."""
    claims = {}
    for track in cast.tracks.values():
        step = steps[track.object_id]
        cast.sheet.shape = step.mask.shape
        if (claim := _claim(cast, track, step, time_s)) is not None:
            claims[track.key] = claim
    masks = contend(list(claims.values()), cast.are_rivals)
    missing = [
        track
        for track in list(cast.tracks.values())
        if track.key not in masks
        or not _recognised(cast, track, masks[track.key], steps[track.object_id].score, time_s)
    ]
    for track in missing:
        _miss(cast, cast.tracks[track.key], steps[track.object_id], time_s)


def _claim(cast: Cast, track: Track, step: Step, time_s: float) -> Claim | None:
    """What a track may claim of the frame; None where it is not seen, or where it cannot be."""
    mask, life = tidy(step.mask), cast.settings.life
    if step.presence <= 0 or not life.min_visible <= share(mask) <= life.max_visible:
        return None
    box = box_of(mask)
    if not in_reach(track, box, time_s, life):
        return None
    return Claim(track.key, mask, _fit(cast, track, mask, box, time_s))


def _fit(cast: Cast, track: Track, mask: np.ndarray, box: np.ndarray, time_s: float) -> float:
    place = foreseen(track.box, track.velocity, time_s - track.seen_s, cast.settings.life.foresee)
    alike = likeness(np.array(track.look, np.float32), cast.look(mask)) if track.look else 1.0
    sizes = sorted((share(mask), track.area))
    return alike + box_overlap(place, box) + sizes[0] / max(sizes[1], 1e-9) + (track.state != "hidden")


def _recognised(cast: Cast, track: Track, mask: np.ndarray, score: float, time_s: float) -> bool:
    mask = tidy(mask)
    track, own = judged(track, cast.look(mask), cast.settings.life)
    cast.tracks[track.key] = track
    if own:
        cast.place(track, mask, score, time_s)
    return own


def _miss(cast: Cast, track: Track, step: Step, time_s: float) -> None:
    """The memory does not show the track: where should it be?"""
    if step.presence > 0:
        cast.segmenter.retract(track.object_id)
    found = _second_look(cast, track, time_s)
    if found is None:
        cast.keep(track, unseen(track))
        return
    mask, score = found
    cast.segmenter.correct(track.object_id, Prompt(mask=mask))
    cast.place(track, mask, score, time_s)


def _second_look(cast: Cast, track: Track, time_s: float) -> tuple[np.ndarray, float] | None:
    """What lies, free of others, where a track should be that was seen a moment ago, if it looks and is sized alike."""
    life, rules = cast.settings.life, cast.settings.discover
    unseen_s = time_s - track.seen_s
    if not track.look or track.doubted or not track.opened or unseen_s > life.foresee.coast_s:
        return None
    place = np.clip(foreseen(track.box, track.velocity, unseen_s, life.foresee), 0.0, 1.0)
    if not (place[2:] > place[:2]).all():
        return None
    found = cast.segmenter.decode(Prompt(box=place))
    mask = tidy(found.mask)
    if found.presence <= 0 or found.score < rules.min_score or share(mask) < life.min_visible:
        return None
    held = np.logical_or.reduce([np.zeros_like(mask), *cast.masks.values()])
    if (mask & held).sum() > (1 - rules.min_unclaimed) * mask.sum():
        return None
    mask = tidy(mask & ~held)
    box, alike = box_of(mask), likeness(np.array(track.look, np.float32), cast.look(mask))
    sizes = sorted((share(mask), track.area))
    if alike < life.same_look or sizes[1] > life.again_size * sizes[0]:
        return None
    if inside(mask, place) < life.again_inside or not in_reach(track, box, time_s, life):
        return None
    return mask, found.score
