"""What is computed once and used again: a clip's scene, its whole-frame views, and the frame carried to the next clip.

All of it can be lost at any time: without it the same is computed anew, or a clip's own first frame is its anchor.
"""

import logging
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modeling.pixelrefer.compression import ClipRef, Role, SceneBudget

logger = logging.getLogger(__name__)

CarryForm = Literal["tokens", "grid"]

MOST_SCENES, MOST_SCENE_BYTES = 64, 512 << 20
MOST_VIEWS, MOST_VIEW_BYTES = 256, 64 << 20
MOST_CAMERAS, MOST_CARRY_BYTES = 256, 512 << 20
CARRIES_OF_A_CAMERA = 2
"""The newest for the next clip, and the one before it for a clip that is asked about again."""


def tensor_bytes(tensor: Tensor) -> int:
    """Bytes of a tensor's values."""
    return tensor.numel() * tensor.element_size()


@dataclass(frozen=True)
class Carry:
    """The last frame of a clip, kept for the next one.

    `values` are its projected tokens [cells,C], or its features [rows,columns,Cv] before projection; `form` says
    which. `time_s` is camera time; `picture` uint8 [H,W,3] is what the next frame is compared with. `version`
    names the model, the compressor and the form: a carry of another version is of no use.
    """

    clip: str
    time_s: float
    version: str
    form: CarryForm
    values: Tensor
    grid: tuple[int, int]
    picture: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return tensor_bytes(self.values) + self.picture.nbytes


@dataclass(frozen=True)
class Scene:
    """The scene part of a prompt, encoded and projected: it serves any question about the clip.

    `tokens` [sum of counts, C] frame after frame, a carried one first; `times_s` None for a still image.
    """

    tokens: Tensor
    counts: tuple[int, ...]
    roles: tuple[Role, ...]
    times_s: tuple[float, ...] | None
    budget: SceneBudget

    @property
    def nbytes(self) -> int:
        """Memory taken by the tokens."""
        return tensor_bytes(self.tokens)


class Sized(Protocol):
    """Anything that knows its size in bytes."""

    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=Sized)


class Shelf(Generic[V]):
    """Values under keys, bounded by number and bytes; the longest unused go first."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> V | None:
        """The value, which counts as used now."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Hashable, value: V) -> None:
        """Keep a value. One larger than the whole shelf is not kept."""
        self.drop(key)
        if value.nbytes > self._most_bytes or self._most < 1:
            return
        self._values[key] = value
        self.nbytes += value.nbytes
        while len(self._values) > self._most or self.nbytes > self._most_bytes:
            self.drop(next(iter(self._values)))

    def drop(self, key: Hashable) -> None:
        """Forget a value; one that is not there is no error."""
        value = self._values.pop(key, None)
        if value is not None:
            self.nbytes -= value.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self.nbytes = 0


@dataclass(frozen=True)
class ViewFeatures:
    """Vision features [T,Cv] of one picture."""

    features: Tensor

    @property
    def nbytes(self) -> int:
        """Memory taken."""
        return tensor_bytes(self.features)


@dataclass(frozen=True)
class _Carries:
    """The newest carries of one camera, oldest first."""

    kept: tuple[Carry, ...]

    @property
    def nbytes(self) -> int:
        return sum(carry.nbytes for carry in self.kept)


class ClipMemory:
    """Bounded memory of one captioner, for many cameras. Not for use by several threads at once."""

    def __init__(self, most_cameras: int = MOST_CAMERAS, most_carry_bytes: int = MOST_CARRY_BYTES) -> None:
        self.scenes: Shelf[Scene] = Shelf(MOST_SCENES, MOST_SCENE_BYTES)
        self.views: Shelf[ViewFeatures] = Shelf(MOST_VIEWS, MOST_VIEW_BYTES)
        self._carries: Shelf[_Carries] = Shelf(most_cameras, most_carry_bytes)

    @property
    def nbytes(self) -> int:
        """Memory taken by everything kept."""
        return self.scenes.nbytes + self.views.nbytes + self._carries.nbytes

    @property
    def entries(self) -> int:
        """Scenes, views and cameras with a carried frame."""
        return len(self.scenes) + len(self.views) + len(self._carries)

    def keep(self, camera: str, carry: Carry) -> None:
        """Keep a clip's last frame for the clip that follows."""
        known = self._carries.get(camera)
        others = tuple(old for old in known.kept if old.clip != carry.clip) if known else ()
        self._carries.put(camera, _Carries((*others, carry)[-CARRIES_OF_A_CAMERA:]))

    def carried_into(self, clip: ClipRef, version: str) -> Carry | None:
        """The frame that a clip may begin with: of the clip it follows, and of this very version; else None."""
        known = self._carries.get(clip.camera) if clip.previous else None
        found = next((carry for carry in known.kept if carry.clip == clip.previous), None) if known else None
        if found is None:
            return None
        if found.version != version:
            logger.info("clip %s: the frame carried from %s is of %s", clip.clip, found.clip, found.version)
            return None
        return found if found.time_s <= clip.begin_s else None

    def forget(self, camera: str) -> None:
        """Forget what was carried of a camera."""
        self._carries.drop(camera)

    def clear(self) -> None:
        """Forget everything."""
        self.scenes.clear()
        self.views.clear()
        self._carries.clear()
