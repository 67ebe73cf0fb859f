"""One camera's endless segmentation session on a SAM 2 network."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from modeling.sam2.aim import aim, aim_at_points, holds
from modeling.sam2.encode import Maps
from modeling.sam2.memory import ObjectMemory
from modeling.sam2.network import Network, Outcome, Points
from modeling.sam2.prompts import as_mask, as_points, join
from modeling.sam2.shot import Shot
from modeling.sam2.state import Header, ObjectState, pack, read_header, unpack
from modeling.sam2.values import Detection, PromptLike, Step
from modeling.sam2.window import Focus, View, WindowSettings, cut_mask, extent, focus_on, spread


@dataclass(slots=True)
class _Followed:
    """One followed object; ``points``, ``logits`` and ``view`` belong to the newest picture only."""

    memory: ObjectMemory
    born: int
    logits: torch.Tensor | None = None
    points: Points | None = None
    appearance: torch.Tensor | None = None
    focus: Focus | None = None
    view: View | None = None


class Sam2Session:
    """Follows prompted objects through clip after clip, with bounded memory and exact save and restore.

    Makes the operators' ``Segmenter`` port real. Steps are counted per session and never reset; masks are given
    on a grid of ``mask_size`` (h, w) covering the whole picture. Not thread-safe: one session, one thread.

    With a ``window`` every object is looked for in its own part of the picture (:mod:`modeling.sam2.window`), at the
    price of one picture encoded for each object; without, on the whole picture, as the package's predictor does.
    """

    def __init__(
        self,
        network: Network,
        mask_size: tuple[int, int],
        model_hash: str,
        window: WindowSettings | None = None,
    ) -> None:
        if min(mask_size) < 1:
            raise ValueError(f"mask_size {mask_size}: height and width must be positive")
        self._network = network
        self._mask_size = (int(mask_size[0]), int(mask_size[1]))
        self._model_hash = model_hash
        self._window = window
        self._objects: dict[int, _Followed] = {}
        self._next_id = 1
        self._next_step = 0
        self._pending: deque[Shot] = deque()
        self._shot: Shot | None = None

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
        """Take the clip's pictures, RGB uint8 [H, W, 3]; raises RuntimeError while the last clip is unfinished.

        Without windows they are encoded here, together.
        """
        if self._pending:
            raise RuntimeError(f"begin_clip: {len(self._pending)} pictures of the last clip were not stepped")
        whole = self._network.encode(pictures) if self._window is None else [None] * len(pictures)
        shots = (Shot(self._network, *pair) for pair in zip(pictures, whole, strict=True))
        self._pending = deque(shots)

    @torch.inference_mode()
    def step(self) -> dict[int, Step]:
        """Advance to the next picture and find every object on it, objects of equal memory layout in one batch."""
        if not self._pending:
            raise RuntimeError("step: no picture left, call begin_clip first")
        self._shot = self._pending.popleft()
        now = self._next_step
        self._next_step += 1
        for held in self._objects.values():
            # Not earlier: a correction of the step before could still look back further than this one.
            held.memory = held.memory.ahead_of(now)
            held.view = self._through(held.focus)
        found: dict[int, Step] = {}
        for group in self._groups():
            memories = [self._objects[key].memory for key in group]
            found |= self._take(group, self._network.track(self._seen(group), memories, now), now)
        return {key: found[key] for key in self._objects}

    @torch.inference_mode()
    def candidates(self, points: np.ndarray) -> list[Detection]:
        """Decode single clicks, float32 [n, 2] normalised, on the newest picture, without memory."""
        shot = self._newest()
        if not len(points):
            return []
        labels = np.ones(len(points), np.int32)
        clicks = as_points(points, labels, None, self._network.image_size, self._network.device)
        return self._detections(self._network.clicks(shot.whole(), clicks.coords[0]), shot.view)

    @torch.inference_mode()
    def decode(self, prompt: PromptLike) -> Detection:
        """Decode one prompt on the newest picture without memory and without following it.

        A mask is shown to the decoder as a rough answer to be improved, together with its box.
        """
        shot = self._newest()
        focus = self._aim(prompt)
        view = self._through(focus)
        view = view if holds(view, prompt) else shot.view
        maps = shot.through(view)
        if prompt.mask is None:
            return self._detections(self._network.prompt(maps, self._points(prompt, view)), view)[0]
        mask = self._mask(prompt.mask, view)
        size = self._network.image_size // 4
        rough = F.interpolate(mask, size=(size, size), mode="bilinear", antialias=True) * 20.0 - 10.0
        return self._detections(self._network.prompt(maps, _box_of(mask), previous=rough), view)[0]

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
        """The object's mask logits on the newest picture, float32 [1, S/4, S/4]; -1024 where it is absent.

        With windows they cover the window in which it was looked for.
        """
        logits = self._held(object_id).logits
        if logits is None:
            raise RuntimeError("no picture yet: call begin_clip and step before asking for logits")
        return logits[0]

    def export_state(self) -> bytes:
        """The exact state after the newest step. Pictures that were encoded but not stepped are not part of it."""
        born = {key: held.born for key, held in self._objects.items()}
        header = Header(
            self._model_hash,
            self._network.image_size,
            self._next_step,
            self._next_id,
            born,
            windowed=self._window is not None,
            focus={key: [*held.focus.place] for key, held in self._objects.items() if held.focus},
        )
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
        if header.windowed != (self._window is not None):
            raise ValueError("session state: search windows are on in one of the two and off in the other")
        objects = unpack(state, header, self._network.new_memory, self._network.device)
        focus = {key: Focus(*place) for key, place in header.focus.items()}
        self._objects = {
            key: _Followed(held.memory, header.born[key], appearance=held.appearance, focus=focus.get(key))
            for key, held in objects.items()
        }
        self._next_id, self._next_step = header.next_id, header.next_step
        self._pending.clear()
        self._shot = None

    def _apply(self, held: _Followed, prompt: PromptLike, memory: ObjectMemory | None, now: int) -> Step:
        """Decode a prompt for an object on the newest picture and make it a conditioning memory."""
        view = self._point_at(held, prompt)
        maps = self._newest().through(view)
        if prompt.mask is not None:
            held.points = None
            outcome = self._network.prompt(maps, self._mask(prompt.mask, view))
        else:
            points = self._points(prompt, view)
            held.points = points if prompt.box is not None else join(held.points, points)
            outcome = self._network.prompt(maps, held.points, memory, now, held.logits)
        held.memory.anchor(now, outcome.entry(0))
        self._note(held, outcome, 0)
        return self._steps(outcome, [view])[0]

    def _point_at(self, held: _Followed, prompt: PromptLike) -> View:
        """The view a prompt is decoded in: points that lie in the object's own stay there."""
        shot = self._newest()
        focus = self._aim(prompt)
        if focus is not None:
            view = self._through(focus)
        elif held.view is not None and holds(held.view, prompt):
            return held.view
        else:
            view = self._found_by(prompt)
        if not holds(view, prompt):
            view = shot.view
        if view != held.view:
            held.view, held.points, held.logits = view, None, None
        held.focus = focus
        return view

    def _through(self, focus: Focus | None) -> View:
        """What of the newest picture is looked at; all of it without a focus."""
        shot = self._newest()
        if focus is None or self._window is None:
            return shot.view
        return focus.view(shot.shape, self._window.most)

    def _aim(self, prompt: PromptLike) -> Focus | None:
        shot = self._newest()
        if self._window is None:
            return None
        if prompt.mask is None:
            self._points(prompt, shot.view)  # refuses what is no place
        return aim(prompt, shot.shape, self._window)

    def _found_by(self, prompt: PromptLike) -> View:
        """The window about what points mark; all of the picture if that is nothing, or too far apart."""
        shot = self._newest()
        if self._window is None or prompt.points is None:
            return shot.view

        def look(view: View) -> tuple[float, np.ndarray | None]:
            if not holds(view, prompt):
                return 0.0, None
            outcome = self._network.prompt(shot.through(view), self._points(prompt, view))
            return float(outcome.quality[0]), _extent_of(outcome, 0)

        focus = aim_at_points(np.asarray(prompt.points), shot.shape, self._window, look)
        return self._through(focus)

    def _seen(self, group: Sequence[int]) -> Maps:
        """What objects see of the newest picture, each in its own view."""
        shot = self._newest()
        if self._window is None:
            return shot.whole()
        return Maps.stacked(shot.through_all([self._view(key) for key in group]))

    def _view(self, key: int) -> View:
        view = self._objects[key].view
        return self._newest().view if view is None else view

    def _take(self, group: Sequence[int], outcome: Outcome, now: int) -> dict[int, Step]:
        for row, key in enumerate(group):
            held = self._objects[key]
            held.memory.record(now, outcome.entry(row))
            held.points = None
            self._note(held, outcome, row)
        return dict(zip(group, self._steps(outcome, [self._view(key) for key in group]), strict=True))

    def _note(self, held: _Followed, outcome: Outcome, row: int) -> None:
        """Keep what the newest picture has shown of an object, and choose where to look for it next."""
        held.logits = outcome.logits[row : row + 1]
        if outcome.presence[row, 0] > 0:
            held.appearance = outcome.pointer[row : row + 1].float().clone()
        if self._window is None or held.view is None:
            return
        box = _extent_of(outcome, row)
        if box is not None:
            held.focus = focus_on(held.view.outward(box), self._newest().shape, self._window, held.focus)
        elif held.focus is not None:
            held.focus = held.focus.lost(self._window)

    def _groups(self) -> list[list[int]]:
        """Object ids by equal memory layout, in batches."""
        layouts: dict[tuple[int, int], list[int]] = {}
        for key, held in self._objects.items():
            layouts.setdefault(held.memory.layout, []).append(key)
        size = self._network.object_batch
        return [keys[at : at + size] for keys in layouts.values() for at in range(0, len(keys), size)]

    def _steps(self, outcome: Outcome, views: Sequence[View]) -> list[Step]:
        masks, quality, presence = self._on_host(outcome, views)
        return [Step(*row) for row in zip(masks, quality, presence, strict=True)]

    def _detections(self, outcome: Outcome, view: View) -> list[Detection]:
        masks, quality, presence = self._on_host(outcome, [view] * len(outcome.logits))
        surely, possibly = ((outcome.logits > limit).sum(dim=(1, 2, 3)) for limit in (1.0, -1.0))
        stability = (surely / possibly.clamp(min=1)).tolist()
        return [Detection(*row) for row in zip(masks, quality, stability, presence, strict=True)]

    def _on_host(
        self, outcome: Outcome, views: Sequence[View]
    ) -> tuple[np.ndarray, list[float], list[float]]:
        """Masks bool [B, h, w] on the session's grid, quality estimates and presence logits."""
        if all(view.is_whole for view in views):
            size = self._mask_size
            large = F.interpolate(outcome.logits, size=size, mode="bilinear", align_corners=False)[:, 0]
        else:
            rows = zip(outcome.logits, views, strict=True)
            large = torch.stack([spread(logits, view, self._mask_size) for logits, view in rows])
        masks = (large > 0).cpu().numpy()
        quality = outcome.quality.float().clamp(0.0, 1.0).tolist()
        return masks, quality, outcome.presence[:, 0].float().tolist()

    def _points(self, prompt: PromptLike, view: View) -> Points:
        points, box = prompt.points, prompt.box
        if not view.is_whole:
            points = None if points is None else view.inward(np.asarray(points).reshape(-1, 2))
            box = None if box is None else view.inward(np.asarray(box).reshape(2, 2)).clip(0, 1).reshape(4)
        return as_points(points, prompt.labels, box, self._network.image_size, self._network.device)

    def _mask(self, mask: np.ndarray, view: View) -> torch.Tensor:
        size = self._network.image_size
        shown = mask if view.is_whole else cut_mask(mask, view, size)
        return as_mask(shown, size, self._network.device)

    def _newest(self) -> Shot:
        if self._shot is None:
            raise RuntimeError("no picture yet: call begin_clip and step before prompting")
        return self._shot

    def _now(self) -> int:
        self._newest()
        return self._next_step - 1

    def _held(self, object_id: int) -> _Followed:
        if object_id not in self._objects:
            raise ValueError(f"object {object_id}: not followed by this session")
        return self._objects[object_id]


def _extent_of(outcome: Outcome, row: int) -> np.ndarray | None:
    """The box of one answer in its own view, None when nothing is there."""
    if outcome.presence[row, 0] <= 0:
        return None
    return extent((outcome.logits[row, 0] > 0).cpu().numpy())


def _box_of(mask: torch.Tensor) -> Points:
    """The corners of the set pixels of a mask [1, 1, S, S], as a box prompt."""
    ys, xs = torch.nonzero(mask[0, 0], as_tuple=True)
    corners = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float().view(1, 2, 2)
    return Points(corners, torch.tensor([[2, 3]], dtype=torch.int32, device=mask.device))


def _bytes(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.numel() * tensor.element_size()
