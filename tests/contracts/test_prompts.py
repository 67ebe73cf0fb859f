"""Prompts on their topic: strict, bounded, told apart by kind."""

from __future__ import annotations

import json

import pytest

from contracts.base import InvalidMessage
from contracts.prompts import Prompt, PromptAnswer, PromptRecord, TrackPrompt

CLICK = {"points": [{"x": 0.5, "y": 0.25}]}
FOLLOW = {
    "prompt_id": "p-1",
    "kind": "follow",
    "camera_id": "yard",
    "mark": CLICK,
    "asked_at": 100.0,
    "valid_until": 120.0,
}
RENAME = {**FOLLOW, "kind": "rename", "mark": None, "track_id": "yard-1-0001", "name": " Tom's van "}


def read(fields: dict) -> object:
    return PromptRecord.from_bytes(json.dumps(fields).encode())


def test_records_are_told_apart_by_their_kind() -> None:
    prompt = read(FOLLOW)
    assert isinstance(prompt, TrackPrompt) and prompt.mark and prompt.mark.points[0].inside
    assert PromptRecord.from_bytes(prompt.to_bytes()) == prompt
    answer = {"prompt_id": "p-1", "kind": "answer", "camera_id": "yard", "deed": "follow", "answered_at": 1.0}
    assert isinstance(read({**answer, "code": "too_old"}), PromptAnswer)
    asked = {"question_id": "q", "kind": "question", "camera_id": "yard", "track_ids": ["a"], "text": "?"}
    told = {"text": "a", "finish": "stop", "start_s": 0, "end_s": 1, "evidence": [], "answered_at": 2}
    assert isinstance(read({**asked, "asked_at": 1, "answer": told}), Prompt)


def test_names_are_plain_text_and_may_be_taken_away() -> None:
    assert read(RENAME).name == "Tom's van"
    assert read({**RENAME, "name": ""}).name == ""
    assert read({**RENAME, "name": "Βάσω 👩‍🚒 <b>"}).name == "Βάσω 👩‍🚒 <b>"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "paint"}, "does not match any of the expected tags"),
        ({"mark": None}, "mark: needed to follow"),
        ({"mark": {}}, "mark something"),
        ({"mark": {"points": [{"x": 1.5, "y": 0}]}}, "less than or equal to 1"),
        ({"mark": {"points": [{"x": 0.5, "y": 0.5}] * 17}}, "at most 16"),
        ({"mark": {"points": [{"x": 0.5, "y": 0.5, "inside": False}]}}, "mark some of it"),
        ({"mark": {"box": [0.5, 0.1, 0.4, 0.2]}}, "x0 < x1"),
        ({"mark": {**CLICK, "mask": {"height": 1, "width": 2, "counts": [1, 1]}}}, "a mask stands alone"),
        ({"mark": {"mask": {"height": 2, "width": 2, "counts": [4]}}}, "the mask is empty"),
        ({"mark": {"mask": {"height": 2, "width": 2, "counts": [1, 2]}}}, "do not fill"),
        ({"mark": {"mask": {"height": 2, "width": 2, "counts": [5, -1]}}}, "none negative"),
        ({"mark": {"mask": {"height": 1, "width": 2000, "counts": [1, 1999]}}}, "too large"),
        ({"mark": {"strokes": [{"points": [[0.1, 0.1]] * 257}]}}, "at most 256"),
        ({"track_id": "yard-1-0001"}, "track_id: needed for all but follow"),
        ({"valid_until": 161.0}, "within 60 s"),
        ({"valid_until": 100.0}, "within 60 s"),
        ({"at_s": float("nan")}, "at_s"),
        ({"prompt_id": "a b"}, "prompt_id"),
        ({"camera_id": "../x"}, "camera_id"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_wrong_prompts_are_named_in_one_line(wrong: dict, words: str) -> None:
    with pytest.raises(InvalidMessage, match="(?s)^PromptRecord: ") as caught:
        read({**FOLLOW, **wrong})
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a\nb", "a\x1b[31mb", "a\u202eb", "a\u2028b", "a\x00", "\ue000", "x" * 61], ids=ascii
)
def test_names_with_hidden_signs_are_refused(name: str) -> None:
    with pytest.raises(InvalidMessage, match="name"):
        read({**RENAME, "name": name})


def test_a_rename_needs_a_name_and_only_it_takes_one() -> None:
    with pytest.raises(InvalidMessage, match="name: needed to rename"):
        read({**RENAME, "name": None})
    with pytest.raises(InvalidMessage, match="name: only to rename or follow"):
        read({**RENAME, "kind": "pin"})
