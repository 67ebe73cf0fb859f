"""The captioner as a whole: a request in, words out one by one."""

from pathlib import Path

import torch
from torch import Tensor

from modeling.pixelrefer.calibration import Calibration
from modeling.pixelrefer.checkpoint import GenerationSettings, load_model
from modeling.pixelrefer.clip_scene import carry_version, encode_scene, make_carry, scene_key, shared_views
from modeling.pixelrefer.images import PatchSettings
from modeling.pixelrefer.inputs import LiteViews, SceneViews
from modeling.pixelrefer.model import PixelRefer, PixelReferLite
from modeling.pixelrefer.processor import Prepared, Processor
from modeling.pixelrefer.prompt import reworded
from modeling.pixelrefer.questions import WORDING
from modeling.pixelrefer.request import Answer, Request
from modeling.pixelrefer.reuse import CarryForm, ClipMemory, Scene
from modeling.pixelrefer.speaking import Finish, OnToken, Speaker, Spoken
from modeling.pixelrefer.stopwatch import Stopwatch
from modeling.pixelrefer.tokenizer import IMAGE, REGION, Tokenizer, load_tokenizer
from modeling.weights import weights_id

__all__ = ["Captioner", "Finish", "OnToken", "Spoken", "Stopwatch"]


class Captioner:
    """One loaded model. Not for use by several threads at once.

    What several questions about one clip have in common is computed once and kept in `memory`, if the requests
    name their clip; so is the frame that a clip hands on to the next one. `model_id` marks what is kept.
    """

    def __init__(
        self,
        network: PixelReferLite | PixelRefer,
        processor: Processor,
        tokenizer: Tokenizer,
        generation: GenerationSettings | None = None,
        calibration: Calibration | None = None,
        model_id: str = "",
        carry_form: CarryForm = "tokens",
    ) -> None:
        self.network, self.processor, self.tokenizer = network, processor, tokenizer
        self.generation = generation or GenerationSettings()
        self.memory = ClipMemory()
        self._carry_form: CarryForm = carry_form
        self._carry_version = carry_version(model_id, carry_form, network.dtype)
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
        generation = GenerationSettings.load(folder)
        return cls(network, processor, tokenizer, generation, calibration, weights_id(folder))

    @torch.inference_mode()
    def describe(
        self, request: Request, on_token: OnToken | None = None, scene: Scene | None = None
    ) -> Answer:
        """Answer a request greedily; the same request gives the same words.

        `on_token` hears each piece of text as it is decoded, the end token excepted. Pieces may be empty while
        a character is half written. `scene` is that of the request's clip where the caller has it (PixelRefer).
        Raises ValueError for a request that does not fit the model.
        """
        watch, reused = Stopwatch(), True
        if scene is None and isinstance(self.network, PixelRefer):
            scene, reused = self._scene(request, watch)
        with watch.stage("prepare"):
            prepared = self.processor.prepare(request, scene)
        with watch.stage("encode"):
            embeds = self.embed(prepared, whole=self._whole_views(request, prepared))
        spoken = self._speaker.speak(
            embeds, request.max_new_tokens, on_token, watch, lambda: self._is_nameless(prepared.ids, embeds)
        )
        object_tokens = int((prepared.ids == self._region).sum())
        return Answer(
            text=self.tokenizer.decode(spoken.ids).strip(),
            token_ids=spoken.ids,
            token_probabilities=spoken.probabilities,
            prompt_tokens=len(prepared.ids),
            object_tokens=object_tokens,
            finish=spoken.finish,
            timings_s=watch.timings_s,
            budget=prompt_budget(len(prepared.ids), object_tokens, scene, reused),
        )

    def _is_nameless(self, ids: Tensor, embeds: Tensor) -> bool:
        """Whether a description would call "something" what the prompt asks the event of; False for other prompts."""
        found = reworded(self.tokenizer, ids.tolist(), WORDING["event"], WORDING["detail"])
        if found is None:
            return False
        stays, asked = found
        asked_embeds = self.network.embed_tokens(torch.tensor(asked, device=self.network.device))
        return self._speaker.begins_with_something(torch.cat((embeds[:stays], asked_embeds)))

    @torch.inference_mode()
    def scene(self, request: Request) -> Scene:
        """The scene of the request's clip (PixelRefer), for any number of `describe` calls about that clip.

        Where the request names its clip, the scene is remembered, so that calls need not pass it on. Raises
        ValueError for a model without scene tokens.
        """
        return self._scene(request, Stopwatch())[0]

    def _scene(self, request: Request, watch: Stopwatch) -> tuple[Scene, bool]:
        """The scene, and whether it was known."""
        network, clip, carried = self.network, request.scene.clip, None
        if not isinstance(network, PixelRefer):
            raise ValueError("this model looks at objects only and has no scene tokens")
        with watch.stage("prepare"):
            key = scene_key(request)
            known = self.memory.scenes.get(key)
            if known is not None:
                return known, True
            if clip is not None and request.scene.shape.carry:
                carried = self.memory.carried_into(clip, self._carry_version)
            frames = self.processor.scene_frames(request, carried)
        with watch.stage("encode"):
            scene, last = encode_scene(network, frames, request, carried)
            if clip is not None and last is not None:
                kept = make_carry(network, frames, request, last, self._carry_form, self._carry_version)
                self.memory.keep(clip.camera, kept)
        if key is not None:
            self.memory.scenes.put(key, scene)
        return scene, False

    def _whole_views(self, request: Request, prepared: Prepared) -> Tensor | None:
        """Features of the global views (Lite), shared by the objects of a clip; None: not shared."""
        network, views, clip = self.network, prepared.views, request.scene.clip
        if clip is None or not isinstance(network, PixelReferLite) or not isinstance(views, LiteViews):
            return None
        return shared_views(network, views.globals_, clip, self.memory)

    def embed(self, prepared: Prepared, start: Tensor | None = None, whole: Tensor | None = None) -> Tensor:
        """Embeddings [S,C] of the prompt, with the features of objects and scene in their places.

        `start` int [M,K] overrides the first centroids of the clustering; `whole` [n,T,Cv] are the features of the
        global views (Lite), where they are known.
        """
        network = self.network
        ids = prepared.ids.to(network.device)
        embeds = network.embed_tokens(ids).clone()
        views = prepared.views
        if isinstance(network, PixelReferLite):
            assert isinstance(views, LiteViews)
            embeds[ids == self._region] = network.object_embeddings(views, start, whole).flatten(0, 1)
            return embeds
        assert not isinstance(views, LiteViews)
        embeds[ids == self._image] = self._scene_tokens(prepared, network).to(embeds)
        if views.crops is not None:
            embeds[ids == self._region] = network.object_embeddings(views, start)
        return embeds

    @staticmethod
    def _scene_tokens(prepared: Prepared, network: PixelRefer) -> Tensor:
        """Scene tokens in the order of the prompt: known ones, or those of the prepared frames."""
        if prepared.scene is not None:
            return prepared.scene.tokens
        assert isinstance(prepared.views, SceneViews) and prepared.views.frames is not None
        frames = prepared.views.frames
        tokens = torch.cat(network.scene_tokens(frames.images, frames.factors))
        return tokens[torch.cat(frames.kept).to(tokens.device)]


def prompt_budget(prompt: int, object_tokens: int, scene: Scene | None, reused: bool) -> dict[str, int]:
    """Where the tokens of a prompt went; see `Answer.budget`."""
    parts = {"object": object_tokens, "text": prompt - object_tokens}
    if scene is None:
        return parts
    shown = scene.budget
    return parts | {
        "text": prompt - object_tokens - shown.total,
        "anchor": shown.anchor,
        "body": shown.body,
        "dropped": shown.dropped,
        "carried": int(shown.carried),
        "reused": int(reused),
    }
