"""From a clip's evidence to a question for the captioner, and from its words to partials."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from contracts import topics
from contracts.cameras import Style
from contracts.narrations import Kind, Partial
from operators.neighbours import choose_neighbours
from operators.observe import seen_frames
from operators.types import Masklet
from pipelines.evidence import Evidence
from pipelines.pictures import shrink
from pipelines.ports import CaptionRequest, ClipScene, Publisher, PublisherFull

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asking:
    """How questions are put. ``question`` words one for a clip of so many seconds and so many neighbours.

    ``questions`` names whose questions these are, ``own`` or ``any`` (see ``CaptionRequest``). ``frames``: most of the
    object's frames that are shown. ``prompt_id`` and ``prompt_version`` name that wording; ``style`` is what the
    camera's settings wanted. ``history``, for captioners trained on it, words the last sentence about the object
    (None: there is none, or it must not be known) for a camera; it is added to the question, unless it is empty.

    ``scene_frames``: most frames of the clip that are shown beside the object's own, the same for all objects of
    the clip (0: none, for captioners that look at objects only); ``compression`` says how, and
    ``compression_cameras`` for cameras that differ.
    """

    question: Callable[[float, int], str]
    prompt_version: str = ""
    prompt_id: str = ""
    style: Style | None = None
    questions: str = ""
    frames: int = 6
    neighbours: int = 0  # most other tracks shown with the one asked about
    long_side_px: int = 320
    max_new_tokens: int = 48
    scene_frames: int = 0
    compression: str = "published"
    compression_cameras: Mapping[str, str] = field(default_factory=dict)
    history: Callable[[str, str | None], str] | None = None

    def compression_of(self, camera_id: str) -> str:
        """How a camera's whole frames are shortened."""
        return self.compression_cameras.get(camera_id, self.compression)

    def history_line(self, camera_id: str, previous: str | None) -> str:
        """What a question says of the last sentence; empty where the captioner is not to know it."""
        return self.history(camera_id, previous) if self.history is not None else ""


def request_of(
    request_id: str,
    evidence: Evidence,
    masklet: Masklet,
    frames: Sequence[int],
    asking: Asking,
    deadline_s: float,
    previous: str | None = None,
    scene: ClipScene | None = None,
) -> CaptionRequest:
    """The question about one track, shown on ``frames`` (positions in the clip) with those near it.

    Times count from the clip's first frame. ``previous`` is the last sentence about the track, for captioners that
    are to know it.
    """
    begin_s = evidence.times_s[0]
    pictured = shown_frames(len(evidence.pictures), frames, asking.scene_frames)
    masked = [frame for frame in frames if frame in pictured]
    shown = [(masklet, tuple(masked)), *_neighbours(evidence, masklet, masked, asking.neighbours)]
    place = {frame: number for number, frame in enumerate(pictured)}
    asked = asking.question(evidence.end_s - begin_s, len(shown) - 1)
    if line := asking.history_line(evidence.camera_id, previous):
        asked = f"{asked}\n{line}"
    return CaptionRequest(
        request_id=request_id,
        pictures=np.stack([shrink(evidence.pictures[frame], asking.long_side_px) for frame in pictured]),
        times_s=np.array([evidence.times_s[frame] - begin_s for frame in pictured], np.float32),
        masks=np.concatenate([one.masks[list(on)] for one, on in shown]),
        mask_frames=tuple(place[frame] for _, on in shown for frame in on),
        objects=tuple(number for number, (_, on) in enumerate(shown) for _ in on),
        question=asked,
        max_new_tokens=asking.max_new_tokens,
        deadline_s=deadline_s,
        scene=scene,
        questions=asking.questions,
    )


def _neighbours(
    evidence: Evidence, masklet: Masklet, frames: Sequence[int], limit: int
) -> list[tuple[Masklet, tuple[int, ...]]]:
    """Other tracks that came near this one, nearest first, with the frames to show them on."""
    if not limit:
        return []
    others = [
        one
        for one in evidence.masklets
        if one.track_id != masklet.track_id
        and one.state != "tentative"
        and one.masks.shape == masklet.masks.shape
    ]
    sights = [(one.boxes, seen_frames(one)) for one in others]
    near = choose_neighbours(masklet.boxes, seen_frames(masklet), sights, frames, limit)
    return [(others[neighbour.index], neighbour.frames) for neighbour in near]


def shown_frames(count: int, frames: Sequence[int], most: int) -> list[int]:
    """Which of a clip's ``count`` frames the captioner gets, rising.

    Only the object's own ``frames`` where no scene is shown (``most`` is 0); else at most so many, spread evenly
    from the first to the last, and the object's frames with them if it is on none of those.
    """
    if most == 0:
        return sorted(frames)
    even = np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()
    spread = even if most > 1 else [count - 1]
    return spread if set(spread) & set(frames) else sorted({*spread, *frames})


class PartialTeller:
    """Publishes the text so far with every token, best effort: a full or absent broker costs only the preview."""

    def __init__(
        self,
        publisher: Publisher | None,
        shown: Callable[[str], bool],
        *,
        narration_id: str,
        camera_id: str,
        track_id: str,
        kind: Kind,
        span_s: tuple[float, float],
        name: str | None = None,
    ) -> None:
        self._publisher = publisher
        self._shown = shown
        self._narration_id, self._camera_id, self._track_id = narration_id, camera_id, track_id
        self._kind: Kind = kind
        self._span_s, self._name = span_s, name
        self._text = ""
        self._seq = 0

    def __call__(self, piece: str, probability: float) -> bool:
        """Take one token; True: go on."""
        self._text += piece
        if self._publisher is not None and piece and self._shown(self._text):
            partial = Partial(
                narration_id=self._narration_id,
                camera_id=self._camera_id,
                track_id=self._track_id,
                seq=self._seq,
                text=self._text,
                kind=self._kind,
                name=self._name,
                start_s=self._span_s[0],
                end_s=self._span_s[1],
            )
            self._seq += 1
            self._publish(partial)
        return True

    def _publish(self, partial: Partial) -> None:
        assert self._publisher is not None
        try:
            self._publisher.publish(topics.PARTIALS, partial.camera_id, partial.to_bytes())
        except (PublisherFull, RuntimeError) as error:
            log.debug("partial of %s not published: %s", partial.narration_id, error)
