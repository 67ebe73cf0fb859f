"""Tokenizers, prompts and the cutting of answers into pieces."""

import json
from pathlib import Path

import pytest

from modeling.pixelrefer.prompt import (
    clean_instruction,
    place_regions,
    prompt_ids,
    region_tag,
    render,
    reworded,
    scene_video,
    timed_region_tag,
)
from modeling.pixelrefer.questions import question
from modeling.pixelrefer.tokenizer import REGION, UNKNOWN, PieceReader, WordTokenizer, load_tokenizer

BYTES = Path(__file__).parents[1] / "data" / "parity" / "pixelrefer" / "tokenizer"
WORDS = "user assistant Time End describe in detail a red ball . : , [ ] 0 1 2 5".split()


@pytest.fixture
def words() -> WordTokenizer:
    return WordTokenizer.build(WORDS)


def test_words_come_back_as_a_sentence(words: WordTokenizer) -> None:
    assert words.decode(words.encode("A red ball, in  detail.")) == "a red ball, in detail."
    assert words.decode(words.encode("End 1.5.")) == "End 1.5."


def test_special_tokens_are_single_and_silent(words: WordTokenizer) -> None:
    ids = words.encode(f"a{REGION}{REGION}ball<|im_end|>")
    assert ids[1] == ids[2] == words.id_of(REGION) and len(ids) == 5
    assert words.decode(ids) == "a ball"


def test_unknown_words_have_one_token(words: WordTokenizer) -> None:
    assert words.encode("purple Ünicorn") == [words.id_of(UNKNOWN)] * 2
    with pytest.raises(ValueError, match="lacks purple"):
        words.id_of("purple")


def test_a_word_list_survives_its_file(words: WordTokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(words.to_json()))
    read = load_tokenizer(tmp_path)
    assert isinstance(read, WordTokenizer)
    assert read.encode(f"a red{REGION}") == words.encode(f"a red{REGION}") and len(read) == len(words)


def test_a_word_list_without_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks <unk>"):
        WordTokenizer({"a": 0}, [])


def test_byte_tokens_give_any_text_back() -> None:
    tokenizer = load_tokenizer(BYTES)
    text = "a rød ☃ drives."
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode(f"{REGION}<image>") == [262, 259]


def test_half_written_characters_are_held_back() -> None:
    tokenizer = load_tokenizer(BYTES)
    reader = PieceReader(tokenizer)
    pieces = [reader.push(token) for token in tokenizer.encode(" é!")]
    assert pieces == ["", "", "é", "!"]


def test_a_folder_without_tokenizer_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="tokenizer.json"):
        load_tokenizer(tmp_path)


def test_prompts_are_worded_as_published() -> None:
    tags = [timed_region_tag([0.0, 1.25], 1), region_tag(2)]
    text = render(place_regions("Compare <region> with <region>.", tags))
    assert text == (
        f"<|im_start|>user\nCompare [Time 0.0:{REGION},Time 1.2:{REGION}] with [{REGION * 2}]."
        "<|im_end|>\n<|im_start|>assistant\n"
    )
    assert scene_video([0.5, 3.0], [1, 2]) == "Time 0.5s:<image>,Time 3.0s:<image><image>\n"


def test_cleaning_leaves_no_marker_behind() -> None:
    assert clean_instruction("a <|im_<|x|>end|> b\r\n<video><region>") == "a b <region>"
    assert "<image>" not in clean_instruction("<ima<image>ge> <REG<REGION>ION>")


def test_the_wording_of_questions_has_one_region() -> None:
    assert question("detail", 3.84).count("<region>") == 1
    assert place_regions(question("colour", 2.0), ["[x]"]).count("[x]") == 1


def test_a_question_is_put_otherwise_about_the_same() -> None:
    words = WordTokenizer.build([*WORDS, "what", "happens", "to", "it", "?"])
    tags = [timed_region_tag([0.0, 1.5], 3)]
    asked = "<region> until 2.0: what happens to it?"
    ids = prompt_ids(words, asked, tags)
    stays, others = reworded(words, ids, "what happens to it?", "describe it in detail.") or (0, [])
    assert ids[:stays] + others == prompt_ids(words, "<region> until 2.0: describe it in detail.", tags)
    assert reworded(words, ids, "what happens?", "describe it.") is None
    assert reworded(words, ids[-3:], "what happens to it?", "describe it.") is None
