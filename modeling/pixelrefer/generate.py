"""The captioner as a whole: a request in, words out one by one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from modeling.pixelrefer.checkpoint import GenerationSettings, load_model
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.inputs import LiteViews
from modeling.pixelrefer.model import PixelRefer, PixelReferLite
from modeling.pixelrefer.processor import Prepared, Processor
from modeling.pixelrefer.request import Answer, Request
from modeling.pixelrefer.tokenizer import IMAGE, REGION, TURN_END, PieceReader, Tokenizer, load_tokenizer

OnToken = Callable[[str, float], bool]
"""Called with each text piece and its probability; returning False ends the answer."""

Finish = Literal["stop", "length", "cancelled"]


@dataclass
class Stopwatch:
    """Seconds spent in each stage."""

    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block to stage `name`."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - begun


@dataclass
class Spoken:
    """Tokens generated so far."""

    ids: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    finish: Finish = "length"


class Captioner:
    """One loaded model. Not for use by several threads at once."""

    def __init__(
        self,
        network: PixelReferLite | PixelRefer,
        processor: Processor,
        tokenizer: Tokenizer,
        generation: GenerationSettings | None = None,
    ) -> None:
        self.network, self.processor, self.tokenizer = network, processor, tokenizer
        self.generation = generation or GenerationSettings()
        self._ends = {tokenizer.id_of(TURN_END), *self.generation.end_tokens}
        self._region, self._image = tokenizer.id_of(REGION), tokenizer.id_of(IMAGE)

    @classmethod
    def load(
        cls, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> "Captioner":
        """A captioner from a model folder. Raises WeightsError, FileNotFoundError or ValueError."""
        network = load_model(folder, dtype).to(device)
        tokenizer = load_tokenizer(folder)
        processor = Processor(network.config, PatchSettings.load(folder), tokenizer)
        return cls(network, processor, tokenizer, GenerationSettings.load(folder))

    @torch.inference_mode()
    def describe(self, request: Request, on_token: OnToken | None = None) -> Answer:
        """Answer a request greedily; the same request gives the same words.

        `on_token` hears each piece of text as it is decoded, the end token excepted. Pieces may be empty while
        a character is half written. Raises ValueError for a request that does not fit the model.
        """
        watch = Stopwatch()
        with watch.stage("prepare"):
            prepared = self.processor.prepare(request)
        with watch.stage("encode"):
            embeds = self.embed(prepared)
        spoken = self._speak(embeds, request.max_new_tokens, on_token, watch)
        return Answer(
            text=self.tokenizer.decode(spoken.ids).strip(),
            token_ids=spoken.ids,
            token_probabilities=spoken.probabilities,
            prompt_tokens=len(prepared.ids),
            object_tokens=int((prepared.ids == self._region).sum()),
            finish=spoken.finish,
            timings_s=watch.timings_s,
        )

    def embed(self, prepared: Prepared, start: Tensor | None = None) -> Tensor:
        """Embeddings [S,C] of the prompt, with the features of objects and scene in their places.

        `start` int [M,K] overrides the first centroids of the clustering.
        """
        network = self.network
        ids = prepared.ids.to(network.device)
        embeds = network.embed_tokens(ids).clone()
        views = prepared.views
        if isinstance(network, PixelReferLite):
            assert isinstance(views, LiteViews)
            embeds[ids == self._region] = network.object_embeddings(views, start).flatten(0, 1)
            return embeds
        assert not isinstance(views, LiteViews)
        embeds[ids == self._image] = network.scene_embeddings(views.scene)[views.kept.to(network.device)]
        if views.crops is not None:
            embeds[ids == self._region] = network.object_embeddings(views, start)
        return embeds

    def _speak(self, embeds: Tensor, limit: int, on_token: OnToken | None, watch: Stopwatch) -> Spoken:
        """Prefill, then one token at a time."""
        network, reader, spoken = self.network, PieceReader(self.tokenizer), Spoken()
        cache = network.new_cache(len(embeds) + limit)
        with watch.stage("prefill"):
            scores = network.logits(network.decode(embeds[None], cache=cache)[0, -1])
        with watch.stage("decode"):
            while True:
                token, probability = self._choose(scores, spoken.ids)
                if token in self._ends:
                    spoken.finish = "stop"
                    return spoken
                spoken.ids.append(token)
                spoken.probabilities.append(probability)
                if on_token is not None and not on_token(reader.push(token), probability):
                    spoken.finish = "cancelled"
                    return spoken
                if len(spoken.ids) == limit:
                    return spoken
                step = network.embed_tokens(torch.tensor([[token]], device=embeds.device))
                scores = network.logits(network.decode(step, cache=cache)[0, -1])

    def _choose(self, scores: Tensor, said: list[int]) -> tuple[int, float]:
        """The likeliest token and its probability, after the penalty on tokens already generated."""
        scores = scores.float()
        penalty = self.generation.repetition_penalty
        if penalty != 1.0 and said:
            rows = torch.tensor(sorted(set(said)), device=scores.device)
            before = scores[rows]
            scores[rows] = torch.where(before < 0, before * penalty, before / penalty)
        token = int(scores.argmax())
        return token, float(torch.softmax(scores, -1)[token])
