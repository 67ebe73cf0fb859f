"""What a track is believed to be."""

import json

import pytest

from operators.card import FADE, Card


def test_votes_add_up_and_fade() -> None:
    card = Card().heard("red car", 0.8).named("red car").heard("red car", 0.9).heard("red truck", 0.5)
    assert dict(card.votes) == pytest.approx({"red car": (0.8 * FADE + 0.9) * FADE, "red truck": 0.5})
    assert card.votes[0][0] == "red car" and card.doubts == ("red truck",) and card.answers == 3


def test_two_equal_answers_outweigh_any_history_and_one_does_not() -> None:
    card = Card(label="red car")
    for _ in range(50):
        card = card.heard("red car", 0.95)
    once = card.heard("red truck", 0.95)
    assert not once.outvoted_by("red truck", 1), "one answer weighs less"
    assert once.heard("red truck", 0.95).outvoted_by("red truck", 2)
    assert not once.heard("red truck", 0.6).outvoted_by("red truck", 2), "unsure answers need more"
    assert not once.heard("red car", 0.95).heard("red truck", 0.95).outvoted_by("red truck", 2), "in a row"


def test_a_vague_answer_supports_the_name_and_a_nameless_one_raises_a_doubt() -> None:
    card = Card().heard("red car").named("red car")
    assert dict(card.heard("something red").votes) == pytest.approx({"red car": 1 + FADE})
    assert card.heard(None).doubts == ("?",) and not card.heard(None).outvoted_by(None, 1)


def test_colour_and_attributes_come_from_the_name() -> None:
    card = Card(label="small red wooden box")
    assert (card.colour, card.attributes) == ("red", ("small", "wooden"))
    assert (Card(label="man").colour, Card(label="man").attributes, Card().colour) == (None, (), None)


def test_a_card_is_bounded_and_survives_json() -> None:
    card = Card(first_seen_s=3.5)
    for number in range(100):
        card = card.heard(f"thing {number}", 0.5)
    assert len(card.votes) == 6 and len(card.doubts) == 8
    assert Card.from_json(json.loads(json.dumps(card.to_json()))) == card
