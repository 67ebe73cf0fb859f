"""True sentences: what is said agrees with the recorded paths and events, and reads back without loss."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from synthetic.grammar import DIRECTIONS, SPEEDS, Attributes, parse, render
from synthetic.language import answer, describe, score
from synthetic.palette import COLOURS
from synthetic.shapes import CLASSES
from synthetic.truth import Event, ObjectTruth
from synthetic.world import sample_clip

FPS = 4.0


def truth(name: str, colour: str, ground: np.ndarray, *events: Event) -> ObjectTruth:
    count = len(ground)
    area = np.full(count, 500, np.int32)
    return ObjectTruth(
        name,
        colour,
        area,
        area,
        np.zeros((count, 4), np.float32),
        np.zeros((count, 2), np.float32),
        ground.astype(np.float32),
        np.gradient(ground, 1 / FPS, axis=0).astype(np.float32),
        events,
    )


def line(start: tuple[float, float], end: tuple[float, float], count: int = 17) -> np.ndarray:
    return np.linspace(start, end, count)


BOX = truth("box", "green", line((1.5, 4), (1.5, 4)))


@pytest.mark.parametrize(
    ("end", "phrase"),
    [
        ((-3, 4), "to the left"),
        ((3, 4), "to the right"),
        ((0, 7), "away from the camera"),
        ((0, 1), "toward the camera"),
    ],
)
def test_direction_follows_the_longer_way(end: tuple[float, float], phrase: str) -> None:
    it = truth("car", "red", line((0, 4), end))
    assert describe([it], 0, FPS, 0, 4).text == f"a red car drives {phrase}"


@pytest.mark.parametrize(("metres", "word"), [(1.0, "slowly"), (3.0, ""), (6.0, "quickly")])
def test_speed_is_told_only_where_it_is_marked(metres: float, word: str) -> None:
    said = describe([truth("ball", "blue", line((0, 4), (metres, 4)))], 0, FPS, 0, 4)
    assert (said.attributes.speed or "") == word


def test_stillness_and_tiny_shifts_have_no_direction() -> None:
    assert describe([BOX], 0, FPS, 0, 4).text == "a green box stays still"
    nudged = truth("box", "green", line((0, 4), (0.1, 4)))
    assert describe([nudged], 0, FPS, 0, 4).text == "a green box stays still"


def test_a_bump_ends_the_told_motion_and_names_its_partner() -> None:
    there, back = line((-1, 4), (1, 4), 9), line((1, 4), (-3, 4), 9)[1:]
    ball = truth(
        "ball", "orange", np.concatenate([there, back]), Event("bumps", 2.0, other=1), Event("stops", 3.9)
    )
    told = describe([ball, BOX], 0, FPS, 0, 4)
    assert told.text == "an orange ball rolls to the right and bumps into the green box"
    assert describe([ball, BOX], 0, FPS, 2.5, 4).attributes.direction == "left"


def test_a_push_is_told_with_the_way_after_it() -> None:
    path = np.concatenate([line((0, 4), (0, 4), 9), line((0, 4), (1.5, 4), 8)])
    pushed = truth("duck", "white", path, Event("is_bumped", 2.0, other=1))
    assert describe([pushed, BOX], 0, FPS, 0, 4).text == (
        "a white duck is bumped by the green box and waddles to the right"
    )


def test_only_events_inside_the_span_are_told() -> None:
    it = truth(
        "robot", "black", line((-3, 4), (1, 4)), Event("enters", 0.5, side="left"), Event("leaves", 3.5)
    )
    assert describe([it], 0, FPS, 0, 4).text == (
        "a black robot enters from the left and walks to the right and leaves the view"
    )
    assert describe([it], 0, FPS, 1, 3).text == "a black robot walks to the right"


def test_a_span_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        describe([BOX], 0, FPS, 9, 10)


def every_sentence() -> list[Attributes]:
    partner = ("yellow", "truck")
    moving = itertools.product(DIRECTIONS, (None, *SPEEDS), (None, "left", "right"))
    found = [Attributes(name, colour, "stays") for name in CLASSES for colour in COLOURS]
    for direction, speed, entered in moving:
        for event in ("moves", "stops", "leaves", "hidden"):
            found.append(Attributes("mug", "orange", event, direction, speed, entered))
        for event in ("bumps", "hidden"):
            found.append(Attributes("ball", "red", event, direction, speed, entered, partner))
        if entered is None:
            found.append(Attributes("ball", "red", "is_bumped", direction, speed, None, partner))
    found.append(Attributes("tree", "red", "is_bumped", other=partner))
    return found


def test_every_sentence_reads_back_as_it_was_meant() -> None:
    texts = {render(said): said for said in every_sentence()}
    assert len(texts) == len(every_sentence()), "two meanings share one sentence"
    assert all(parse(f" {text.capitalize()}. ") == said for text, said in texts.items())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a red",
        "a red ball",
        "a red ball rolls",
        "a pink ball stays still",
        "a red ball rolls to the left and bumps into",
        "a red ball rolls to the left and stops the green box",
    ],
)
def test_other_texts_are_not_understood(text: str) -> None:
    assert parse(text) is None


def test_score_judges_only_what_the_truth_tells() -> None:
    true = Attributes("ball", "red", "bumps", "left", None, None, ("green", "box"))
    verdict = score(Attributes("ball", "red", "stops", "left"), true)
    assert verdict == {
        "class": True,
        "colour": True,
        "direction": True,
        "speed": True,
        "event": False,
        "other": False,
        "entered": None,
        "exact": False,
    }
    assert score(None, Attributes("ball", "red", "stays"))["direction"] is None
    assert score(None, true)["class"] is False


def test_answers_agree_with_the_sentence() -> None:
    true = Attributes("car", "orange", "bumps", "away", "slowly", None, ("green", "box"))
    kinds = ("detail", "brief", "class", "colour", "direction", "event")
    assert [answer(kind, true) for kind in kinds] == [
        "an orange car drives slowly away from the camera and bumps into the green box",
        "an orange car driving away from the camera",
        "a car",
        "orange",
        "away from the camera",
        "it bumps into the green box",
    ]


def test_everything_said_of_real_clips_reads_back() -> None:
    for seed in range(4):
        clip = sample_clip(seed, "train", width=96, height=72)
        for k in range(len(clip.objects)):
            said = describe(clip.objects, k, clip.fps, 0, 4)
            assert parse(said.text) == said.attributes
