"""From the operators' values to messages."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping

import numpy as np

from contracts import topics
from contracts.base import Message
from contracts.clips import ClipFrame, clip_id
from contracts.deadletter import VALUE_LIMIT_BYTES, DeadLetter
from contracts.events import Gap, TrackEvent, gap_id
from contracts.narrations import Tokens
from contracts.tracks import Rle, TrackFrame, TrackUpdate
from operators.chunk import Hole
from operators.types import Clip, Masklet, TrackedClip
from pipelines.ports import CaptionAnswer, Output, Record


def output(topic: str, camera_id: str, message: Message) -> Output:
    """The message as a record on its topic, keyed by camera."""
    return Output(topic, camera_id, message.to_bytes(), {"schema": topic.encode()})


def rle(mask: np.ndarray) -> Rle:
    """bool [h, w] as run lengths in row-major order, the first run counting zeros."""
    flat = mask.ravel()
    borders = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], borders, [flat.size]))).tolist()
    return Rle(height=mask.shape[0], width=mask.shape[1], counts=[0, *counts] if flat[0] else counts)


def mask_of(runs: Rle) -> np.ndarray:
    """Run lengths as bool [h, w]. Raises ValueError when they do not fill the mask."""
    values = np.arange(len(runs.counts)) % 2 == 1
    flat = np.repeat(values, runs.counts)
    if flat.size != runs.height * runs.width:
        raise ValueError(f"run lengths cover {flat.size} of {runs.height * runs.width} pixels")
    return flat.reshape(runs.height, runs.width)


def clip_frames(clip: Clip) -> list[ClipFrame]:
    return [ClipFrame(index=frame.index, pts_s=frame.pts_s, time_s=frame.time_s) for frame in clip.frames]


def track_update(
    clip: Clip, masklet: Masklet, crop_ref: str | None = None, mask_ref: str | None = None
) -> TrackUpdate:
    """The masklet as a message; frames on which it is not visible are left out."""
    frames = [
        TrackFrame(
            time_s=clip.frames[i].time_s,
            pts_s=clip.frames[i].pts_s,
            box=_box(masklet.boxes[i]),
            area=float(masklet.masks[i].mean()),
            score=_unit(masklet.scores[i]),
            mask=rle(masklet.masks[i]),
        )
        for i in np.flatnonzero(masklet.visible)
    ]
    vector = masklet.embedding
    return TrackUpdate(
        track_id=masklet.track_id,
        camera_id=clip.camera_id,
        epoch=clip.epoch,
        clip_id=clip_id(clip.camera_id, clip.epoch, clip.index),
        clip_index=clip.index,
        state=masklet.state,
        frames=frames,
        crop_ref=crop_ref,
        mask_ref=mask_ref,
        embedding=None if vector is None else [round(float(value), 4) for value in vector],
        name=masklet.name or None,
        pinned=masklet.pinned or None,
    )


def track_events(tracked: TrackedClip) -> list[TrackEvent]:
    """What happened to tracks during the clip, in order of kind; ids derive from track, kind and clip."""
    by_id = {masklet.track_id: masklet for masklet in tracked.masklets}
    events = [
        _event(tracked, "opened", track, _opened_s(tracked, by_id.get(track))) for track in tracked.opened
    ]
    events += [
        _event(tracked, "returned", t, _seen_s(tracked, by_id.get(t), first=True)) for t in tracked.returned
    ]
    events += [
        _event(tracked, "hidden", t, _seen_s(tracked, by_id.get(t), first=False)) for t in tracked.hidden
    ]
    events += [_event(tracked, "closed", t, tracked.clip.end_s, why) for t, why in tracked.closed.items()]
    return events


def gap(hole: Hole) -> Gap:
    return Gap(
        gap_id=gap_id(hole.camera_id, hole.start_s),
        camera_id=hole.camera_id,
        epoch=hole.epoch,
        start_s=hole.start_s,
        end_s=hole.end_s,
        reason=hole.reason,
        cause=hole.cause[:500],
    )


def dead_letter(record: Record, cause: str, at_s: float, met_by: str = "tracker") -> Output:
    """The record's origin, cause and first bytes, keyed like the record itself."""
    value = record.value or b""
    letter = DeadLetter(
        letter_id=f"{record.topic}-{record.partition}-{record.offset}",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        cause=cause[:1000],
        met_by=met_by,
        at_s=at_s,
        value=_base64(value[:VALUE_LIMIT_BYTES]),
        value_bytes=len(value),
    )
    return output(topics.DEADLETTER, record.key or "unknown", letter)


def tokens_of(answer: CaptionAnswer) -> Tokens:
    """What an answer cost, in tokens."""
    parts = {name: answer.budget.get(name, 0) for name in ("text", "anchor", "body", "dropped")}
    return Tokens(
        prompt=answer.prompt_tokens, object=answer.object_tokens, output=len(answer.probabilities), **parts
    )


def outputs_of(topic: str, camera_id: str, messages: Iterable[Message]) -> tuple[Output, ...]:
    return tuple(output(topic, camera_id, message) for message in messages)


def rounded(stages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 4) for name, seconds in stages.items()}


def _base64(value: bytes) -> bytes:
    """Pydantic's Base64Bytes takes encoded text in and gives it out again."""
    return base64.b64encode(value)


def _unit(value: float) -> float:
    return round(min(1.0, max(0.0, float(value))), 5)


def _box(values: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (_unit(value) for value in values)
    return x0, y0, x1, y1


def _event(
    tracked: TrackedClip, kind: str, track_id: str, time_s: float, reason: str | None = None
) -> TrackEvent:
    clip = tracked.clip
    return TrackEvent(
        event_id=f"{track_id}.{kind}.c{clip.index:06d}",
        kind=kind,  # type: ignore[arg-type]  # checked by pydantic
        track_id=track_id,
        camera_id=clip.camera_id,
        epoch=clip.epoch,
        clip_id=clip_id(clip.camera_id, clip.epoch, clip.index),
        time_s=time_s,
        reason=reason,
    )


def _opened_s(tracked: TrackedClip, masklet: Masklet | None) -> float:
    position = masklet.born_at if masklet is not None and masklet.born_at is not None else 0
    return tracked.clip.frames[position].time_s


def _seen_s(tracked: TrackedClip, masklet: Masklet | None, first: bool) -> float:
    """Camera time of the first or last frame of the clip on which the track is visible; else the clip's begin."""
    visible = np.flatnonzero(masklet.visible) if masklet is not None else []
    if not len(visible):
        return tracked.clip.start_s
    return tracked.clip.frames[int(visible[0 if first else -1])].time_s
