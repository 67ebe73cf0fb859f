"""One picture of a session, with feature maps of all of it or of windows in it, made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modeling.sam2.encode import Maps
from modeling.sam2.network import Network
from modeling.sam2.window import View


class Shot:
    """A picture RGB uint8 [H, W, 3]; maps of the whole of it are made at most once, those of windows every time."""

    def __init__(self, network: Network, picture: np.ndarray, maps: Maps | None = None) -> None:
        self._network, self._picture, self._whole = network, picture, maps

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
        return self.through_all([view])[0]

    def through_all(self, views: Sequence[View]) -> list[Maps]:
        """What windows show, in batches."""
        parts = [view for view in views if not view.is_whole]
        made = iter(self._network.encode([view.cut(self._picture) for view in parts]) if parts else ())
        return [self.whole() if view.is_whole else next(made) for view in views]
