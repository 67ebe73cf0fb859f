"""The captioner as a whole: a request in, words out one by one."""

from pathlib import Path

import torch
from torch import Tensor

from modeling.pixelrefer.calibration import Calibration
from modeling.pixelrefer.checkpoint import GenerationSettings, load_model
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.inputs import LiteViews
from modeling.pixelrefer.model import PixelRefer, PixelReferLite
from modeling.pixelrefer.processor import Prepared, Processor
from modeling.pixelrefer.request import Answer, Request
from modeling.pixelrefer.speaking import Finish, OnToken, Speaker, Spoken
from modeling.pixelrefer.stopwatch import Stopwatch
from modeling.pixelrefer.tokenizer import IMAGE, REGION, Tokenizer, load_tokenizer

__all__ = ["Captioner", "Finish", "OnToken", "Spoken", "Stopwatch"]


class Captioner:
    """One loaded model. Not for use by several threads at once."""

    def __init__(
        self,
        network: PixelReferLite | PixelRefer,
        processor: Processor,
        tokenizer: Tokenizer,
        generation: GenerationSettings | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.network, self.processor, self.tokenizer = network, processor, tokenizer
        self.generation = generation or GenerationSettings()
        self._speaker = Speaker(network, tokenizer, self.generation, calibration or Calibration())
        self._region, self._image = tokenizer.id_of(REGION), tokenizer.id_of(IMAGE)

    @classmethod
    def load(
        cls, folder: Path, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> "Captioner":
        """A captioner from a model folder, computing in `dtype` (default: as its config.json says).

        Raises WeightsError, FileNotFoundError or ValueError.
        """
        network = load_model(folder, dtype).to(device)
        tokenizer = load_tokenizer(folder)
        processor = Processor(network.config, PatchSettings.load(folder), tokenizer)
        calibration = Calibration.load(folder, tokenizer)
        return cls(network, processor, tokenizer, GenerationSettings.load(folder), calibration)

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
        spoken = self._speaker.speak(embeds, request.max_new_tokens, on_token, watch)
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
