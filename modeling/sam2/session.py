"""One camera's endless segmentation session on a SAM 2 network."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from modeling.sam2.answers import detection_of, detections_of, extent_of, steps_of
from modeling.sam2.encode import Maps
from modeling.sam2.followed import Followed
from modeling.sam2.memory import ObjectMemory
from modeling.sam2.network import Network, Points
from modeling.sam2.policy import OFFICIAL, Notes, Policy
from modeling.sam2.prompts import as_points, join
from modeling.sam2.settle import keep, shown_box
from modeling.sam2.shot import Shot
from modeling.sam2.sight import Sight
from modeling.sam2.state import Header, ObjectState, pack, read_header, unpack
from modeling.sam2.stepping import Row, Turn, step_rows
from modeling.sam2.values import Detection, PromptLike, Step
from modeling.sam2.window import Focus, WindowSettings

RESTING_PRESENCE = -10.0
"""Presence logit of a hidden object that was not looked for: as sure as the network is of what it is shown."""


class Sam2Session:
    """Follows prompted objects through clip after clip, with bounded memory and exact save and restore.

    Makes the operators' ``Segmenter`` port real. Steps are counted per session and never reset; masks are given
    on a grid of ``mask_size`` (h, w) covering the whole picture. Not thread-safe: one session, one thread.

    With a ``window`` every object is looked for in its own part of the picture (:mod:`modeling.sam2.window`), at the
    price of one picture encoded for each object; without, on the whole picture, as the package's predictor does. The
    ``policy`` decides what is remembered (:mod:`modeling.sam2.policy`); the official one is the predictor's.

    An object that has been out of view for longer than its recent memories reach back is looked for on every
    ``hidden_every``-th picture only; on the others it costs nothing, is answered as absent, and remembers nothing.
    """

    def __init__(
        self,
        network: Network,
        mask_size: tuple[int, int],
        model_hash: str,
        window: WindowSettings | None = None,
        policy: Policy = OFFICIAL,
        hidden_every: int = 1,
    ) -> None:
        if hidden_every < 1:
            raise ValueError(
                f"hidden_every {hidden_every}: at least 1, which looks for hidden objects always"
            )
        if min(mask_size) < 1:
            raise ValueError(f"mask_size {mask_size}: height and width must be positive")
        self._network = network
        self._mask_size = (int(mask_size[0]), int(mask_size[1]))
        self._model_hash = model_hash
        self._window = window
        self._policy = policy
        self._hidden_every = hidden_every
        self._objects: dict[int, Followed] = {}
        self._next_id = 1
        self._next_step = 0
        self._pending: deque[Shot] = deque()
        self._sight: Sight | None = None

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Ids of the followed objects, oldest first."""
        return tuple(self._objects)

    @property
    def num_bytes(self) -> int:
        """Bytes of everything remembered from one clip to the next."""
        return sum(held.num_bytes for held in self._objects.values())

    @torch.inference_mode()
    def begin_clip(self, pictures: Sequence[np.ndarray]) -> None:
        """Take the clip's pictures, RGB uint8 [H, W, 3]; raises RuntimeError while the last clip is unfinished.

        Without windows they are encoded here, together.
        """
        self.check_stepped()
        self.take_clip(pictures, [None] * len(pictures) if self.windowed else self._network.encode(pictures))

    @torch.inference_mode()
    def step(self) -> dict[int, Step]:
        """Advance to the next picture and find every object on it, objects of equal memory layout in one batch."""
        self.check_picture_left()
        turn = self.turn()
        return turn.answers(iter(step_rows(self._network, list(turn.rows.values()))))

    @property
    def network(self) -> Network:
        """What this session computes with, and may share with others."""
        return self._network

    @property
    def windowed(self) -> bool:
        """Whether objects are looked for in windows of their own."""
        return self._window is not None

    def check_stepped(self) -> None:
        """Raise RuntimeError while pictures of the last clip wait to be stepped."""
        if self._pending:
            raise RuntimeError(f"begin_clip: {len(self._pending)} pictures of the last clip were not stepped")

    def check_picture_left(self) -> None:
        """Raise RuntimeError when no picture waits to be stepped."""
        if not self._pending:
            raise RuntimeError("step: no picture left, call begin_clip first")

    def take_clip(self, pictures: Sequence[np.ndarray], whole: Sequence[Maps | None]) -> None:
        """Take a clip whose pictures are encoded, or (None) are to be when they are needed: half of ``begin_clip``."""
        shots = (Shot(self._network, *pair) for pair in zip(pictures, whole, strict=True))
        self._pending = deque(shots)

    def turn(self) -> Turn:
        """Turn to the next picture: half of ``step``, for those who step several sessions (:class:`Batcher`)."""
        sight = self._sight = Sight(self._network, self._pending.popleft(), self._window)
        now = self._next_step
        self._next_step += 1
        for held in self._objects.values():
            # Not earlier: a correction of the step before could still look back further than this one.
            held.memory = held.memory.ahead_of(now)
            held.before = held.appearance, held.focus, held.hidden_since
            sight.steer(held)
            held.view = sight.through(held.focus)
        every = self._hidden_every
        resting = {key: held for key, held in self._objects.items() if held.rests(now, every)}
        for held in resting.values():
            held.points = None
            held.patch = None
            sight.lose(held)
        absent = Step(np.zeros(self._mask_size, bool), 0.0, RESTING_PRESENCE)
        rows = {
            key: Row(held, sight, now, self._policy, self._mask_size)
            for key, held in self._objects.items()
            if key not in resting
        }
        return Turn(rows, dict.fromkeys(resting, absent))

    @torch.inference_mode()
    def candidates(self, points: np.ndarray) -> list[Detection]:
        """Decode single clicks, float32 [n, 2] normalised, on the newest picture, without memory."""
        sight = self._newest()
        if not len(points):
            return []
        labels = np.ones(len(points), np.int32)
        clicks = as_points(points, labels, None, self._network.image_size, self._network.device)
        outcome = self._network.clicks(sight.whole(), clicks.coords[0])
        return detections_of(outcome, sight.whole_view, self._mask_size)

    @torch.inference_mode()
    def decode(self, prompt: PromptLike) -> Detection:
        """Decode one prompt on the newest picture without memory and without following it.

        A mask is shown to the decoder as a rough answer to be improved, together with its box.
        """
        sight = self._newest()
        if (found := sight.found(prompt)) is not None:
            return detection_of(found, self._mask_size)
        view = sight.decoding(prompt)
        maps = sight.maps(view)
        if prompt.mask is None:
            outcome = self._network.prompt(maps, sight.points(prompt, view))
        else:
            mask = sight.mask(prompt.mask, view)
            size = self._network.image_size // 4
            rough = F.interpolate(mask, size=(size, size), mode="bilinear", antialias=True) * 20.0 - 10.0
            outcome = self._network.prompt(maps, _box_of(mask), previous=rough)
        return detections_of(outcome, view, self._mask_size)[0]

    @torch.inference_mode()
    def add_object(self, prompt: PromptLike) -> tuple[int, Step]:
        """Start following what the prompt marks on the newest picture; ids are never used twice."""
        now = self._now()
        held = Followed(self._new_memory(), born=now)
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

    def retract(self, object_id: int) -> None:
        """The newest step has shown something else: forget what the object remembers of it."""
        self._held(object_id).forget(self._now())

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

    def export_state(self) -> dict[str, bytes]:
        """The exact state after the newest step, in parts: all but ``session`` are conditioning memories, named by
        their content. Pictures that were encoded but not stepped are not part of it.
        """
        born = {key: held.born for key, held in self._objects.items()}
        header = Header(
            self._model_hash,
            self._network.image_size,
            self._next_step,
            self._next_id,
            born,
            windowed=self._window is not None,
            hidden={
                key: held.hidden_since for key, held in self._objects.items() if held.hidden_since is not None
            },
            focus={key: [*held.focus.place] for key, held in self._objects.items() if held.focus},
            policy=self._policy.name,
            notes={} if self._policy.is_official else self._noted(),
        )
        objects = {
            key: ObjectState(held.memory.ahead_of(self._next_step), held.appearance, held.patch)
            for key, held in self._objects.items()
        }
        return pack(header, objects)

    def import_state(self, state: Mapping[str, bytes]) -> None:
        """Continue from ``export_state``; on failure (ValueError) this session is left as it was.

        After it the next call is ``begin_clip``: there is no newest picture to prompt yet. A state kept by another
        memory policy is taken: what was remembered stays, and from now on this session's policy decides.
        """
        header = read_header(state)
        if header.model != self._model_hash:
            raise ValueError("session state: written by a model with other weights, it cannot be continued")
        if header.image_size != self._network.image_size:
            ours = self._network.image_size
            raise ValueError(f"session state: input size {header.image_size}, this model runs at {ours}")
        if header.windowed != (self._window is not None):
            raise ValueError("session state: search windows are on in one of the two and off in the other")
        objects = unpack(state, header, self._new_memory, self._network.device)
        self._objects = {
            key: Followed(
                replace(held.memory, brief=header.notes.get(key, {}).get("brief")),
                header.born[key],
                appearance=held.appearance,
                patch=held.patch,
                hidden_since=header.hidden.get(key),
                focus=Focus(*header.focus[key]) if key in header.focus else None,
                notes=Notes.from_json(header.notes[key]) if key in header.notes else Notes(),
            )
            for key, held in objects.items()
        }
        self._next_id, self._next_step = header.next_id, header.next_step
        self._pending.clear()
        self._sight = None

    def _apply(self, held: Followed, prompt: PromptLike, memory: ObjectMemory | None, now: int) -> Step:
        """Decode a prompt for an object on the newest picture and make it a conditioning memory."""
        sight = self._newest()
        searched = sight.found(prompt, held)
        view = sight.point_at(held, prompt, searched)
        maps = sight.maps(view)
        mask = prompt.mask if searched is None else searched.mask(sight.shape[:2])
        if mask is not None:
            held.points = sight.points(prompt, view) if prompt.points is not None else None
            outcome = self._network.prompt(maps, sight.mask(mask, view))
        else:
            points = sight.points(prompt, view)
            held.points = points if prompt.box is not None else join(held.points, points)
            outcome = self._network.prompt(maps, held.points, memory, now, held.logits)
        held.memory.anchor(now, outcome.entry(0))
        held.note(outcome, 0, now)
        sight.refocus(held, outcome, 0)
        box = None if self._policy.is_official else extent_of(outcome, 0)
        self._policy.begin(held.notes, now, None if box is None else view.outward(box))
        step = steps_of(outcome, [view], [self._mask_size])[0]
        if sight.carrying is not None:
            keep(held, sight, step, shown_box(step))
        return step

    def _new_memory(self) -> ObjectMemory:
        return replace(self._network.new_memory(), by_rank=self._policy.recent != "all")

    def _noted(self) -> dict[int, dict[str, object]]:
        return {
            key: {**held.notes.to_json(), "brief": held.memory.brief} for key, held in self._objects.items()
        }

    def _newest(self) -> Sight:
        if self._sight is None:
            raise RuntimeError("no picture yet: call begin_clip and step before prompting")
        return self._sight

    def _now(self) -> int:
        self._newest()
        return self._next_step - 1

    def _held(self, object_id: int) -> Followed:
        if object_id not in self._objects:
            raise ValueError(f"object {object_id}: not followed by this session")
        return self._objects[object_id]


def _box_of(mask: torch.Tensor) -> Points:
    """The corners of the set pixels of a mask [1, 1, S, S], as a box prompt."""
    ys, xs = torch.nonzero(mask[0, 0], as_tuple=True)
    corners = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float().view(1, 2, 2)
    return Points(corners, torch.tensor([[2, 3]], dtype=torch.int32, device=mask.device))
