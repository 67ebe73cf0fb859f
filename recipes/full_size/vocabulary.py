"""A byte-level BPE tokenizer of any size in the Hugging Face form, with the special tokens of the published models.

The merges are made up (every pair of known pieces in turn), so it cuts text oddly, but it has the size, the file form
and the cost of the real one.
"""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from modeling.pixelrefer.tokenizer import ADDED_TOKENS, PAD, TURN_END, TURN_START

QWEN_SPECIAL = 22
"""Special tokens of Qwen2.5: end of text, turn marks, and others that PixelRefer never uses."""


def write_tokenizer(folder: Path, base_tokens: int) -> int:
    """Write `tokenizer.json` with that many ordinary tokens; returns the number of rows its table needs."""
    special = special_tokens()
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    content = {
        "version": "1.0",
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": byte_level,
        "decoder": byte_level,
        "added_tokens": [
            {"id": base_tokens + number, "content": token, "special": True}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for number, token in enumerate(special)
        ],
        "model": _model(base_tokens),
    }
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return base_tokens + len(special)


def special_tokens() -> list[str]:
    """Qwen2.5's 22 in their order (those that matter here by name), then PixelRefer's four."""
    named = [PAD, TURN_START, TURN_END]
    others = [f"<|reserved_{number}|>" for number in range(QWEN_SPECIAL - len(named))]
    return [*named, *others, *ADDED_TOKENS]


def _model(size: int) -> dict[str, Any]:
    pieces = _byte_pieces()
    if size < len(pieces):
        raise ValueError(f"a byte-level vocabulary needs at least {len(pieces)} tokens, not {size}")
    known = dict.fromkeys(pieces)
    merges: list[tuple[str, str]] = []
    for left, right in _pairs(pieces):
        if len(known) == size:
            break
        if left + right not in known:
            known[left + right] = None
            merges.append((left, right))
            pieces.append(left + right)
    vocabulary = {piece: number for number, piece in enumerate(known)}
    return {"type": "BPE", "vocab": vocabulary, "merges": merges, "byte_fallback": False}


def _pairs(pieces: list[str]) -> Iterator[tuple[str, str]]:
    """All pairs of pieces, those added on the way included, the earliest first."""
    for end in count():
        for start in range(end + 1):
            yield pieces[start], pieces[end]


def _byte_pieces() -> list[str]:
    """The 256 characters by which byte-level tokenizers write bytes: printable ones as they are, others moved up."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    moved = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(moved)) for byte in range(256)]
