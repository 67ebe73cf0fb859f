"""CIDEr against values of pycocoevalcap 1.2 (with its Java tokenizer), METEOR against cases worked out by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recipes.benchmarks.captions import caption_scores
from recipes.benchmarks.cider import cider
from recipes.benchmarks.meteor import fewest_chunks, meteor_exact_stem
from recipes.benchmarks.meteor_jar import MeteorError, meteor_1_5
from recipes.benchmarks.tokens import caption_words

# Candidate, references, CIDEr by pycocoevalcap 1.2 over the whole set.
SET = [
    (
        "A man in a white shirt is playing table tennis.",
        ["A man wearing a white t-shirt plays table tennis indoors.", "The man hits a ping-pong ball."],
        1.2620528565634548,
    ),
    (
        "The dog runs to the left and it doesn't stop.",
        ["A brown-and-white dog is running to the left; it stops."],
        1.5495411275849977,
    ),
    (
        "a car drives away",
        ["A white SUV enters from the left and drives ahead, getting smaller."],
        0.22788345529440263,
    ),
    (
        "The woman's dog brings the ball back to her, and she tosses it again.",
        ["The woman tosses the ball again after the dog brings it back."],
        2.061251977045545,
    ),
    ("", ["Nothing is seen here."], 0.0),
    ("the the the cat the", ["the cat sat on the mat", "the the cat"], 3.3321715678413173),
    ("A bird hovers.", ["The bird is hovering 3.5 metres high."], None),
]


def test_cider_is_that_of_the_coco_evaluation() -> None:
    scores = cider([said for said, _, _ in SET], [wanted for _, wanted, _ in SET])
    for score, (_, _, expected) in zip(scores, SET, strict=True):
        assert expected is None or score == pytest.approx(expected, abs=1e-9)


def test_cider_of_a_perfect_and_of_a_lone_caption() -> None:
    texts = ["a red ball rolls to the left", "the blue car stops at the wall"]
    assert cider(texts, [[text] for text in texts]) == pytest.approx([10.0, 10.0])
    assert cider(texts[:1], [texts[:1]]) == [0.0]
    with pytest.raises(ValueError, match="reference"):
        cider(texts, [["a"], []])


def test_words_are_split_as_the_treebank_splits_them() -> None:
    assert caption_words("The woman's dog doesn't stop; it's 3.5 metres, 1,000 times!") == (
        "the woman 's dog does n't stop it 's 3.5 metres 1,000 times".split()
    )
    assert (
        caption_words("A brown-and-white t-shirt. We cannot.")
        == "a brown-and-white t-shirt we can not".split()
    )
    assert caption_words(" ... ?! ") == []


@pytest.mark.parametrize(
    ("said", "wanted", "expected"),
    [
        # 3 of 3 words match 3 of 3 in one chunk: F 1, penalty 0.5 (1/3)^3.
        ("the red ball", "the red ball", 1 - 0.5 / 27),
        # Stems match: runs ~ running. 2 of 2 against 2 of 2, one chunk: penalty 0.5 (1/2)^3.
        ("dog runs", "dog running", 1 - 0.5 / 8),
        # 2 of 4 against 2 of 2 in two chunks: P 1/2, R 1, F 0.5/0.55, penalty 0.5.
        ("ball a big red", "red ball", 0.5 / 0.55 * 0.5),
        # 3 of 5 against 3 of 3 in one chunk "the the cat", although "the" stands four times.
        ("the the the cat the", "the the cat", 0.6 / 0.64 * (1 - 0.5 / 27)),
        ("a ball", "the car", 0.0),
        ("", "the car", 0.0),
    ],
)
def test_meteor_by_hand(said: str, wanted: str, expected: float) -> None:
    assert meteor_exact_stem(said, [wanted]) == pytest.approx(expected)


def test_meteor_takes_the_best_reference() -> None:
    alone = meteor_exact_stem("the red ball", ["the red ball"])
    assert meteor_exact_stem("the red ball", ["a car", "the red ball"]) == alone
    with pytest.raises(ValueError, match="reference"):
        meteor_exact_stem("a", [])


def test_chunks_are_the_fewest_possible() -> None:
    assert fewest_chunks("a b a b c".split(), "a b c a b".split(), 5) == 2
    assert fewest_chunks("a a a a".split(), "a x a x a".split(), 3) == 3
    assert fewest_chunks("x a b".split(), "a x b".split(), 3) == 3


def test_long_answers_are_cut() -> None:
    record = {"answer": "the red ball rolls " + "x " * 500, "reference": "the red ball rolls"}
    other = {"answer": "a car", "reference": "the tree"}
    cut = {"answer": "the red ball rolls " + "x " * 96, "reference": "the red ball rolls"}
    assert caption_scores([record, other]) == caption_scores([cut, other])
    assert caption_scores([]) == {"cider": None, "meteor_exact_stem": None}


def java(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    os.chmod(path, 0o755)
    return str(path)


def test_the_scores_of_the_jar_are_read(tmp_path: Path) -> None:
    jar = tmp_path / "meteor-1.5.jar"
    jar.write_bytes(b"")
    # Says how many lines it was given: two captions, and two references each although one has a single one.
    script = 'echo "Segment 1 score:\t0.25"; echo "Segment 2 score:\t0.5"; echo "Final score:\t0.3"; '
    script += '[ "$(wc -l < "$4")" = 2 ] && [ "$(wc -l < "$5")" = 4 ] && [ "$(head -1 "$4")" = "a ball" ]'
    told = (["A ball.", "b"], [["a ball", "the ball"], ["b"]])
    assert meteor_1_5(*told, jar, java(tmp_path / "java", script)) == (0.3, [0.25, 0.5])
    with pytest.raises(MeteorError, match="out of memory"):
        meteor_1_5(*told, jar, java(tmp_path / "java", "echo out of memory >&2; exit 1"))
    with pytest.raises(MeteorError, match="gave 1 scores for 2"):
        meteor_1_5(*told, jar, java(tmp_path / "java", 'echo "Segment 1 score: 1"; echo "Final score: 1"'))
    with pytest.raises(MeteorError, match="no such file"):
        meteor_1_5(*told, tmp_path / "none.jar")
