"""A person's question about live objects: its objects placed, evidence fetched, and one question put to the captioner.

Nothing here is committed with offsets: a question lives as long as the person waits for its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from contracts.clips import ClipRecord
from contracts.prompts import LONGEST_QUESTION, Answer, Prompt, Shown
from operators.observe import choose_frames
from operators.quote import quote
from operators.types import Masklet
from pipelines.evidence import Evidence
from pipelines.pictures import shrink
from pipelines.ports import CaptionAnswer, Captioner, CaptionRequest, Clock, ObjectMissing, ObjectStore
from pipelines.recent import NoEvidence
from pipelines.translate import rounded, tokens_of

REGION = "<region>"
_OBJECT = re.compile(r"<object\s*(\d{1,4})>", re.IGNORECASE)


class QuestionRefused(ValueError):
    """A question that cannot be put as it stands; the text says why and what would do."""


@dataclass(frozen=True, slots=True)
class Worded:
    """A question in the captioner's own form, one ``<region>`` for each object, and the names of its wording."""

    text: str
    prompt_id: str = ""
    prompt_version: str = ""


Word = Callable[[str, int, float], Worded]
"""From a person's words with ``<region>`` in them, the number of objects and the clip's end in seconds.

Raises QuestionRefused for what the captioner cannot be asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as a person put it. ``<object1>`` in ``text`` is the first of ``track_ids``."""

    question_id: str
    camera_id: str
    track_ids: tuple[str, ...]
    text: str
    asked_at: float
    deadline_s: float = 20.0


@dataclass(frozen=True, slots=True)
class AnsweringSettings:
    """Bounds of one question."""

    frames_per_object: int = 6
    long_side_px: int = 320
    max_new_tokens: int = 64


@dataclass(slots=True)
class _Sight:
    """The frames of several clips as one sequence: for each, its clip's number and its position there."""

    clips: list[Evidence]
    records: list[ClipRecord]
    places: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = [(n, at) for n, clip in enumerate(self.clips) for at in range(len(clip.pictures))]

    def seen(self, track_id: str) -> list[int]:
        """Numbers of the frames on which the track is visible."""
        by_clip = [_masklet(clip, track_id) for clip in self.clips]
        visible = [None if masklet is None else masklet.visible for masklet in by_clip]
        return [
            number
            for number, (clip, at) in enumerate(self.places)
            if (found := visible[clip]) is not None and found[at]
        ]

    def mask(self, track_id: str, number: int) -> np.ndarray:
        clip, at = self.places[number]
        masklet = _masklet(self.clips[clip], track_id)
        assert masklet is not None
        return masklet.masks[at]

    def time_s(self, number: int) -> float:
        clip, at = self.places[number]
        return self.clips[clip].times_s[at]

    def shown(self, track_id: str, numbers: Sequence[int]) -> list[Shown]:
        """What is cited for a track: clip by clip the frames of these numbers."""
        found: list[Shown] = []
        for clip, record in enumerate(self.records):
            mine = [number for number in numbers if self.places[number][0] == clip]
            if mine:
                found.append(
                    Shown(
                        track_id=track_id,
                        clip_id=record.clip_id,
                        evidence_ref=record.evidence_ref,
                        frames=[self.places[number][1] for number in mine],
                        times_s=[self.time_s(number) for number in mine],
                    )
                )
        return found


class Answering:
    """Answers one question at a time; give each thread its own."""

    def __init__(
        self,
        store: ObjectStore,
        captioner: Captioner,
        clock: Clock,
        word: Word,
        settings: AnsweringSettings = AnsweringSettings(),
    ) -> None:
        self._store, self._captioner, self._clock = store, captioner, clock
        self._word, self._settings = word, settings

    def answer(self, asked: Asked, records: Sequence[ClipRecord]) -> Prompt:
        """The question with its answer, from the evidence of ``records`` (in order of time, of one picture size).

        Raises QuestionRefused, NoEvidence, StoreUnavailable, CaptionRefused and CaptionerUnavailable.
        """
        began = self._clock.now()
        text, order = place_objects(asked.text, len(asked.track_ids))
        tracks = [asked.track_ids[number] for number in order]
        end_s = records[-1].end_s - records[0].frames[0].time_s
        worded = self._word(
            text, len(tracks), end_s
        )  # before anything is fetched for a question nobody can answer
        sight = _Sight([self._fetch(record) for record in records], list(records))
        numbers = {track: self._choose(sight, tracks, track) for track in tracks}
        fetched_s = self._clock.now() - began
        request = self._request(asked, sight, numbers, worded)
        told = self._captioner.describe(request)
        evidence = [shown for track in asked.track_ids for shown in sight.shown(track, numbers[track])]
        stages = {"fetch": fetched_s, "captioner": self._clock.now() - began - fetched_s, **told.stage_s}
        return _recorded(asked, worded, told, evidence, stages, self._clock.now())

    def _fetch(self, record: ClipRecord) -> Evidence:
        try:
            evidence = Evidence.from_bytes(self._store.get(record.evidence_ref))
        except ObjectMissing:
            raise NoEvidence(
                "no_evidence", f"the evidence of clip {record.clip_id} is not stored (any more)"
            ) from None
        except ValueError as error:
            raise NoEvidence("no_evidence", f"clip {record.clip_id}: {error}") from None
        return evidence

    def _choose(self, sight: _Sight, tracks: Sequence[str], track: str) -> list[int]:
        """Which frames to show of a track: those that show all the tracks before those that show it alone."""
        seen = {one: sight.seen(one) for one in tracks}
        if not seen[track]:
            raise NoEvidence("no_evidence", f"no frame of {sight.records[-1].clip_id} shows {track}")
        together = sorted(set.intersection(*(set(numbers) for numbers in seen.values())))
        return list(choose_frames(together or seen[track], self._settings.frames_per_object))

    def _request(
        self, asked: Asked, sight: _Sight, numbers: dict[str, list[int]], worded: Worded
    ) -> CaptionRequest:
        """One question about all objects, on the frames chosen for any of them; times from the first clip's begin."""
        frames = sorted({number for chosen in numbers.values() for number in chosen})
        place = {number: at for at, number in enumerate(frames)}
        pictures = [sight.clips[clip].pictures[at] for clip, at in (sight.places[n] for n in frames)]
        begin_s = sight.clips[0].times_s[0]
        each = [(thing, track, number) for thing, track in enumerate(numbers) for number in numbers[track]]
        masks = [sight.mask(track, number) for _, track, number in each]
        if len({mask.shape for mask in masks}) > 1:
            raise NoEvidence(
                "not_together", "the clips were tracked at different sizes: ask about one of them"
            )
        return CaptionRequest(
            request_id=asked.question_id,
            pictures=np.stack([shrink(picture, self._settings.long_side_px) for picture in pictures]),
            times_s=np.array([sight.time_s(number) - begin_s for number in frames], np.float32),
            masks=np.stack(masks),
            mask_frames=tuple(place[number] for _, _, number in each),
            objects=tuple(thing for thing, _, _ in each),
            question=worded.text,
            max_new_tokens=self._settings.max_new_tokens,
            deadline_s=asked.deadline_s,
        )


