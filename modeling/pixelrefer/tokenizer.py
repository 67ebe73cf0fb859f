"""Text to token ids and back: Qwen's byte-level BPE for published weights, words for the embedded model."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

TURN_START, TURN_END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
IMAGE, REGION = "<image>", "<REGION>"
UNKNOWN = "<unk>"
ADDED_TOKENS = (IMAGE, "<|stream_start|>", "<|stream_end|>", REGION)
"""Appended to Qwen's own vocabulary by PixelRefer, in this order."""

_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_WORD = re.compile(r"[^\W\d_]+|\d|[^\w\s]|_")
_CLOSING = set(".,:;?!)")


class Tokenizer(Protocol):
    """What prompts and generation need of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; special tokens written in it are recognised."""
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Token ids of a text in which nothing is special: never the id of a special token, whatever it spells."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out, outer whitespace kept."""
        ...

    def id_of(self, token: str) -> int:
        """Id of one special token. Raises ValueError if the vocabulary lacks it."""
        ...


class WordTokenizer:
    """One token a word, digit or punctuation mark; letters match as written, else in lower case.

    Spaces and line ends carry no token: a decoded sentence is its words joined by single spaces, with none
    before closing punctuation or inside a number. Stored in the `tokenizer.json` form of a WordLevel model.
    """

    def __init__(self, vocabulary: dict[str, int], special: Iterable[str]) -> None:
        self.vocabulary = vocabulary
        self.special = list(special)
        lost = [token for token in (*self.special, UNKNOWN) if token not in vocabulary]
        if lost:
            raise ValueError(f"the word list lacks {', '.join(lost)}")
        self._words = {number: word for word, number in vocabulary.items()}
        self._hidden = {vocabulary[token] for token in self.special}
        longest_first = sorted(self.special, key=len, reverse=True)
        self._split = re.compile("|".join(map(re.escape, longest_first)))

    @classmethod
    def build(cls, words: Iterable[str]) -> "WordTokenizer":
        """A tokenizer over the special tokens and the given words, which are numbered in order."""
        special = (PAD, TURN_START, TURN_END, *ADDED_TOKENS)
        order = dict.fromkeys((*special, UNKNOWN, *words))
        return cls({word: number for number, word in enumerate(order)}, special)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "WordTokenizer":
        """Read the content of a WordLevel `tokenizer.json`."""
        special = [entry["content"] for entry in content.get("added_tokens", []) if entry.get("special")]
        return cls(dict(content["model"]["vocab"]), special)

    def to_json(self) -> dict[str, Any]:
        """Content of `tokenizer.json`."""
        added = [
            {"id": self.vocabulary[token], "content": token, "special": True}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for token in self.special
        ]
        return {
            "version": "1.0",
            "added_tokens": added,
            "model": {"type": "WordLevel", "vocab": self.vocabulary, "unk_token": UNKNOWN},
        }

    def __len__(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        at = 0
        for found in self._split.finditer(text):
            ids += self.encode_plain(text[at : found.start()])
            ids.append(self.vocabulary[found.group()])
            at = found.end()
        return ids + self.encode_plain(text[at:])

    def encode_plain(self, text: str) -> list[int]:
        unknown = self.vocabulary[UNKNOWN]
        known = self.vocabulary
        ids = (known.get(word, known.get(word.lower(), unknown)) for word in _WORD.findall(text))
        return [number for number in ids if number not in self._hidden]

    def decode(self, ids: Sequence[int]) -> str:
        text = ""
        for word in (self._words.get(number, UNKNOWN) for number in ids if number not in self._hidden):
            inside_number = word.isdigit() and (text[-1:].isdigit() or re.search(r"\d\.$", text))
            glued = not text or word in _CLOSING or inside_number
            text += word if glued else f" {word}"
        return text

    def id_of(self, token: str) -> int:
        if token not in self.vocabulary:
            raise ValueError(f"the vocabulary lacks {token}")
        return self.vocabulary[token]


class ByteTokenizer:
    """Qwen's byte-level BPE, run by the `tokenizers` package."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._added = frozenset(engine.get_added_tokens_decoder())

    @classmethod
    def load(cls, folder: Path) -> "ByteTokenizer":
        """From `tokenizer.json`, or from `vocab.json` and `merges.txt` where that is absent."""
        import tokenizers  # only published checkpoints need it

        whole = folder / "tokenizer.json"
        engine = tokenizers.Tokenizer.from_file(str(whole)) if whole.exists() else _engine_of_parts(folder)
        engine.no_truncation()
        engine.no_padding()
        engine.add_special_tokens([token for token in ADDED_TOKENS if engine.token_to_id(token) is None])
        return cls(engine)

    def __len__(self) -> int:
        return self._engine.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        return self._engine.encode(text, add_special_tokens=False).ids

    def encode_plain(self, text: str) -> list[int]:
        """Past the engine's list of added tokens: its normaliser, its split into words, its byte pairs, no more."""
        engine = self._engine
        text = _encodable(text)
        if engine.normalizer is not None:
            text = engine.normalizer.normalize_str(text)
        words = engine.pre_tokenizer.pre_tokenize_str(text) if engine.pre_tokenizer else [(text, None)]
        ids = (token.id for word, _ in words for token in engine.model.tokenize(word))
        return [number for number in ids if number not in self._added]

    def decode(self, ids: Sequence[int]) -> str:
        return self._engine.decode(list(ids), skip_special_tokens=True)

    def id_of(self, token: str) -> int:
        number = self._engine.token_to_id(token)
        if number is None:
            raise ValueError(f"the vocabulary lacks {token}")
        return number


def _encodable(text: str) -> str:
    """The text with lone halves of surrogate pairs, which no byte sequence spells, marked as unreadable."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _engine_of_parts(folder: Path) -> Any:
    """Byte-level BPE built from the vocabulary, the merges and whichever file numbers the special tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    engine = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    engine.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_QWEN_SPLIT), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    engine.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    engine.decoder = decoders.ByteLevel()
    numbered = _special_numbers(folder)
    in_order = sorted(numbered, key=lambda token: numbered[token])
    engine.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in in_order])
    for token, number in numbered.items():
        if engine.token_to_id(token) != number:
            raise ValueError(f"{folder}: {token} should be token {number}, not {engine.token_to_id(token)}")
    return engine


def _special_numbers(folder: Path) -> dict[str, int]:
    """Special tokens and their ids."""
    for name in ("special_tokens.json", "added_tokens.json"):
        if (folder / name).exists():
            return {str(token): int(number) for token, number in _read(folder / name).items()}
    if (folder / "tokenizer_config.json").exists():
        table = _read(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
        return {entry["content"]: int(number) for number, entry in table.items()}
    return {}


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder. Raises FileNotFoundError naming what is missing."""
    whole = folder / "tokenizer.json"
    if whole.exists():
        content = _read(whole)
        if content.get("model", {}).get("type") == "WordLevel":
            return WordTokenizer.from_json(content)
    elif not ((folder / "vocab.json").exists() and (folder / "merges.txt").exists()):
        raise FileNotFoundError(f"{folder} holds neither tokenizer.json nor vocab.json with merges.txt")
    return ByteTokenizer.load(folder)


class PieceReader:
    """Cuts a growing list of ids into text pieces; half-written characters are held back."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._said = ""

    def push(self, token: int) -> str:
        """The text that this token adds, possibly empty. The first piece loses leading whitespace."""
        self._ids.append(token)
        text = self._tokenizer.decode(self._ids).lstrip()
        if text.endswith("�"):
            return ""
        piece, self._said = text[len(self._said) :], text
        return piece
