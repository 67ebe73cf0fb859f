"""One SAM 2 step assembled from the network's own parts, for a batch of objects.

The package's predictor wants the whole video, keeps all of it and steps objects one by one. Here the same
methods are called in the same order, with the memory handed in; the outcome is the same bits for one object
(``tests/modeling/test_sam2_session.py`` compares). Notation: S input size, f = S / 16, d hidden size, c memory
channels, B objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from sam2.modeling.sam2_utils import get_1d_sine_pe
from sam2.sam2_video_predictor import SAM2VideoPredictor

from modeling.sam2.candidates import Candidates, decode_candidates, offered, pointers_of
from modeling.sam2.encode import Maps, encode, prepare
from modeling.sam2.input_size import clicks_at_once
from modeling.sam2.memory import Entry, ObjectMemory
from modeling.sam2.steady import Steady, full_memories, sizes_up_to

# Bound given to the logits of an earlier mask when they are shown to the decoder again, as the predictor does.
PREVIOUS_LOGIT_LIMIT = 32.0
CLICK_BATCH = 64

Choice = Callable[[Candidates], Sequence[int]]
"""Which mask is taken of each object, a row each."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step's result for B objects."""

    logits: torch.Tensor  # float32 [B, 1, S/4, S/4]; -1024 everywhere when absent
    quality: torch.Tensor  # [B], IoU estimate of the mask, 0..1
    pointer: torch.Tensor  # [B, d]
    presence: torch.Tensor  # [B, 1], logit; <= 0 means not in view
    features: torch.Tensor | None = None  # bfloat16 [B, c, f, f], the memory of this step
    candidates: Candidates | None = None  # what was chosen from, if a choice was asked for
    chosen: tuple[int, ...] = ()

    def entry(self, row: int) -> Entry:
        """What one object remembers of this step."""
        if self.features is None:
            raise ValueError("Outcome.entry: this outcome was decoded without encoding a memory")
        return Entry(self.features[row : row + 1].clone(), self.pointer[row : row + 1].float().clone())


@dataclass(frozen=True, slots=True)
class Points:
    """Clicks and box corners in model pixels: ``coords`` [B, p, 2], ``labels`` int32 [B, p]."""

    coords: torch.Tensor
    labels: torch.Tensor

    def as_inputs(self) -> dict[str, torch.Tensor]:
        return {"point_coords": self.coords, "point_labels": self.labels}


