"""Prompts as published: one user turn, region placeholders written out, times to one decimal.

What a user wrote and what we place are kept apart to the end: special tokens come from our own parts only, and the
user's words are encoded as plain text, whatever they spell.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from modeling.pixelrefer.tokenizer import IMAGE, REGION, TURN_END, TURN_START, Tokenizer

PLACEHOLDER = "<region>"
_PLACED = re.compile(f"({'|'.join(map(re.escape, (TURN_START, TURN_END, IMAGE, REGION)))})")
"""Special tokens that prompts of ours contain."""
_TURN = (f"{TURN_START}user\n", f"{TURN_END}\n{TURN_START}assistant\n")
_TAG = re.compile(r"<\|[^<>|]*\|>|(?!<region>)<(?i:region|image|video|stream)>")
_JOINERS = "\u200c\u200d"
"""Invisible, but part of the spelling in several scripts."""


def clean_instruction(text: str) -> str:
    """The instruction on one line without control and invisible characters, chat markers and modal tags.

    `<region>` stays. Cleaning is for the model's sake: safety does not rest on it, see `prompt_ids`.
    """
    text = "".join(_visible(character) for character in text)
    previous = None
    while previous != text:  # taking one tag out must not join the halves of another
        previous, text = text, _TAG.sub(" ", text)
    return " ".join(text.split())


def clean_words(text: str) -> str:
    """Like `clean_instruction`, for words that may not name a region either: labels, history, camera settings."""
    previous = None
    while previous != text:
        previous, text = text, clean_instruction(text.replace(PLACEHOLDER, " "))
    return text


def _visible(character: str) -> str:
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cs", "Zl", "Zp"):
        return " "
    return "" if kind == "Cf" and character not in _JOINERS else character


def render(content: str) -> str:
    """The single user turn that asks for an answer."""
    return content.join(_TURN)


def prompt_ids(tokenizer: Tokenizer, instruction: str, tags: Sequence[str], scene: str = "") -> list[int]:
    """Token ids of the turn that asks `instruction` about `tags`, after the `scene` part.

    The same ids as of `render(scene + place_regions(instruction, tags))`, but that special tokens are read in the
    turn's frame, the tags and the scene alone. Raises ValueError as `place_regions` does.
    """
    words = _pieces(instruction, len(tags))
    theirs = [(words[0], False)]
    for tag, piece in zip(tags, words[1:], strict=True):
        theirs += [(tag, True), (piece, False)]
    return _encode(tokenizer, [(_TURN[0] + scene, True), *theirs, (_TURN[1], True)])


def reworded(
    tokenizer: Tokenizer, ids: Sequence[int], words: str, instead: str
) -> tuple[int, list[int]] | None:
    """Another question about the same: how many of a prompt's `ids` stay if the `words` at its end are others, and
    the ids that follow these then. None for a prompt that does not end with `words`."""
    old, new = (prompt_ids(tokenizer, text, ()) for text in (words, instead))
    alike = next((at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), len(old))
    stays = len(ids) - len(old[alike:])
    if stays < 0 or list(ids[stays:]) != old[alike:]:
        return None
    return stays, new[alike:]


def _encode(tokenizer: Tokenizer, parts: Iterable[tuple[str, bool]]) -> list[int]:
    """Ids of texts in a row, each marked True where its special tokens count.

    Plain text runs on over the borders of parts, as byte pairs may.
    """
    ids: list[int] = []
    plain = ""
    for text, ours in parts:
        for number, piece in enumerate(_PLACED.split(text) if ours else (text,)):
            if number % 2 == 0:
                plain += piece
                continue
            ids += tokenizer.encode_plain(plain)
            ids.append(tokenizer.id_of(piece))
            plain = ""
    return ids + tokenizer.encode_plain(plain)


def time_text(seconds: float) -> str:
    """A time with at most one decimal, as Python rounds it; whole numbers given as int stay whole."""
    return str(round(seconds, 1))


def place_regions(instruction: str, tags: Sequence[str]) -> str:
    """Replace the placeholders of an instruction by `tags`, first to last.

    An instruction without any placeholder gets them all at its front. Raises ValueError if counts differ.
    """
    pieces = _pieces(instruction, len(tags))
    return "".join(piece + tag for piece, tag in zip(pieces, (*tags, ""), strict=True))


def _pieces(instruction: str, tags: int) -> list[str]:
    """The texts before, between and behind the placeholders of so many tags."""
    count = instruction.count(PLACEHOLDER)
    if count == 0 and tags:
        instruction = f"{' '.join([PLACEHOLDER] * tags)} {instruction}".rstrip()
    elif count != tags:
        raise ValueError(
            f"the instruction names {count} regions, {tags} are given: use one {PLACEHOLDER} each"
        )
    return instruction.split(PLACEHOLDER)


def region_tag(tokens: int) -> str:
    """`[` + tokens of one mask + `]`."""
    return f"[{REGION * tokens}]"


def timed_region_tag(times: Sequence[float], tokens: int) -> str:
    """PixelRefer-Lite's tag of one object in a video: its masks in time order, each after its time."""
    return f"[{','.join(f'Time {time_text(at)}:{REGION * tokens}' for at in times)}]"


def scene_images(counts: Sequence[int]) -> str:
    """PixelRefer's scene part for still images: the tokens of each image on a line."""
    return "".join(f"{IMAGE * count}\n" for count in counts)


def scene_video(times: Sequence[float], counts: Sequence[int]) -> str:
    """PixelRefer's scene part for a video: each frame's time and tokens."""
    frames = (f"Time {time_text(at)}s:{IMAGE * count}" for at, count in zip(times, counts, strict=True))
    return ",".join(frames) + "\n"
