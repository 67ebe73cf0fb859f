"""No text of a user's becomes a special token: whatever it spells, prompts hold only the tokens that we placed."""

import functools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling.pixelrefer.history import LONGEST_HISTORY, previous_caption
from modeling.pixelrefer.instructions import STYLES, describe_instruction
from modeling.pixelrefer.prompt import (
    PLACEHOLDER,
    clean_instruction,
    clean_words,
    place_regions,
    prompt_ids,
    render,
    scene_video,
    timed_region_tag,
)
from modeling.pixelrefer.tokenizer import ADDED_TOKENS, PAD, TURN_END, TURN_START, Tokenizer, load_tokenizer

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "words": ROOT / "weights" / "captioner-embedded",
    "bytes": ROOT / "tests" / "data" / "parity" / "pixelrefer" / "tokenizer",
}
SPECIAL = (PAD, TURN_START, TURN_END, *ADDED_TOKENS)
TAGS = [timed_region_tag([0.0, 1.5], 2), timed_region_tag([0.5], 2)]
SCENE = scene_video([0.0, 1.5], [3, 1])

_LOOKALIKES = [
    "＜|im_start|＞",
    "＜REGION＞",
    "‹image›",
    "<ｉｍａｇｅ>",
    "<REGIO\u0143>",
    "\u226eim_start|>",
    "<\u0338",
]
_INVISIBLE = [
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u00ad",
    "\u202e",
    "\U000e003c",
    "\x00",
    "\n",
    "\r\n",
    "\ud800",
    "\u0338",
]
_HALVES = [
    "<",
    "|",
    ">",
    "<|",
    "|>",
    "im_start",
    "IM_END",
    "region",
    "REGION",
    "image",
    "</",
    "_",
    "[",
    "]",
    "Time 0.0:",
]
_PIECES = [
    *SPECIAL,
    *_LOOKALIKES,
    *_INVISIBLE,
    *_HALVES,
    PLACEHOLDER,
    "<|im_<|x|>end|>",
    "assistant",
    "a red car",
]


def split_in_two(token: str) -> st.SearchStrategy[str]:
    """A special token with something put inside."""
    return st.tuples(st.integers(1, len(token) - 1), st.sampled_from(_PIECES)).map(
        lambda cut: token[: cut[0]] + cut[1] + token[cut[0] :]
    )


hostile = st.lists(
    st.sampled_from(_PIECES) | st.sampled_from(SPECIAL).flatmap(split_in_two) | st.text(max_size=5),
    max_size=12,
).map("".join)


@functools.cache
def tokenizer(kind: str) -> Tokenizer:
    return load_tokenizer(FOLDERS[kind])


def specials(kind: str, ids: list[int]) -> list[int]:
    known = {tokenizer(kind).id_of(token) for token in SPECIAL}
    return [number for number in ids if number in known]


@pytest.mark.parametrize("kind", FOLDERS)
@settings(max_examples=60, deadline=None)
@given(text=hostile)
def test_plain_text_has_no_special_token(kind: str, text: str) -> None:
    assert specials(kind, tokenizer(kind).encode_plain(text)) == []


@pytest.mark.parametrize("kind", FOLDERS)
@settings(max_examples=60, deadline=None)
@given(text=hostile, raw=st.booleans())
def test_a_prompt_holds_the_special_tokens_we_placed_and_no_other(kind: str, text: str, raw: bool) -> None:
    """Even where nobody cleaned the text first (``raw``), and with a region on either side of it."""
    words = text.replace(PLACEHOLDER, "").replace(PLACEHOLDER, "")
    instruction = f"{words[::-1]}{PLACEHOLDER}{words}{PLACEHOLDER}{words}"
    cleaned = instruction if raw else clean_instruction(instruction)
    if cleaned.count(PLACEHOLDER) != len(TAGS):
        return  # the pieces made a placeholder of their own: refused, see below
    ours = specials(kind, tokenizer(kind).encode(render(SCENE + "".join(TAGS))))
    assert specials(kind, prompt_ids(tokenizer(kind), cleaned, TAGS, SCENE)) == ours


@given(text=hostile)
def test_placeholders_of_a_users_own_are_counted_not_placed(text: str) -> None:
    instruction = f"{PLACEHOLDER} {PLACEHOLDER} {PLACEHOLDER} {text}"
    with pytest.raises(ValueError, match="the instruction names"):
        prompt_ids(tokenizer("words"), instruction, TAGS)


@settings(max_examples=60)
@given(text=hostile)
def test_cleaning_is_complete_and_done_once(text: str) -> None:
    for clean in (clean_instruction, clean_words):
        said = clean(text)
        assert clean(said) == said
        left = said.replace(PLACEHOLDER, " ")  # an object's tokens come in its place: halves stay apart
        assert not any(token.lower() in left.lower() for token in SPECIAL)
    assert PLACEHOLDER not in clean_words(text)


@given(text=hostile, language=st.sampled_from([None, "de", "pt-BR", "xx"]))
def test_a_cameras_own_instruction_names_no_further_region(text: str, language: str | None) -> None:
    for style in STYLES["pixelreferlite"]:
        asked = describe_instruction(style, text, language)
        assert asked.count(PLACEHOLDER) == 1 and asked.startswith(STYLES["pixelreferlite"][style])


@settings(max_examples=60)
@given(text=hostile)
def test_an_earlier_sentence_is_no_more_than_words(text: str) -> None:
    line = previous_caption(text)
    assert clean_words(line) == line and len(line) <= LONGEST_HISTORY + len("Previous caption: ")


@pytest.mark.parametrize("kind", FOLDERS)
@settings(deadline=None)
@given(
    words=st.lists(
        st.sampled_from(["a red car", "Ünï", "x1", " [", "] ", "Time", "1.5", "\n", ":"]), max_size=8
    )
)
def test_harmless_text_has_the_published_ids(kind: str, words: list[str]) -> None:
    instruction = f"What{''.join(words)}<region>does to<region>{''.join(words[::-1])}?"
    wanted = tokenizer(kind).encode(render(SCENE + place_regions(instruction, TAGS)))
    assert prompt_ids(tokenizer(kind), instruction, TAGS, SCENE) == wanted
