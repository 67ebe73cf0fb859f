"""A detector for rules: it sees every colour of which there is something, and calls each by its number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.masks import box_of
from operators.types import Proposal
from tests.fakes.segmenter import GROUND


class ColourProposer:
    """Answers with a box for each red value of a picture; ``away``: it does not answer."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[tuple[str, ...]] = []

    def propose(self, pixels: np.ndarray, words: Sequence[str] = ()) -> list[Proposal] | None:
        self.asked.append(tuple(words))
        if self.away:
            return None
        colours = [colour for colour in np.unique(pixels[..., 0]) if colour != GROUND]
        seen = [Proposal(box_of(pixels[..., 0] == colour), 0.9, str(colour)) for colour in colours]
        return [item for item in seen if not words or item.label in words]
