"""People's prompts on their way into the tracker: which take effect in a clip and on which of its frames, and answers.

Everything a prompt does is part of its clip: the answer is in the clip's transaction, and that it was answered stands
in the clip's checkpoint. So a clip that is done again does it again, and one that counts has done it once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from contracts import topics
from contracts.clips import clip_id
from contracts.prompts import Deed, Passing, PromptAnswer, TrackPrompt
from operators.carry import carry
from operators.masks import box_of
from operators.ports import Segmenter
from operators.requests import Request
from operators.track import Tracker
from operators.types import Clip, Outcome, Prompt
from pipelines.evidence import Evidence
from pipelines.inbox import Asked, PromptInbox
from pipelines.marks import prompt_of
from pipelines.ports import Clock, ObjectMissing, ObjectStore, Output
from pipelines.prompt_book import HELD_S, PromptBook
from pipelines.translate import outputs_of, rle

log = logging.getLogger(__name__)

MOST_WAITING = 16
"""Prompts of one camera that may wait; more are refused."""
MOST_A_CLIP = 8
MOST_CARRIED = 4
"""Prompts on past pictures in one clip; each follows its object up to the present on its own."""
MOST_PICTURES = 32
"""On the way from a past picture to the present; more are thinned out."""
SILENT_S = 5.0
"""After this long beyond its time a prompt of a camera that sends nothing is refused without a clip."""


@dataclass
class Due:
    """What of the waiting prompts concerns a clip: requests for the tracker, and answers that need no tracker."""

    requests: list[Request] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)  # by prompt id: those of the requests
    answers: list[tuple[int, PromptAnswer]] = field(default_factory=list)  # with the offsets of their prompts
    trails: dict[str, list[Passing]] = field(default_factory=dict)  # by prompt id: of marks on past pictures

    @property
    def mark(self) -> str:
        """A short name for the prompts that change the clip, empty for none: what is stored of it differs by them."""
        answered = (f"{answer.prompt_id}:{answer.code}" for _, answer in self.answers)
        met = " ".join(sorted([*self.asked, *answered]))
        return hashlib.sha256(met.encode()).hexdigest()[:8] if met else ""


class Prompting:
    """``open_segmenter`` gives sessions for pictures of a shape [H, W, 3], to carry marks from past pictures."""

    def __init__(
        self,
        inbox: PromptInbox,
        store: ObjectStore,
        clock: Clock,
        open_segmenter: Callable[[tuple[int, ...]], Segmenter],
    ) -> None:
        self._inbox, self._store, self._clock = inbox, store, clock
        self._open_segmenter = open_segmenter

    def due(self, tracker: Tracker, clip: Clip, poisoned: bool = False) -> Due:
        """What waits for this clip. ``poisoned``: it failed before, and no prompt may cost it its last try."""
        book, due, carried = PromptBook.of(clip.camera_id, dict(tracker.notes)), Due(), 0
        waiting = 0
        for asked in self._inbox.of(clip.camera_id):
            prompt, known = asked.prompt, book.entry(asked.prompt.prompt_id)
            if known is not None:
                if asked.offset > known.offset:  # sent again: answered again
                    due.answers.append((asked.offset, known.answer))
                continue
            if prompt.prompt_id in due.asked:
                continue
            if refused := self._refusal(prompt, waiting, poisoned):
                due.answers.append((asked.offset, refused))
                continue
            waiting += 1
            frame = frame_of(prompt, clip)
            if frame is None or len(due.requests) >= MOST_A_CLIP:
                continue  # a later clip
            if frame < 0 and carried >= MOST_CARRIED:
                continue
            carried += frame < 0
            made = self._request(asked, clip, frame, book, due)
            if isinstance(made, Request):
                due.requests.append(made)
                due.asked[prompt.prompt_id] = asked
            else:
                due.answers.append((asked.offset, made))
        return due

    def settle(
        self, tracker: Tracker, clip: Clip, due: Due, outcomes: Iterable[Outcome], evidence_ref: str
    ) -> tuple[Output, ...]:
        """Answers as messages; what is to be remembered of them is put into the tracker's notes."""
        book = PromptBook.of(clip.camera_id, dict(tracker.notes))
        answers = list(due.answers)
        for outcome in outcomes:
            asked = due.asked[outcome.request_id]
            trail = due.trails.get(outcome.request_id)
            answers.append((asked.offset, self._answer(asked.prompt, outcome, clip, trail)))
        for offset, answer in answers:
            book.note(offset, answer)
            log.info("camera %s: prompt %s: %s", clip.camera_id, answer.prompt_id, answer.code)
        book.hold(clip, evidence_ref)
        tracker.notes = book.notes()
        return outputs_of(topics.PROMPTS, clip.camera_id, [answer for _, answer in answers])

    def waits(self, camera_id: str, tracker: Tracker | None, until_s: float) -> bool:
        """Whether a prompt would take effect in a clip that ended at ``until_s`` (camera time)."""
        asked = self._inbox.of(camera_id)
        wanted = [a.prompt for a in asked if not _is_for_later(a.prompt, until_s)]
        if not wanted:
            return False
        book, now_s = PromptBook.of(camera_id, dict(tracker.notes) if tracker else {}), self._clock.now()
        return any(p.valid_until > now_s and book.entry(p.prompt_id) is None for p in wanted)

    def overdue(self, camera_id: str, tracker: Tracker | None) -> list[PromptAnswer]:
        """Refusals of prompts that no clip has come for: the camera is silent, or far behind."""
        due_s = self._clock.now() - SILENT_S
        late = [a.prompt for a in self._inbox.of(camera_id) if a.prompt.valid_until < due_s]
        if not late:
            return []
        book = PromptBook.of(camera_id, dict(tracker.notes) if tracker else {})
        return [self._too_late(prompt) for prompt in late if book.entry(prompt.prompt_id) is None]

    def forget(self, answers: Iterable[PromptAnswer]) -> None:
        """These were given, and that is committed."""
        for answer in answers:
            self._inbox.forget(answer.camera_id, answer.prompt_id)

    def _refusal(self, prompt: TrackPrompt, waiting: int, poisoned: bool) -> PromptAnswer | None:
        if self._clock.now() > prompt.valid_until:
            return self._too_late(prompt)
        if waiting >= MOST_WAITING:
            words = f"{MOST_WAITING} prompts of this camera are waiting already"
            return self._refuse(prompt, "too_many_prompts", words)
        if poisoned:
            return self._refuse(prompt, "failed", "the clip could not be tracked with the prompts for it")
        return None

    def _request(
        self, asked: Asked, clip: Clip, frame: int, book: PromptBook, due: Due
    ) -> Request | PromptAnswer:
        """The prompt as a request on a frame of the clip; on frame 0 what was marked on a past picture."""
        prompt = asked.prompt
        if prompt.mark is None:
            return _as_request(prompt, max(frame, 0))
        marked = prompt_of(prompt.mark)
        if frame >= 0:
            return _as_request(prompt, frame, marked)
        pictures, known = self._past(prompt, clip, book)
        if not pictures:
            words = (
                f"no picture of that time is held: they are for {HELD_S:.0f} s, until a cut or a reconnection"
            )
            return self._refuse(prompt, "too_old", words)
        try:
            session = self._open_segmenter(clip.frames[0].pixels.shape)
            shown = [pixels for _, pixels in pictures]
            masks = carry(session, [*shown, clip.frames[0].pixels], marked, known)
        except ValueError as error:
            return self._refuse(prompt, "nothing_there", str(error))
        if masks is None:
            words = "the tracker saw no object at the marked place, or it has left since"
            return self._refuse(prompt, "nothing_there", words)
        times = (time_s for time_s, _ in pictures)
        due.trails[prompt.prompt_id] = [
            Passing(time_s=time_s, box=_box(mask), mask=rle(mask))
            for time_s, mask in zip(times, masks[:-1], strict=True)
            if mask.any()
        ]
        return _as_request(prompt, 0, Prompt(mask=masks[-1]))

    def _past(
        self, prompt: TrackPrompt, clip: Clip, book: PromptBook
    ) -> tuple[list[tuple[float, np.ndarray]], np.ndarray | None]:
        """Pictures with their times, from the one that was marked up to the clip; the mask shown on the first of them.

        Raises StoreUnavailable.
        """
        assert prompt.at_s is not None, "only a prompt with a time is about the past"
        pictures: list[tuple[float, np.ndarray]] = []
        known: np.ndarray | None = None
        for held in book.since(prompt.at_s, clip.epoch):
            try:
                evidence = Evidence.from_bytes(self._store.get(held.evidence_ref))
            except (ObjectMissing, ValueError) as error:
                log.warning("camera %s: no pictures of %s: %s", clip.camera_id, held.evidence_ref, error)
                return [], None
            first = _nearest(evidence.times_s, prompt.at_s) if not pictures else 0
            if not pictures:
                known = _shown(evidence, prompt.track_id, first)
            pictures += zip(evidence.times_s[first:], evidence.pictures[first:], strict=True)
        return _thinned(pictures), known

    def _answer(
        self, prompt: TrackPrompt, outcome: Outcome, clip: Clip, trail: list[Passing] | None
    ) -> PromptAnswer:
        shown = outcome.mask is not None and outcome.mask.any()
        answer: dict[str, object] = {
            "code": outcome.code,
            "words": outcome.words[:500],
            "track_id": outcome.track_id or prompt.track_id,
            "name": outcome.name or None,
            "clip_id": clip_id(clip.camera_id, clip.epoch, clip.index),
            "time_s": outcome.time_s or None,
        }
        if shown and outcome.mask is not None:
            answer |= {"box": _box(outcome.mask), "mask": rle(outcome.mask), "trail": trail}
        return self._with(prompt, **answer)

    def _too_late(self, prompt: TrackPrompt) -> PromptAnswer:
        waited_s = prompt.valid_until - prompt.asked_at
        words = (
            f"the tracker got to no picture for it within {waited_s:.0f} s: the camera is silent or behind"
        )
        return self._refuse(prompt, "too_late", words)

    def _refuse(self, prompt: TrackPrompt, code: str, words: str) -> PromptAnswer:
        return self._with(prompt, code=code, words=words, track_id=prompt.track_id)

    def _with(self, prompt: TrackPrompt, **facts: object) -> PromptAnswer:
        deed: Deed = prompt.kind
        return PromptAnswer.model_validate(
            {
                "prompt_id": prompt.prompt_id,
                "camera_id": prompt.camera_id,
                "deed": deed,
                "answered_at": self._clock.now(),
                **facts,
            }
        )


