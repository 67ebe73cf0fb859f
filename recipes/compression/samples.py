"""Token trees of training: a clip's scene, under it each of its objects, under each object several questions.

One scene serves all its objects, as in service. Along any branch the tokens and their positions are exactly those of
the prompt of one question.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modeling.pixelrefer.compression import frame_tokens
from modeling.pixelrefer.history import previous_caption
from modeling.pixelrefer.prompt import prompt_ids, scene_video, timed_region_tag
from modeling.pixelrefer.questions import QuestionKind, question
from modeling.pixelrefer.tokenizer import TURN_END, TURN_START, WordTokenizer
from recipes.captioner.clips import FPS
from recipes.captioner.samples import IGNORED, common_length
from recipes.compression.settings import CLIP_FRAMES, FRAME_PX, Setting
from synthetic.grammar import NAMES, Attributes, render
from synthetic.language import answer
from synthetic.palette import COLOURS

QUESTIONS: tuple[QuestionKind, ...] = ("detail",)
MISTAKEN_SHARE = 0.15
"""Of the sentences told as history in training, so many have a wrong name: captioners make mistakes too."""


@dataclass(frozen=True)
class Trees:
    """A batch of B trees of S tokens.

    ``ids``, ``positions``, ``targets`` int64 [B,S] (targets: the next token, or -100); ``owners`` int64 [B,S]: 0 for
    the scene, 1.. for objects, -1 for padding; ``parts`` int64 [B,S]: 0 for what questions share, 1.. for questions;
    ``ends`` int64 [P,2]: tree and place of the last token that the questions of each object share.
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    owners: Tensor
    parts: Tensor
    ends: Tensor

    @property
    def mask(self) -> Tensor:
        """Attention mask bool [B,1,S,S]: a token sees the past of its own branch."""
        length = self.ids.shape[1]
        past = torch.ones(length, length, dtype=torch.bool).tril()
        owner, part = self.owners[:, None], self.parts[:, None]
        mine = owner == self.owners[:, :, None]
        branch = (owner == 0) | (mine & ((part == 0) | (part == self.parts[:, :, None])))
        own = torch.eye(length, dtype=torch.bool)
        return ((past & branch) | own)[:, None]


@dataclass(frozen=True)
class Ask:
    """What is asked of one object: times of the masks shown, the truth, and the last sentence ("" for none)."""

    times_s: Sequence[float]
    said: Attributes
    last: str


@dataclass
class _Tree:
    ids: list[int] = dataclasses.field(default_factory=list)
    positions: list[int] = dataclasses.field(default_factory=list)
    targets: list[int] = dataclasses.field(default_factory=list)
    owners: list[int] = dataclasses.field(default_factory=list)
    parts: list[int] = dataclasses.field(default_factory=list)
    ends: list[int] = dataclasses.field(default_factory=list)

    def add(
        self, ids: Sequence[int], at: int, owner: int, part: int, targets: Sequence[int] | None = None
    ) -> None:
        """Hang tokens on a branch; the first of them stands at position ``at``."""
        self.ids += ids
        self.positions += range(at, at + len(ids))
        self.targets += targets or [IGNORED] * len(ids)
        self.owners += [owner] * len(ids)
        self.parts += [part] * len(ids)


class PromptMaker:
    """Writes prompts as service does (`Processor`), and trees of them with their answers.

    Objects have the tags of PixelRefer-Lite, with times: the parts begun with have learned motion so.
    """

    def __init__(self, tokenizer: WordTokenizer, mask_num: int, patch_px: int) -> None:
        self.tokenizer, self.mask_num = tokenizer, mask_num
        self.grid = FRAME_PX[0] // patch_px, FRAME_PX[1] // patch_px

    def scene_counts(self, setting: Setting, has_past: bool) -> list[int]:
        """Scene tokens of each frame shown."""
        return [frame_tokens(self.grid, factor) for factor in setting.factors(has_past)]

    def scene(self, setting: Setting, has_past: bool) -> str:
        """The scene part of a prompt."""
        counts = self.scene_counts(setting, has_past)
        return scene_video([at / FPS for at in range(CLIP_FRAMES - len(counts), CLIP_FRAMES)], counts)

    def scene_length(self, setting: Setting, has_past: bool) -> int:
        """Tokens of a prompt up to the end of its scene: those that all questions about a clip share."""
        return len(self.tokenizer.encode(f"{TURN_START}user\n{self.scene(setting, has_past)}"))

    def prompt(self, kind: QuestionKind, setting: Setting, has_past: bool, ask: Ask) -> list[int]:
        """Token ids of the whole prompt of one question."""
        asked = question(kind, CLIP_FRAMES / FPS)
        if setting.history:
            asked += f" {previous_caption(ask.last)}"
        tag = timed_region_tag(ask.times_s, self.mask_num)
        return prompt_ids(self.tokenizer, asked, [tag], self.scene(setting, has_past))

    def trees(self, setting: Setting, asks: Sequence[tuple[bool, Sequence[Ask]]]) -> Trees:
        """A batch; of each half: whether it has a past, and what is asked of its objects."""
        return _stack([self._tree(setting, has_past, of_half) for has_past, of_half in asks])

    def _tree(self, setting: Setting, has_past: bool, asks: Sequence[Ask]) -> _Tree:
        prompts = [[self.prompt(kind, setting, has_past, ask) for kind in QUESTIONS] for ask in asks]
        scene = self.scene_length(setting, has_past)
        tree = _Tree()
        tree.add(prompts[0][0][:scene], 0, 0, 0)
        for owner, (ask, own) in enumerate(zip(asks, prompts, strict=True), start=1):
            shared = common_length(own)
            tree.add(own[0][scene:shared], scene, owner, 0)
            tree.ends.append(len(tree.ids) - 1)
            for part, (kind, prompt) in enumerate(zip(QUESTIONS, own, strict=True), start=1):
                told = [*self.tokenizer.encode(answer(kind, ask.said)), self.tokenizer.id_of(TURN_END)]
                targets = [IGNORED] * (len(prompt) - shared - 1) + told
                tree.add([*prompt[shared:], *told[:-1]], shared, owner, part, targets)
        return tree


def mistaken(said: Attributes, rng: np.random.Generator) -> str:
    """A sentence about the object, now and then with another name or colour."""
    if rng.random() < MISTAKEN_SHARE:
        wrong = {"class_name": str(rng.choice(NAMES[:-1])), "colour": str(rng.choice(list(COLOURS)))}
        name = str(rng.choice(list(wrong)))
        said = dataclasses.replace(said, **{name: wrong[name]})
    return render(said)


def _stack(made: Sequence[_Tree]) -> Trees:
    length = max(len(one.ids) for one in made)

    def padded(name: str, fill: int) -> Tensor:
        rows = [getattr(one, name) for one in made]
        return torch.tensor([row + [fill] * (length - len(row)) for row in rows])

    return Trees(
        ids=padded("ids", 0),
        positions=padded("positions", 0),
        targets=padded("targets", IGNORED),
        owners=padded("owners", -1),
        parts=padded("parts", 0),
        ends=torch.tensor([(row, at) for row, one in enumerate(made) for at in one.ends]),
    )
