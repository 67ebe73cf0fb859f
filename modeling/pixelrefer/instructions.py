"""How captioners that follow instructions are asked: the published checkpoints, on their language model.

The embedded captioner knows a handful of questions and no more (`modeling.pixelrefer.questions`).
"""

import hashlib
import json
from pathlib import Path
from typing import Literal

from modeling.pixelrefer.config import Framework
from modeling.pixelrefer.prompt import PLACEHOLDER, clean_words

INSTRUCTIONS_VERSION = "2"
"""Rises with any change of the wording below: answers are comparable only under one version."""

Style = Literal["short", "detailed"]

_OPENINGS: dict[Framework, str] = {
    "pixelrefer": "Please describe the marked object <region> in the video",
    "pixelreferlite": "There is one object in the video: <region>. Please describe it",
}
_WANTED: dict[Style, str] = {
    "detailed": "in one or two sentences: name it with its colour, then say what it does.",
    "short": "in a few words: what it is and what it does.",
}
STYLES: dict[Framework, dict[Style, str]] = {
    framework: {style: f"{opening} {wanted}" for style, wanted in _WANTED.items()}
    for framework, opening in _OPENINGS.items()
}
"""Each style in the words in which the framework was trained and evaluated to be asked."""

LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fr": "French",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "th": "Thai",
    "tr": "Turkish",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""Languages called by name; of others the tag is given as it is."""


def describe_instruction(
    style: Style,
    instruction: str | None = None,
    language: str | None = None,
    neighbours: int = 0,
    framework: Framework = "pixelreferlite",
) -> str:
    """The question that asks for a narration of one object, with a camera's own `instruction` behind it.

    `neighbours`: how many other objects are shown with it.
    """
    near = f"Near it: {' and '.join([PLACEHOLDER] * neighbours)}." if neighbours else ""
    own = clean_words(instruction or "")
    return " ".join(part for part in (STYLES[framework][style], near, own, answer_in(language)) if part)


def answer_in(language: str | None) -> str:
    """The sentence that asks for an answer in the language of a tag; empty for none and for English."""
    main = (language or "en").split("-")[0].lower()
    if main == "en":
        return ""
    return f"Answer in {LANGUAGES.get(main, f'the language {clean_words(language or main)}')}."


def instruction_id(style: Style, instruction: str | None = None, language: str | None = None) -> str:
    """Names the wording of a narration's question: its style, and a hash where a camera has words of its own."""
    if not (instruction or answer_in(language)):
        return style
    whole = describe_instruction(style, instruction, language)
    return f"instruction-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def follows_instructions(folder: Path) -> bool:
    """Whether the captioner of a model folder takes any question: one with a list of words knows only its own.

    Raises FileNotFoundError where the folder has no tokenizer, ValueError naming one that cannot be read.
    """
    whole = folder / "tokenizer.json"
    if whole.exists():
        try:
            content = json.loads(whole.read_text(encoding="utf-8"))
            return content.get("model", {}).get("type") != "WordLevel"
        except (ValueError, AttributeError, RecursionError) as fault:
            raise ValueError(f"{whole} is no tokenizer: {type(fault).__name__}: {fault}") from None
    if (folder / "vocab.json").exists():
        return True
    raise FileNotFoundError(f"{folder} holds no tokenizer: it is no captioner")
