"""One picture of a session, with feature maps of all of it or of windows in it, made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from modeling.sam2.carry import grey_of
from modeling.sam2.encode import Maps
from modeling.sam2.network import Network
from modeling.sam2.window import View


class Shot:
    """A picture RGB uint8 [H, W, 3]; maps of the whole of it are made at most once, those of windows every time."""

    def __init__(self, network: Network, picture: np.ndarray, maps: Maps | None = None) -> None:
        self._network, self._picture, self._whole = network, picture, maps

    @property
    def picture(self) -> np.ndarray:
        return self._picture

    @property
    def is_encoded(self) -> bool:
        """Whether maps of the whole picture are there."""
        return self._whole is not None

    def keep(self, whole: Maps) -> None:
        """Take maps of the whole picture that were made together with others."""
        self._whole = whole

    @cached_property
    def grey(self) -> np.ndarray:
        """Grey uint8 [H, W]."""
        return grey_of(self._picture)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._picture.shape

    @property
    def view(self) -> View:
        """All of the picture."""
        return View.whole(self.shape)

    def whole(self) -> Maps:
        if self._whole is None:
            self._whole = self._network.encode([self._picture])[0]
        return self._whole

    def through(self, view: View) -> Maps:
        """What one window shows."""
        return look(self._network, [(self, view)])[0]


def look(network: Network, wanted: Sequence[tuple[Shot, View]]) -> list[Maps]:
    """What views of pictures show; all that is not encoded yet is encoded together, whole pictures once each."""
    wholes = list({id(shot): shot for shot, view in wanted if view.is_whole and not shot.is_encoded}.values())
    parts = [view.cut(shot.picture) for shot, view in wanted if not view.is_whole]
    pictures = [*(shot.picture for shot in wholes), *parts]
    made = iter(network.encode(pictures) if pictures else ())
    for shot in wholes:
        shot.keep(next(made))
    return [shot.whole() if view.is_whole else next(made) for shot, view in wanted]
