"""Prompts as published: one user turn, region placeholders written out, times to one decimal."""

import re
from collections.abc import Sequence

from modeling.pixelrefer.tokenizer import IMAGE, REGION, TURN_END, TURN_START

PLACEHOLDER = "<region>"
_CONTROL = re.compile(r"<\|[^<>|]*\|>|<REGION>|<image>|<video>|[\x00-\x1f\x7f-\x9f]")


def clean_instruction(text: str) -> str:
    """The instruction without control characters, chat markers and modal tags; `<region>` stays."""
    previous = None
    while previous != text:  # taking one tag out must not join the halves of another
        previous, text = text, _CONTROL.sub(" ", text)
    return " ".join(text.split())


def render(content: str) -> str:
    """The single user turn that asks for an answer."""
    return f"{TURN_START}user\n{content}{TURN_END}\n{TURN_START}assistant\n"


def time_text(seconds: float) -> str:
    """A time with at most one decimal, as Python rounds it; whole numbers given as int stay whole."""
    return str(round(seconds, 1))


def place_regions(instruction: str, tags: Sequence[str]) -> str:
    """Replace the placeholders of an instruction by `tags`, first to last.

    An instruction without any placeholder gets them all at its front. Raises ValueError if counts differ.
    """
    count = instruction.count(PLACEHOLDER)
    if count == 0 and tags:
        instruction = f"{' '.join([PLACEHOLDER] * len(tags))} {instruction}".rstrip()
    elif count != len(tags):
        raise ValueError(
            f"the instruction names {count} regions, {len(tags)} are given: use one {PLACEHOLDER} each"
        )
    pieces = instruction.split(PLACEHOLDER)
    return "".join(piece + tag for piece, tag in zip(pieces, (*tags, ""), strict=True))


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
