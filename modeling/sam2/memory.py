"""The bounded memory of one followed object, and how it is laid out for the memory attention.

SAM 2 looks back at every conditioning frame, at the six frames before the current one and at fifteen object
pointers. Everything else can never be read again and is dropped at once, so a stream without end costs the
memory of its first seconds. While no more than :data:`MAX_ANCHORS` frames are conditioning, the outcome is the
same bits as with unlimited memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

MAX_ANCHORS = 4

Keep = Literal["keep", "briefly", "drop", "anchor"]
"""What becomes of a step's memory: kept among the recent ones, only until the next step, not kept, kept for good."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of one step: ``features`` bfloat16 [1, c, f, f] and ``pointer`` [1, d]."""

    features: torch.Tensor
    pointer: torch.Tensor


@dataclass(slots=True)
class ObjectMemory:
    """Memory of one object, keyed by step (int, counts the pictures this session has processed).

    ``anchors`` are prompted steps (conditioning frames), kept for good: the first one and the newest ones.
    ``features`` and ``pointers`` are the recent unprompted steps. With ``by_rank`` the newest features count as those
    of the last steps however old they are, for policies that do not keep every step; ``brief`` is the step that is
    looked back at once only.
    """

    recent_features: int
    recent_pointers: int
    max_anchors: int = MAX_ANCHORS
    anchors: dict[int, Entry] = field(default_factory=dict)
    features: dict[int, torch.Tensor] = field(default_factory=dict)
    pointers: dict[int, torch.Tensor] = field(default_factory=dict)
    by_rank: bool = False
    brief: int | None = None

    def anchor(self, step: int, entry: Entry) -> None:
        """Keep a prompted step for good; beyond the limit the second oldest anchor becomes an ordinary step."""
        self.features.pop(step, None)
        self.pointers.pop(step, None)
        self.anchors[step] = entry
        while len(self.anchors) > self.max_anchors:
            # The first prompt is the only memory that no tracking error can have touched: it stays.
            evicted = list(self.anchors)[1]
            self.record(evicted, self.anchors.pop(evicted))

    def record(self, step: int, entry: Entry) -> None:
        """Remember an unprompted step until :meth:`ahead_of` drops it."""
        self.features[step] = entry.features
        self.pointers[step] = entry.pointer

    def keep(self, step: int, entry: Entry, how: Keep) -> None:
        """Remember an unprompted step as a policy wants it; its pointer is remembered in any case."""
        if self.brief is not None:
            self.features.pop(self.brief, None)
            self.brief = None
        if how == "anchor":
            self.anchor(step, entry)
            return
        self.record(step, entry)
        if how == "drop":
            del self.features[step]
        elif how == "briefly":
            self.brief = step

    def forget(self, step: int) -> None:
        """Remember nothing of a step, unless it is all there is."""
        self.features.pop(step, None)
        self.pointers.pop(step, None)
        if len(self.anchors) > 1:
            self.anchors.pop(step, None)
        if self.brief == step:
            self.brief = None

    def ahead_of(self, step: int) -> ObjectMemory:
        """The same memory without what neither ``step`` nor any later one can read."""
        features = {t: x for t, x in self.features.items() if t >= self._oldest(step)}
        pointers = {t: x for t, x in self.pointers.items() if t >= step - self.recent_pointers}
        return replace(self, anchors=dict(self.anchors), features=features, pointers=pointers)

    def _oldest(self, step: int) -> int:
        """The oldest step whose features can still be read at ``step`` or later."""
        if not self.by_rank:
            return step - self.recent_features
        lasting = sorted(t for t in self.features if t != self.brief)
        return min(lasting[-self.recent_features :], default=step if self.brief is None else self.brief)

    def seen_features(self, step: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Pairs (temporal position, features): anchors at 0, then the recent steps, the last one the highest."""
        for entry in self.anchors.values():
            yield 0, entry.features
        if self.by_rank:
            newest = sorted(self.features)[-self.recent_features :]
            first = self.recent_features + 1 - len(newest)
            yield from ((first + rank, self.features[t]) for rank, t in enumerate(newest))
            return
        for position in range(1, self.recent_features + 1):
            features = self.features.get(step - self.recent_features - 1 + position)
            if features is not None:
                yield position, features

    def seen_pointers(self, step: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Pairs (distance in steps, pointer): those of the anchors, then the recent ones, newest first."""
        for anchored, entry in self.anchors.items():
            yield step - anchored, entry.pointer
        for distance in range(1, self.recent_pointers + 1):
            pointer = self.pointers.get(step - distance)
            if pointer is not None:
                yield distance, pointer

    def recent_tensors(self) -> Iterator[tuple[str, int, torch.Tensor]]:
        """Every tensor that the next steps will displace, as (kind, step, tensor)."""
        for step, features in self.features.items():
            yield "features", step, features
        for step, pointer in self.pointers.items():
            yield "pointer", step, pointer

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors held: bounded by the limits, whatever the length of the stream."""
        anchors = sum(entry.features.nbytes + entry.pointer.nbytes for entry in self.anchors.values())
        return anchors + sum(tensor.nbytes for _, _, tensor in self.recent_tensors())

    @property
    def is_full(self) -> bool:
        """Whether all recent steps are there."""
        return len(self.features) >= self.recent_features and len(self.pointers) == self.recent_pointers

    @property
    def layout(self) -> tuple[int, int]:
        """Objects of equal layout (numbers of feature maps and of pointers) can be stepped in one batch."""
        recent = min(len(self.features), self.recent_features)
        return len(self.anchors) + recent, len(self.anchors) + len(self.pointers)
