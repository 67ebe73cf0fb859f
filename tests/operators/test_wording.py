"""Labels and content of sentences."""

import pytest

from operators.wording import content_of, is_news, label_confidence, label_of


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
    ],
)
def test_news_is_a_new_word_of_content(text: str, spoken: str | None, news: bool) -> None:
    assert is_news(text, spoken) is news


def test_the_label_is_no_content() -> None:
    assert content_of("a red car drives to the left") == {"drives", "left"}


def test_label_confidence_counts_only_the_tokens_of_the_label() -> None:
    pieces, probabilities = ["a", " red", " car", " drives", " left"], [0.1, 0.8, 0.6, 0.2, 0.2]
    assert label_confidence("red car", pieces, probabilities) == pytest.approx(0.7)
    assert label_confidence("Red Car", ["A r", "ed", " car"], [0.5, 0.9, 0.7]) == pytest.approx(0.7)
    assert label_confidence("blue car", pieces, probabilities) is None
    assert label_confidence("", pieces, probabilities) is None
