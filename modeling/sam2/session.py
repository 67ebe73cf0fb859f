"""One camera's endless segmentation session on a SAM 2 network."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from modeling.sam2.encode import Maps
from modeling.sam2.memory import ObjectMemory
from modeling.sam2.network import Network, Outcome, Points
from modeling.sam2.prompts import as_mask, as_points, join
from modeling.sam2.state import Header, ObjectState, pack, read_header, unpack
from modeling.sam2.values import Detection, PromptLike, Step


@dataclass(slots=True)
class _Followed:
    """One followed object; ``points`` and ``logits`` belong to the newest picture only."""

    memory: ObjectMemory
    born: int
    logits: torch.Tensor | None = None
    points: Points | None = None
    appearance: torch.Tensor | None = None


class Sam2Session:
    """Follows prompted objects through clip after clip, with bounded memory and exact save and restore.

    Makes the operators' ``Segmenter`` port real. Steps are counted per session and never reset; masks are given
    on a grid of ``mask_size`` (h, w) covering the whole picture. Not thread-safe: one session, one thread.
    """

    def __init__(self, network: Network, mask_size: tuple[int, int], model_hash: str) -> None:
        if min(mask_size) < 1:
            raise ValueError(f"mask_size {mask_size}: height and width must be positive")
        self._network = network
        self._mask_size = (int(mask_size[0]), int(mask_size[1]))
        self._model_hash = model_hash
        self._objects: dict[int, _Followed] = {}
        self._next_id = 1
        self._next_step = 0
        self._pending: deque[Maps] = deque()
        self._maps: Maps | None = None

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the followed objects, oldest first."""
        return tuple(self._objects)

    @property
    def num_bytes(self) -> int:
        """Bytes of everything remembered from one clip to the next."""
        return sum(held.memory.num_bytes + _bytes(held.appearance) for held in self._objects.values())

    @torch.inference_mode()
    def begin_clip(self, pictures: Sequence[np.ndarray]) -> None:
        """Encode the clip's pictures, RGB uint8 [H, W, 3]; raises RuntimeError while the last clip is unfinished."""
        if self._pending:
            raise RuntimeError(f"begin_clip: {len(self._pending)} pictures of the last clip were not stepped")
        self._pending = deque(self._network.encode(pictures))

    @torch.inference_mode()
    def step(self) -> dict[int, Step]:
        """Advance to the next picture and find every object on it, objects of equal memory layout in one batch."""
        if not self._pending:
            raise RuntimeError("step: no picture left, call begin_clip first")
        self._maps = self._pending.popleft()
        now = self._next_step
        self._next_step += 1
        for held in self._objects.values():
            # Not earlier: a correction of the step before could still look back further than this one.
            held.memory = held.memory.ahead_of(now)
        found: dict[int, Step] = {}
        for group in self._groups():
            memories = [self._objects[key].memory for key in group]
            found |= self._take(group, self._network.track(self._maps, memories, now), now)
        return {key: found[key] for key in self._objects}

    @torch.inference_mode()
    def candidates(self, points: np.ndarray) -> list[Detection]:
        """Decode single clicks, float32 [n, 2] normalised, on the newest picture, without memory."""
        maps = self._newest()
        if not len(points):
            return []
        labels = np.ones(len(points), np.int32)
        clicks = as_points(points, labels, None, self._network.image_size, self._network.device)
        return self._detections(self._network.clicks(maps, clicks.coords[0]))

    @torch.inference_mode()
    def decode(self, prompt: PromptLike) -> Detection:
        """Decode one prompt on the newest picture without memory and without following it.

        A mask is shown to the decoder as a rough answer to be improved, together with its box.
        """
        maps = self._newest()
        if prompt.mask is None:
            return self._detections(self._network.prompt(maps, self._points(prompt)))[0]
        mask = as_mask(prompt.mask, self._network.image_size, self._network.device)
        size = self._network.image_size // 4
        rough = F.interpolate(mask, size=(size, size), mode="bilinear", antialias=True) * 20.0 - 10.0
        return self._detections(self._network.prompt(maps, _box_of(mask), previous=rough))[0]

    @torch.inference_mode()
    def add_object(self, prompt: PromptLike) -> tuple[int, Step]:
        """Start following what the prompt marks on the newest picture; ids are never used twice."""
        now = self._now()
        held = _Followed(self._network.new_memory(), born=now)
        step = self._apply(held, prompt, None, now)
        key = self._next_id
        self._next_id += 1
        self._objects[key] = held
        return key, step

    @torch.inference_mode()
    def correct(self, object_id: int, prompt: PromptLike) -> Step:
        """Correct an object on the newest picture; the correction becomes a conditioning memory.

        Points add to those already given on this picture; a box or a mask replaces them.
        """
        now = self._now()
        held = self._held(object_id)
        # On the picture of its birth an object has no past: more clicks refine the first prompt.
        return self._apply(held, prompt, None if held.born == now else held.memory, now)

    def remove_object(self, object_id: int) -> None:
        """Forget the object and free its memory."""
        self._held(object_id)
        del self._objects[object_id]

    def embedding(self, object_id: int) -> np.ndarray | None:
        """The object pointer, float32 [d], of the last step at which the object was in view."""
        appearance = self._held(object_id).appearance
        return None if appearance is None else appearance[0].cpu().numpy()

    def logits(self, object_id: int) -> torch.Tensor:
        """The object's mask logits on the newest picture, float32 [1, S/4, S/4]; -1024 where it is absent."""
        logits = self._held(object_id).logits
        if logits is None:
            raise RuntimeError("no picture yet: call begin_clip and step before asking for logits")
        return logits[0]

    def export_state(self) -> bytes:
        """The exact state after the newest step. Pictures that were encoded but not stepped are not part of it."""
        born = {key: held.born for key, held in self._objects.items()}
        header = Header(self._model_hash, self._network.image_size, self._next_step, self._next_id, born)
        objects = {
            key: ObjectState(held.memory.ahead_of(self._next_step), held.appearance)
            for key, held in self._objects.items()
        }
        return pack(header, objects)

    def import_state(self, state: bytes) -> None:
        """Continue from ``export_state``; on failure (ValueError) this session is left as it was.

        After it the next call is ``begin_clip``: there is no newest picture to prompt yet.
        """
        header = read_header(state)
        if header.model != self._model_hash:
            raise ValueError("session state: written by a model with other weights, it cannot be continued")
        if header.image_size != self._network.image_size:
            ours = self._network.image_size
            raise ValueError(f"session state: input size {header.image_size}, this model runs at {ours}")
        objects = unpack(state, header, self._network.new_memory, self._network.device)
        self._objects = {
            key: _Followed(held.memory, header.born[key], appearance=held.appearance)
            for key, held in objects.items()
        }
        self._next_id, self._next_step = header.next_id, header.next_step
        self._pending.clear()
        self._maps = None

    def _apply(self, held: _Followed, prompt: PromptLike, memory: ObjectMemory | None, now: int) -> Step:
        """Decode a prompt for an object on the newest picture and make it a conditioning memory."""
        maps = self._newest()
        if prompt.mask is not None:
            held.points = None
            mask = as_mask(prompt.mask, self._network.image_size, self._network.device)
            outcome = self._network.prompt(maps, mask)
        else:
            points = self._points(prompt)
            held.points = points if prompt.box is not None else join(held.points, points)
            outcome = self._network.prompt(maps, held.points, memory, now, held.logits)
        held.memory.anchor(now, outcome.entry(0))
        _note(held, outcome, 0)
        return self._steps(outcome)[0]

    def _take(self, group: Sequence[int], outcome: Outcome, now: int) -> dict[int, Step]:
        for row, key in enumerate(group):
            held = self._objects[key]
            held.memory.record(now, outcome.entry(row))
            held.points = None
            _note(held, outcome, row)
        return dict(zip(group, self._steps(outcome), strict=True))

    def _groups(self) -> list[list[int]]:
        """Object ids by equal memory layout, in batches."""
        layouts: dict[tuple[int, int], list[int]] = {}
        for key, held in self._objects.items():
            layouts.setdefault(held.memory.layout, []).append(key)
        size = self._network.object_batch
        return [keys[at : at + size] for keys in layouts.values() for at in range(0, len(keys), size)]

    def _steps(self, outcome: Outcome) -> list[Step]:
        masks, quality, presence = self._on_host(outcome)
        return [Step(*row) for row in zip(masks, quality, presence, strict=True)]

    def _detections(self, outcome: Outcome) -> list[Detection]:
        masks, quality, presence = self._on_host(outcome)
        surely, possibly = ((outcome.logits > limit).sum(dim=(1, 2, 3)) for limit in (1.0, -1.0))
        stability = (surely / possibly.clamp(min=1)).tolist()
        return [Detection(*row) for row in zip(masks, quality, stability, presence, strict=True)]

    def _on_host(self, outcome: Outcome) -> tuple[np.ndarray, list[float], list[float]]:
        """Masks bool [B, h, w] on the session's grid, quality estimates and presence logits."""
        large = F.interpolate(outcome.logits, size=self._mask_size, mode="bilinear", align_corners=False)
        masks = (large[:, 0] > 0).cpu().numpy()
        quality = outcome.quality.float().clamp(0.0, 1.0).tolist()
        return masks, quality, outcome.presence[:, 0].float().tolist()

    def _points(self, prompt: PromptLike) -> Points:
        size = self._network.image_size
        return as_points(prompt.points, prompt.labels, prompt.box, size, self._network.device)

    def _newest(self) -> Maps:
        if self._maps is None:
            raise RuntimeError("no picture yet: call begin_clip and step before prompting")
        return self._maps

    def _now(self) -> int:
        self._newest()
        return self._next_step - 1

    def _held(self, object_id: int) -> _Followed:
        if object_id not in self._objects:
            raise ValueError(f"object {object_id}: not followed by this session")
        return self._objects[object_id]


def _note(held: _Followed, outcome: Outcome, row: int) -> None:
    held.logits = outcome.logits[row : row + 1]
    if outcome.presence[row, 0] > 0:
        held.appearance = outcome.pointer[row : row + 1].float().clone()


def _box_of(mask: torch.Tensor) -> Points:
    """The corners of the set pixels of a mask [1, 1, S, S], as a box prompt."""
    ys, xs = torch.nonzero(mask[0, 0], as_tuple=True)
    corners = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float().view(1, 2, 2)
    return Points(corners, torch.tensor([[2, 3]], dtype=torch.int32, device=mask.device))


def _bytes(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.numel() * tensor.element_size()
