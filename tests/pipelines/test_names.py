"""A person's name for a track goes with what is said of it, and is taken for text only."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from contracts.clips import ClipRecord
from services.cli.narration_view import NarrationView
from tests.pipelines.test_narration import LEFT, START_S, World, masklet

NAME = "[red]Tom's[/] <b>"


def test_a_named_track_is_spoken_of_with_its_name_and_its_words_stay_the_captioners() -> None:
    world = World()
    record = world.add(masklet("cam-1"), masklet("cam-2", x=0.1))
    named = ClipRecord.model_validate({**record.model_dump(), "names": {"cam-1": NAME}})
    world.topic.records.clear()
    world.put(named.to_bytes())
    world.captioner.reply = lambda request: LEFT
    said = {narration.track_ids[0]: narration for narration in world.work()}
    assert (said["cam-1"].name, said["cam-1"].text, said["cam-1"].label) == (NAME, LEFT, "red car")
    assert said["cam-2"].name is None
    assert {partial.name for partial in world.partials.sent if partial.track_id == "cam-1"} == {NAME}


def lines(*events: tuple[str, dict]) -> list[str]:
    screen = io.StringIO()
    with NarrationView(Console(file=screen, width=200)) as view:
        for name, data in events:
            view.show(name, data)
    return screen.getvalue().splitlines()


SAID = {
    "narration_id": "n",
    "camera_id": "cam",
    "kind": "new",
    "track_ids": ["cam-1-0003"],
    "label": "green duck",
    "text": "a green duck swims",
    "end_s": START_S,
}
RENAMED = {
    "prompt_id": "p",
    "camera_id": "cam",
    "code": "renamed",
    "track_id": "cam-1-0003",
    "answered_at": START_S,
}


def test_watch_shows_the_name_in_place_of_number_and_label() -> None:
    plain, answer, named = lines(
        ("narration", SAID),
        ("prompt.answer", {**RENAMED, "name": NAME}),
        ("narration", {**SAID, "name": NAME}),
    )
    assert "#3 green duck" in plain
    assert NAME in answer and "renamed" in answer
    assert NAME in named and "#3" not in named and "a green duck swims" in named


@pytest.mark.parametrize("gone", [("prompt.answer", RENAMED), ("narration", SAID)], ids=["answer", "said"])
def test_a_name_that_was_taken_away_is_not_shown_any_more(gone: tuple[str, dict]) -> None:
    *_, last = lines(("narration", {**SAID, "name": NAME}), gone, ("narration", SAID))
    assert "#3 green duck" in last


def test_refused_prompts_are_told_with_their_reason() -> None:
    refused = {**RENAMED, "code": "too_old", "words": "no picture of that time is held"}
    (line,) = lines(("prompt.answer", {k: v for k, v in refused.items() if k != "track_id"}))
    assert "too old: no picture of that time is held" in line
