"""Begin a training with what an earlier captioner has learned."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from modeling.pixelrefer.checkpoint import load_model
from modeling.pixelrefer.model import CaptionNetwork
from modeling.pixelrefer.tokenizer import WordTokenizer, load_tokenizer

WORD_TABLE = "model.embed_tokens.weight"


@torch.no_grad()
def warm_start(network: CaptionNetwork, tokenizer: WordTokenizer, folder: Path) -> list[str]:
    """Copy every tensor of the model in ``folder`` that has the same name and shape; word by word the word table.

    Words the earlier model did not know keep their start values. Returns the names that were not found.
    Raises WeightsError for a folder that holds no model.
    """
    known = load_model(folder).state_dict()
    words = load_tokenizer(folder)
    if not isinstance(words, WordTokenizer):
        raise ValueError(f"{folder} has a tokenizer of pieces, not of words: it cannot be begun with")
    missing: list[str] = []
    for name, value in network.state_dict().items():
        earlier = known.get(name)
        if name == WORD_TABLE and earlier is not None:
            _copy_words(value, earlier, tokenizer, words)
        elif earlier is None or earlier.shape != value.shape:
            missing.append(name)
        else:
            value.copy_(earlier)
    return missing


def _copy_words(table: Tensor, earlier: Tensor, tokenizer: WordTokenizer, words: WordTokenizer) -> None:
    for word, row in tokenizer.vocabulary.items():
        if (before := words.vocabulary.get(word)) is not None:
            table[row] = earlier[before]