def place_objects(text: str, count: int) -> tuple[str, list[int]]:
    """A person's words with ``<region>`` where they first name an object, and the objects (from 0) in that order.

    Objects are named ``<object1>`` up to the number given, or simply by ``<region>`` one after another; a question
    that names none is about all of them. Everything else is quoted: it holds no tag any more. Raises QuestionRefused.
    """
    if len(text) > LONGEST_QUESTION:
        raise QuestionRefused(f"the question has {len(text)} characters, at most {LONGEST_QUESTION}")
    if not _OBJECT.search(text):
        text = _numbered(text)
    pieces = _OBJECT.split(text)
    named = [int(number) for number in pieces[1::2]]
    words = [quote(piece, LONGEST_QUESTION) for piece in pieces[::2]]
    if not re.search(r"\w", "".join(words)):
        raise QuestionRefused("the question has no words")
    order = list(dict.fromkeys(named))
    _check_named(order, count)
    if not order:
        return f"{' '.join([REGION] * count)} {' '.join(words)}", list(range(count))
    said = list(words[:1])
    for position, (number, piece) in enumerate(zip(named, words[1:], strict=True)):
        first = number not in named[:position]
        name = f"object {number}" if named.count(number) > 1 else ""
        said += [f"{name} {REGION}".strip() if first else name, piece]
    return _joined(said), [number - 1 for number in order]


def _numbered(text: str) -> str:
    """``<region>`` one after another read as ``<object1>``, ``<object2>`` ..."""
    first, *rest = text.split(REGION)
    return first + "".join(f"<object{number}>{piece}" for number, piece in enumerate(rest, start=1))


def _check_named(order: Sequence[int], count: int) -> None:
    beyond = [number for number in order if not 1 <= number <= count]
    if beyond:
        raise QuestionRefused(
            f"the question names <object{beyond[0]}>, but {count} object{'s are' if count > 1 else ' is'} given"
        )
    if order and len(order) < count:
        left = next(number for number in range(1, count + 1) if number not in order)
        raise QuestionRefused(f"the question does not name <object{left}>: name all objects, or none")


def _joined(words: Sequence[str]) -> str:
    """Words joined by spaces, marks joined to the word before them."""
    return re.sub(r" ([,.;:?!'’])", r"\1", " ".join(word for word in words if word))


def _masklet(clip: Evidence, track_id: str) -> Masklet | None:
    return next((masklet for masklet in clip.masklets if masklet.track_id == track_id), None)


def _recorded(
    asked: Asked,
    worded: Worded,
    told: CaptionAnswer,
    evidence: list[Shown],
    stages: dict[str, float],
    now_s: float,
) -> Prompt:
    times = [time for shown in evidence for time in shown.times_s]
    sure = sum(told.probabilities) / len(told.probabilities) if told.probabilities else None
    answer = Answer(
        text=told.text,
        finish=told.finish,  # type: ignore[arg-type]  # checked by pydantic
        confidence=None if sure is None else min(1.0, max(0.0, sure)),
        start_s=min(times),
        end_s=max(times),
        evidence=evidence,
        tokens=tokens_of(told),
        model=told.model,
        asked=worded.text,
        prompt_id=worded.prompt_id,
        prompt_version=worded.prompt_version,
        stage_s=rounded(stages),
        answered_at=now_s,
    )
    return Prompt(
        question_id=asked.question_id,
        camera_id=asked.camera_id,
        track_ids=list(asked.track_ids),
        text=asked.text,
        asked_at=asked.asked_at,
        answer=answer,
    )
