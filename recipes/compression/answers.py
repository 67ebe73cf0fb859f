"""Answers of one network in each setting on the same held-out objects, kept as lines of JSON as they are given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from modeling.pixelrefer.model import PixelRefer
from modeling.pixelrefer.tokenizer import IMAGE, REGION, TURN_END, WordTokenizer
from recipes.captioner.cache import read_attributes
from recipes.compression.cache import Features, Half
from recipes.compression.decoding import speak_together
from recipes.compression.network import SceneProjection
from recipes.compression.samples import Ask, PromptMaker
from recipes.compression.settings import Setting
from recipes.compression.training import object_tokens

LONGEST_ANSWER = 40


class Answerer:
    """Asks one network for sentences, from cached features."""

    def __init__(
        self, network: PixelRefer, projection: SceneProjection, features: Features, tokenizer: WordTokenizer
    ) -> None:
        self.network, self.projection, self.features = network.eval(), projection.eval(), features
        self.prompts = PromptMaker(tokenizer, network.config.mask_num, network.config.vision.patch_px)
        self.tokenizer = tokenizer

    @torch.inference_mode()
    def sentences(
        self, half: Half, setting: Setting, masks: int, last: dict[int, str]
    ) -> dict[int, tuple[str, int]]:
        """For each object of a half its sentence and the length of its prompt; ``last``: its sentence before."""
        if not half.pieces:
            return {}
        past = half.has_past
        grids = self.features.grids(half, setting.carries(past))[None].float()
        scene = self.projection(grids, setting.factors(past), setting.own_projector)[0]
        prompts = [
            self._prompt(half, piece, masks, setting, scene, last.get(piece["object"], ""))
            for piece in half.pieces
        ]
        shared = self.prompts.scene_length(setting, past)
        spoken = speak_together(
            self.network, prompts, shared, {self.tokenizer.id_of(TURN_END)}, LONGEST_ANSWER
        )
        return {
            piece["object"]: (self.tokenizer.decode(ids).strip(), len(prompt))
            for piece, prompt, ids in zip(half.pieces, prompts, spoken, strict=True)
        }

    def _prompt(
        self, half: Half, piece: dict, masks: int, setting: Setting, scene: Tensor, last: str
    ) -> Tensor:
        """Embeddings [S,C] of one object's prompt."""
        cells = [self.features.cells(half, number) for number in piece["masks"][:masks]]
        counts = torch.tensor([len(part) for part, _ in cells])
        ask = Ask(piece["times"][:masks], read_attributes(piece["said"]), last)
        ids = torch.tensor(self.prompts.prompt("detail", setting, half.has_past, ask))
        embeds = self.network.embed_tokens(ids).clone()
        embeds[ids == self.tokenizer.id_of(IMAGE)] = scene
        padded, places = (
            nn.utils.rnn.pad_sequence(list(parts), batch_first=True) for parts in zip(*cells, strict=True)
        )
        embeds[ids == self.tokenizer.id_of(REGION)] = object_tokens(
            self.network.model.region_encoder, padded, places, counts
        ).flatten(0, 1)
        return embeds

    def answer(self, before: Half, half: Half, setting: Setting, masks: int) -> list[dict]:
        """Records of a second half's objects; with history, the network's own sentences about the first are told."""
        told: dict[int, str] = {}
        if setting.history:
            told = {number: text for number, (text, _) in self.sentences(before, setting, masks, {}).items()}
        said = self.sentences(half, setting, masks, told)
        scene = sum(self.prompts.scene_counts(setting, half.has_past))
        return [
            {
                "clip": half.name,
                "object": piece["object"],
                "text": said[piece["object"]][0],
                "true": piece["said"],
                "last": told.get(piece["object"], ""),
                "past": piece["past"],
                "cut": piece["cut"],
                "scene_tokens": scene,
                "prompt_tokens": said[piece["object"]][1],
            }
            for piece in half.pieces
        ]


def answer_all(
    answerer: Answerer, setting: Setting, masks: int, path: Path, clips: int | None = None
) -> list[dict]:
    """Records of all second halves (of the first so many clips), a line of ``path`` for each; lines there are kept.

    Raises ValueError for a file of other lines.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    known = path.read_text().splitlines() if path.exists() else []
    try:
        lines = [json.loads(line) for line in known]
    except ValueError as fault:
        raise ValueError(f"{path} holds a line that is no JSON ({fault}): delete it to ask anew") from None
    with path.open("a") as file:
        for before, half in list(_pairs(answerer.features))[len(lines) : clips]:
            lines.append(answerer.answer(before, half, setting, masks))
            file.write(json.dumps(lines[-1]) + "\n")
            file.flush()
    return [record for line in lines[:clips] for record in line]


def _pairs(features: Features) -> Iterator[tuple[Half, Half]]:
    """First and second half of each clip."""
    return zip(features.halves[::2], features.halves[1::2], strict=True)