class Network:
    """A SAM 2 model with the operations a session needs; holds no state of any stream, so sessions share it."""

    def __init__(
        self,
        model: SAM2VideoPredictor,
        encode_batch: int = 8,
        object_batch: int = 16,
        bfloat16: bool = False,
        steady: Steady | None = None,
    ) -> None:
        """At most ``encode_batch`` pictures and ``object_batch`` objects are computed at once.

        With an ``object_batch`` of 1 outcomes are the official predictor's bits; larger batches round otherwise.
        ``bfloat16`` computes in mixed precision, ``steady`` with compiled parts (:meth:`warm_up` makes them), both for
        GPUs.
        """
        self.model = model
        self.encode_batch = encode_batch
        self.object_batch = object_batch
        self.bfloat16 = bfloat16
        self.steady = steady
        self.image_size: int = model.image_size
        self.recent_features: int = model.num_maskmem - 1
        self.recent_pointers: int = model.max_obj_ptrs_in_encoder - 1
        self._memory_position: torch.Tensor | None = None

    @property
    def device(self) -> torch.device:
        return self.model.device

    def new_memory(self) -> ObjectMemory:
        return ObjectMemory(self.recent_features, self.recent_pointers)

    def encode(self, pictures: Sequence[np.ndarray]) -> list[Maps]:
        """Feature maps of RGB uint8 [H, W, 3] pictures of any sizes."""
        with self._precision():
            forward = self.model.forward_image if self.steady is None else self.steady.image
            pixels = prepare(pictures, self.image_size)
            return encode(lambda part: forward(part.to(self.device)), pixels, self.encode_batch)

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Compute once in every shape that compiled parts will meet; without such parts there is nothing to do."""
        if self.steady is None:
            return
        black = np.zeros((self.image_size, self.image_size, 3), np.uint8)
        for size in sizes_up_to(self.encode_batch):
            maps = self.encode([black] * size)[0]
        mask = torch.ones(1, 1, self.image_size, self.image_size, device=self.device)
        seen = self.prompt(maps, mask)
        for memory in full_memories(self.new_memory, lambda: seen.entry(0)):
            for size in sizes_up_to(self.object_batch):
                self.track(maps, [memory] * size, [max(memory.pointers) + 1] * size)

    def track(
        self,
        maps: Maps,
        memories: Sequence[ObjectMemory],
        steps: Sequence[int],
        choose: Choice | None = None,
    ) -> Outcome:
        """Find objects of equal memory layout, each on the picture of its own step.

        ``maps`` have one row, of the picture that all look at, or one for each object. Of the masks that are decoded
        for each the likeliest is taken, or the one that ``choose`` says.
        """
        with self._precision():
            steady = self.steady if self.steady is not None and memories[0].is_full else None
            seen = self._look_back(maps, memories, steps, steady)
            if choose is not None:
                return self._chosen(maps, decode_candidates(self.model, seen, maps), choose)
            multimask = self.model._use_multimask(False, None)
            found, high_res = self._heads(seen, maps, None, None, multimask, steady)
            return self._remember(maps, found, high_res, from_points=False, steady=steady)

    def prompt(
        self,
        maps: Maps,
        given: Points | torch.Tensor,
        memory: ObjectMemory | None = None,
        step: int = 0,
        previous: torch.Tensor | None = None,
    ) -> Outcome:
        """Decode a prompt for one object; with ``memory`` it corrects, without it begins.

        ``given`` is points or a mask float [1, 1, S, S] of 0 and 1, ``previous`` the logits [1, 1, S/4, S/4] of an
        earlier answer on the same picture, which new points refine.
        """
        with self._precision():
            if isinstance(given, torch.Tensor):
                found = _outcome(self.model._use_mask_as_output(maps.coarse, maps.sharp(1), given))
            else:
                seen = (
                    maps.coarse + self._no_memory
                    if memory is None
                    else self._look_back(maps, [memory], [step])
                )
                multimask = self.model._use_multimask(memory is None, given.as_inputs())
                if previous is not None:
                    previous = previous.clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
                found, _ = self._heads(seen, maps, given, previous, multimask)
            size = (self.image_size, self.image_size)
            high_res = F.interpolate(found.logits, size=size, mode="bilinear", align_corners=False)
            return self._remember(maps, found, high_res, from_points=True)

    def offers(self, maps: Maps, given: Points) -> Candidates:
        """All masks that the decoder has for one prompt, without memory."""
        with self._precision():
            return offered(self.model, maps.coarse + self._no_memory, maps, given.coords, given.labels)

    def clicks(self, maps: Maps, coords: torch.Tensor) -> Outcome:
        """Decode single clicks [n, 2] (model pixels) without memory; the best of three masks each.

        Logits are given even where ``presence`` says that nothing is there.
        """
        with self._precision():
            at_once = clicks_at_once(self.image_size, self.device.type, CLICK_BATCH)
            parts = [self._click(maps, part) for part in coords.split(at_once)]
        return Outcome(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _click(self, maps: Maps, coords: torch.Tensor) -> tuple[torch.Tensor, ...]:
        model = self.model
        labels = torch.ones(len(coords), 1, dtype=torch.int32, device=coords.device)
        sparse, dense = model.sam_prompt_encoder(points=(coords[:, None], labels), boxes=None, masks=None)
        masks, quality, tokens, presence = model.sam_mask_decoder(
            image_embeddings=maps.coarse + self._no_memory,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=True,
            high_res_features=maps.sharp(1),
        )
        best = quality.argmax(dim=1)
        rows = torch.arange(len(coords), device=coords.device)
        return masks[rows, best][:, None].float(), quality[rows, best], tokens[rows, 0], presence

    @property
    def _no_memory(self) -> torch.Tensor:
        return self.model.no_mem_embed.reshape(1, -1, 1, 1)

    def _look_back(
        self,
        maps: Maps,
        memories: Sequence[ObjectMemory],
        steps: Sequence[int],
        steady: Steady | None = None,
    ) -> torch.Tensor:
        """The coarse map conditioned on each object's memory: [B, d, f, f]."""
        tokens, positions, pointer_tokens = zip(
            *(self._lay_out(*each) for each in zip(memories, steps, strict=True)), strict=True
        )
        count = len(memories)
        current = maps.coarse.expand(count, -1, -1, -1).flatten(2).permute(2, 0, 1)
        current_position = maps.position.expand(count, -1, -1, -1).flatten(2).permute(2, 0, 1)
        memory, memory_position = torch.cat(tokens, dim=1), torch.cat(positions, dim=1)
        if steady is not None:
            seen = steady.attend(current, current_position, memory, memory_position, pointer_tokens[0])
        else:
            seen = self.model.memory_attention(
                curr=[current],
                curr_pos=[current_position],
                memory=memory,
                memory_pos=memory_position,
                num_obj_ptr_tokens=pointer_tokens[0],
            )
        return seen.permute(1, 2, 0).view(count, *maps.coarse.shape[1:])

    def _lay_out(self, memory: ObjectMemory, step: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Memory tokens [L, 1, c], their position codes [L, 1, c], and how many of them are pointer tokens."""
        model = self.model
        tokens, positions = [], []
        for position, features in memory.seen_features(step):
            tokens.append(features.flatten(2).permute(2, 0, 1))
            plane = self._memory_plane(features).flatten(2).permute(2, 0, 1)
            positions.append(plane + model.maskmem_tpos_enc[model.num_maskmem - position - 1])
        distances, pointers = zip(*memory.seen_pointers(step), strict=True)
        # A pointer of d numbers is wider than a memory token of c: it becomes d / c tokens at one position.
        parts = model.hidden_dim // model.mem_dim
        tokens.append(torch.cat(pointers).reshape(-1, 1, model.mem_dim))
        codes = self._distance_codes(distances)
        positions.append(codes.repeat_interleave(parts, dim=0))
        return torch.cat(tokens), torch.cat(positions), parts * len(pointers)

    def _distance_codes(self, distances: Sequence[int]) -> torch.Tensor:
        model = self.model
        far = torch.tensor(distances, device=self.device) / self.recent_pointers
        width = model.hidden_dim if model.proj_tpos_enc_in_obj_ptrs else model.mem_dim
        return model.obj_ptr_tpos_proj(get_1d_sine_pe(far, dim=width)).unsqueeze(1)

    def _memory_plane(self, features: torch.Tensor) -> torch.Tensor:
        """Sine code of the places of a memory, float32 [1, c, f, f]: the same for every memory of a network."""
        plane = self._memory_position
        if plane is None:
            plane = self._memory_position = self.model.memory_encoder.position_encoding(features)[:1].float()
        return plane

    def _heads(
        self,
        seen: torch.Tensor,
        maps: Maps,
        points: Points | None,
        previous: torch.Tensor | None,
        multimask: bool,
        steady: Steady | None = None,
    ) -> tuple[Outcome, torch.Tensor]:
        """Decode masks from a conditioned map; also the chosen masks at input size [B, 1, S, S]."""
        if steady is not None:
            answer = steady.heads(seen, maps.sharp(len(seen)), multimask)
            return _outcome(answer), answer[4]
        answer = self.model._forward_sam_heads(
            backbone_features=seen,
            point_inputs=points.as_inputs() if points is not None else None,
            mask_inputs=previous,
            high_res_features=maps.sharp(len(seen)),
            multimask_output=multimask,
        )
        return _outcome(answer), answer[4]

    def _chosen(self, maps: Maps, found: Candidates, choose: Choice) -> Outcome:
        best = tuple(choose(found))
        rows = torch.arange(found.rows(), device=self.device)
        logits, quality = found.logits[rows, list(best)][:, None], found.quality[rows, list(best)]
        size = (self.image_size, self.image_size)
        high_res = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        outcome = Outcome(logits, quality, pointers_of(self.model, found, best), found.presence)
        remembered = self._remember(maps, outcome, high_res, from_points=False)
        return replace(remembered, candidates=found, chosen=best)

    def _remember(
        self,
        maps: Maps,
        found: Outcome,
        high_res: torch.Tensor,
        from_points: bool,
        steady: Steady | None = None,
    ) -> Outcome:
        """The same outcome with the memory of this step encoded; rounded to bfloat16 as the predictor does."""
        count = len(found.pointer)
        if steady is not None:
            coarse = maps.coarse.expand(count, -1, -1, -1)
            return replace(
                found, features=steady.remember(coarse, high_res, found.presence).to(torch.bfloat16)
            )
        features, _ = self.model._encode_new_memory(
            current_vision_feats=[maps.coarse.expand(count, -1, -1, -1).flatten(2).permute(2, 0, 1)],
            feat_sizes=[tuple(maps.coarse.shape[-2:])],
            pred_masks_high_res=high_res,
            object_score_logits=found.presence,
            is_mask_from_pts=from_points,
        )
        return replace(found, features=features.to(torch.bfloat16))

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()


def _outcome(answer: tuple[torch.Tensor, ...]) -> Outcome:
    _, _, quality, logits, _, pointer, presence = answer
    # Of several masks the decoder has taken the one with the best estimate.
    return Outcome(logits.float(), quality.max(dim=1).values, pointer, presence)