def frame_of(prompt: TrackPrompt, clip: Clip) -> int | None:
    """Position in the clip at which a prompt takes effect; -1: it is about an earlier picture; None: a later clip.

    Without a time it is the first sampled frame after it was asked, or the last one before the clip's end.
    """
    times_s = [frame.time_s for frame in clip.frames]
    if _is_for_later(prompt, clip.end_s):
        return None
    if prompt.mark is not None and prompt.at_s is not None:
        return _nearest(times_s, prompt.at_s) if prompt.at_s >= clip.start_s else -1
    after = [at for at, time_s in enumerate(times_s) if time_s >= prompt.asked_at]
    return after[0] if after else len(times_s) - 1


def _is_for_later(prompt: TrackPrompt, end_s: float) -> bool:
    """Whether the picture that a prompt is about comes after ``end_s``; without a mark any picture will do."""
    if prompt.mark is None:
        return False
    return end_s < prompt.asked_at if prompt.at_s is None else end_s <= prompt.at_s


_REQUESTS: dict[Deed, str] = {"follow": "mark", "correct": "mark"}
"""What the tracker calls them; the others have the same name there."""


def _as_request(prompt: TrackPrompt, frame: int, marked: Prompt | None = None) -> Request:
    return Request(
        prompt=marked,
        track_id=prompt.track_id or "",
        deed=_REQUESTS.get(prompt.kind, prompt.kind),  # type: ignore[arg-type]  # one of the tracker's names
        name=prompt.name or "",
        frame=frame,
        request_id=prompt.prompt_id,
    )


def _nearest(times_s: Sequence[float], at_s: float) -> int:
    return int(np.abs(np.array(times_s) - at_s).argmin())


def _shown(evidence: Evidence, track_id: str | None, frame: int) -> np.ndarray | None:
    """The mask of a track on a picture, if one was shown there."""
    for masklet in evidence.masklets:
        if masklet.track_id == track_id and masklet.masks[frame].any():
            return masklet.masks[frame]
    return None


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (min(1.0, round(float(side), 5)) for side in box_of(mask))
    return x0, y0, x1, y1


def _thinned(pictures: list[tuple[float, np.ndarray]]) -> list[tuple[float, np.ndarray]]:
    """At most MOST_PICTURES of them, the first and the last among them."""
    if len(pictures) <= MOST_PICTURES:
        return pictures
    return [pictures[at] for at in np.linspace(0, len(pictures) - 1, MOST_PICTURES).round().astype(int)]
