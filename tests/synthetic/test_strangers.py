"""Nameless things: their colours, their ways, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from synthetic.grammar import STRANGER, Attributes, parse, render
from synthetic.language import answer
from synthetic.palette import ALL_COLOURS
from synthetic.strangers import clear_colour, colour_numbers, describe_stranger, sample_stranger_clip
from synthetic.truth import ObjectTruth

WIDTH, HEIGHT, FPS = 320, 240, 4.0


def thing(boxes: list[tuple[float, float] | None], colour: str = "red") -> ObjectTruth:
    """A thing of 40 by 40 pixels whose upper left corner is at these points, or that is not seen (None)."""
    count = len(boxes)
    area = np.array([0 if at is None else 1600 for at in boxes], np.int32)
    placed = [(0, 0, 0, 0) if at is None else (at[0], at[1], at[0] + 40, at[1] + 40) for at in boxes]
    nothing = np.zeros((count, 2), np.float32)
    return ObjectTruth(
        STRANGER, colour, area, area, np.array(placed, np.float32), nothing, nothing, nothing, ()
    )


def told(boxes: list, colour: str = "red") -> Attributes | None:
    return describe_stranger(thing(boxes, colour), FPS, 0, len(boxes) / FPS, WIDTH, HEIGHT)


def along(start: tuple[float, float], end: tuple[float, float], count: int = 16) -> list:
    return [tuple(point) for point in np.linspace(start, end, count)]


@pytest.mark.parametrize(
    ("end", "direction"), [((200, 100), "right"), ((20, 90), "left"), ((95, 10), "up"), ((110, 180), "down")]
)
def test_the_way_in_the_picture_is_told(end: tuple[float, float], direction: str) -> None:
    said = told(along((100, 100), end))
    assert said is not None and (said.event, said.direction) == ("moves", direction)


def test_small_ways_are_standing_still_and_restless_things_are_not_told_of() -> None:
    still = told(along((100, 100), (110, 100)))
    assert still is not None and still.event == "stays"
    there_and_back = along((100, 100), (180, 100), 8) + along((180, 100), (100, 100), 8)
    assert told(there_and_back) is None
    assert told(along((0, 0), (200, 0)), colour="") is None


def test_coming_going_and_stopping_are_told() -> None:
    leaving = told([*along((100, 100), (280, 100), 12), *[None] * 4])
    assert leaving is not None and leaving.event == "leaves"
    hidden = told([*along((50, 100), (150, 100), 12), *[None] * 4])
    assert hidden is not None and hidden.event == "hidden"
    entering = told([*[None] * 4, *along((0, 100), (150, 100), 12)])
    assert entering is not None and entering.entered == "left"
    stopping = told([*along((50, 100), (150, 100), 10), *[(150, 100)] * 6])
    assert stopping is not None and stopping.event == "stops"


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((200, 20, 25), "red"),
        ((245, 140, 20), "orange"),
        ((240, 220, 40), "yellow"),
        ((40, 150, 60), "green"),
        ((40, 80, 210), "blue"),
        ((130, 60, 170), "purple"),
        ((240, 240, 235), "white"),
        ((15, 15, 18), "black"),
        ((128, 130, 127), "gray"),
        ((110, 70, 35), "brown"),
        ((95, 110, 125), "blue"),  # jeans
        ((140, 65, 45), "red"),  # a red ball in the shade
    ],
)
def test_clear_colours_have_their_name(rgb: tuple[int, int, int], name: str) -> None:
    pixels = np.tile(np.array(rgb, np.uint8), (50, 1))
    assert clear_colour(pixels) == name
    assert set(colour_numbers(pixels)) == {ALL_COLOURS.index(name) + 1}


def test_motley_things_have_no_colour() -> None:
    pixels = np.repeat(np.array([(200, 20, 25), (40, 80, 210), (40, 150, 60)], np.uint8), 30, axis=0)
    assert clear_colour(pixels) == ""


@pytest.mark.parametrize(("reds", "blues", "name"), [(50, 30, "red"), (36, 34, ""), (30, 50, "blue")])
def test_the_colour_that_prevails_is_told(reds: int, blues: int, name: str) -> None:
    greens = 100 - reds - blues
    pixels = np.repeat(
        np.array([(200, 20, 25), (40, 80, 210), (40, 150, 60)], np.uint8), [reds, blues, greens], axis=0
    )
    assert clear_colour(pixels) == name


def test_sentences_about_nameless_things_read_back() -> None:
    said = Attributes(STRANGER, "white", "bumps", "left", other=("red", STRANGER))
    assert render(said) == "something white moves to the left and bumps into something red"
    assert parse(render(said)) == said
    plain = Attributes(STRANGER, "gray", "stays")
    assert render(plain) == "something gray stays still" and parse("Something gray stays still.") == plain
    assert answer("class", plain) == "something" and answer("brief", plain) == "something gray standing still"


def test_a_clip_tells_the_truth_of_its_pixels() -> None:
    clip = sample_stranger_clip(3)
    assert clip.frames.shape[:1] == (16,) and clip.frames.shape[2] == 320 and clip.fps == 4.0
    for k, it in enumerate(clip.objects):
        assert it.class_name == STRANGER and it.colour in ("", *ALL_COLOURS)
        np.testing.assert_array_equal(it.visible_px, (clip.ids == k + 1).sum(axis=(1, 2)))
    again = sample_stranger_clip(3)
    np.testing.assert_array_equal(clip.frames, again.frames)


def test_a_rate_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="divides"):
        sample_stranger_clip(0, fps=3.0)
