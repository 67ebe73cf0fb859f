"""Labels and content of sentences."""

from dataclasses import replace

import pytest

from operators.wording import (
    adds,
    begins_loss,
    content_of,
    is_news,
    label_confidence,
    label_of,
    renamed,
    same_name,
    without_loss,
)
from synthetic.grammar import STRANGER, Attributes, render


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a red car drives quickly to the left", "red car"),
        ("An orange box stays still.", "orange box"),
        ("a blue ball is bumped by the red car", "blue ball"),
        ("a green duck enters from the left and waddles to the right", "green duck"),
        ("a yellow bus drives away from the camera", "yellow bus"),
        ("a purple mug sliding to the left", "purple mug"),
        ("The man in a black coat walks his dog.", "man"),
        ("a very large dark green delivery truck turns", "very large dark green"),
        ("red car", "red car"),
        ("a red, shiny car", "red"),
        ("", None),
        ("...", None),
        ("is it a car", None),
    ],
)
def test_label_is_what_stands_before_the_verb(text: str, label: str | None) -> None:
    assert label_of(text) == label


@pytest.mark.parametrize(
    ("text", "spoken", "news"),
    [
        ("a red car drives to the left", None, True),
        ("a red car drives to the left", "a red car drives to the left", False),
        ("A red car drives slowly to the left.", "a red car drives to the left", False),
        ("a blue car drives to the left", "a red car drives to the left", False),
        ("a red car drives to the right", "a red car drives to the left", True),
        ("a red car drives to the left and stops", "a red car drives to the left", True),
        ("a red car drives to the left", "a red car enters from the right and drives to the left", False),
        ("a red car stays still", "a red car drives to the left", True),
        ("a red car drives to the left and bumps into the box", "a red car drives to the left", True),
        ("a red car drives to the right", "a red car enters from the right and drives to the left", True),
        ("a red car drives to the left", "a red car drives to the left and stops", True),
        ("a red car stays still", "a red car drives to the left and stops", False),
        ("a red car slides to the left", "a red car drives to the left", False),
    ],
)
def test_news_is_a_new_word_of_content(text: str, spoken: str | None, news: bool) -> None:
    assert is_news(text, spoken) is news


def test_of_unfinished_text_only_new_words_are_news() -> None:
    spoken = "a red car drives to the left and stops"
    assert is_news("a red car drives to the left", spoken) and not adds(
        "a red car drives to the left", spoken
    )
    assert adds("a red car drives to the right", spoken) and adds("a", None)


@pytest.mark.parametrize(
    ("text", "label", "told"),
    [
        ("a red truck drives to the left", "red car", "a red car drives to the left"),
        ("A red truck stops.", "orange car", "An orange car stops."),
        ("the Red truck stops", "blue car", "the blue car stops"),
        ("a red truck stops", "something red", "something red stops"),
        ("Something red stops.", "orange car", "An orange car stops."),
        ("...", "red car", None),
    ],
)
def test_a_sentence_is_told_under_another_name(text: str, label: str, told: str | None) -> None:
    assert renamed(text, label) == told


CAR = "a red car drives slowly to the left"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{CAR} and leaves the view", CAR),
        (f"{CAR} and disappears", CAR),
        (f"{CAR} and disappears behind the blue box.", f"{CAR}."),
        (f"{CAR} and disappears behind something blue", CAR),
        (f"{CAR} and disappears behind something", CAR),
        (
            "a red car enters from the left and drives up and leaves the view",
            "a red car enters from the left and drives up",
        ),
        ("something red moves up and disappears", "something red moves up"),
        (f"{CAR} and stops", f"{CAR} and stops"),
        (f"{CAR} and leaves the view of the camera", f"{CAR} and leaves the view of the camera"),
        (f"{CAR} and then leaves the view", f"{CAR} and then leaves the view"),
        (f"{CAR} and disappears behind a tree", f"{CAR} and disappears behind a tree"),
        ("a red car and leaves the view", "a red car and leaves the view"),
        ("it leaves the view", "it leaves the view"),
        ("", ""),
    ],
)
def test_only_a_last_clause_that_tells_a_loss_is_left_out(text: str, told: str) -> None:
    assert without_loss(text) == told
    assert begins_loss(text) or without_loss(text) == text, "what may be left out is not shown before"


def test_all_losses_of_the_grammar_are_known_and_nothing_else() -> None:
    moving = Attributes("car", "red", "moves", "left", "slowly")
    for event in ("moves", "stops", "bumps", "leaves", "hidden"):
        for other in (("blue", "box"), ("gray", STRANGER), None):
            if event == "bumps" and other is None:
                continue
            with_other = event in ("bumps", "hidden")
            said = replace(moving, event=event, other=other if with_other else None)
            wanted = moving if event in ("leaves", "hidden") else said
            assert without_loss(render(said)) == render(wanted)


def test_a_vaguer_name_is_the_same_name() -> None:
    assert (
        same_name("something red", "red car") and same_name("something", "red car") and same_name(None, None)
    )
    assert not same_name("something blue", "red car") and not same_name("car", "red car")
    assert not same_name("something red", None) and not same_name(None, "red car")


def test_the_label_is_no_content() -> None:
    assert content_of("a red car drives to the left") == {"moves", "left"}


def test_label_confidence_counts_only_the_tokens_of_the_label() -> None:
    pieces, probabilities = ["a", " red", " car", " drives", " left"], [0.1, 0.8, 0.6, 0.2, 0.2]
    assert label_confidence("red car", pieces, probabilities) == pytest.approx(0.7)
    assert label_confidence("Red Car", ["A r", "ed", " car"], [0.5, 0.9, 0.7]) == pytest.approx(0.7)
    assert label_confidence("blue car", pieces, probabilities) is None
    assert label_confidence("", pieces, probabilities) is None
