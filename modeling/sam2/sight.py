"""The newest picture, and where on it an object or a prompt is looked at."""

from __future__ import annotations

import numpy as np
import torch

from modeling.sam2.aim import aim, holds
from modeling.sam2.answers import extent_of
from modeling.sam2.candidates import Candidates
from modeling.sam2.carry import CarrySettings, carry
from modeling.sam2.encode import Maps
from modeling.sam2.fit import Fit, fit_to_box, surest_at
from modeling.sam2.followed import Followed
from modeling.sam2.network import Network, Outcome, Points
from modeling.sam2.prompts import as_mask, as_points
from modeling.sam2.shot import Shot
from modeling.sam2.values import PromptLike
from modeling.sam2.window import Focus, View, WindowSettings, cut_mask, focus_on


class Sight:
    """One picture as a session sees it: whole, or with a ``window`` for each object (:mod:`modeling.sam2.window`)."""

    def __init__(self, network: Network, shot: Shot, window: WindowSettings | None) -> None:
        self._network, self._shot, self._window = network, shot, window

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the picture, [H, W, 3]."""
        return self._shot.shape

    @property
    def carrying(self) -> CarrySettings | None:
        """How far the word of optical flow goes, where it is asked."""
        return None if self._window is None else self._window.carrying

    @property
    def grey(self) -> np.ndarray:
        return self._shot.grey

    @property
    def shot(self) -> Shot:
        return self._shot

    @property
    def whole_view(self) -> View:
        return self._shot.view

    def whole(self) -> Maps:
        return self._shot.whole()

    def maps(self, view: View) -> Maps:
        return self._shot.through(view)

    def through(self, focus: Focus | None) -> View:
        """What of the picture is looked at; all of it without a focus."""
        if focus is None or self._window is None:
            return self._shot.view
        return focus.view(self._shot.shape, self._window.most)

    def view_of(self, held: Followed) -> View:
        return self._shot.view if held.view is None else held.view

    def decoding(self, prompt: PromptLike) -> View:
        """The view in which a prompt that belongs to no object is decoded."""
        view = self.through(self._aim(prompt))
        return view if holds(view, prompt) else self._shot.view

    def found(self, prompt: PromptLike, held: Followed | None = None) -> Fit | None:
        """The mask that a box alone, or points alone, mean, where objects have windows; None for other prompts.

        Points in the window in which ``held`` is looked for already are about what is seen there, and not searched for.
        """
        if self._window is None or prompt.mask is not None or (prompt.box is None) == (prompt.points is None):
            return None
        if (
            held is not None
            and held.view is not None
            and prompt.points is not None
            and holds(held.view, prompt)
        ):
            return None
        self.points(prompt, self._shot.view)  # refuses what is no place

        def offer(view: View) -> Candidates:
            return self._network.offers(self._shot.through(view), self.points(prompt, view))

        if prompt.points is not None:
            points, labels = np.asarray(prompt.points).reshape(-1, 2), np.asarray(prompt.labels)
            return surest_at(points, labels, self._shot.shape, self._window, offer)
        box = np.clip(np.asarray(prompt.box, np.float64), 0.0, 1.0)
        return fit_to_box(box, self._shot.shape, self._window, offer)

    def point_at(self, held: Followed, prompt: PromptLike, found: Fit | None = None) -> View:
        """The view an object's prompt is decoded in, from now on its own: points that lie in the old one stay there."""
        focus = self._aim(prompt)
        if focus is None and found is not None and self._window is not None:
            focus = focus_on(found.box, self._shot.shape, self._window)
        if focus is not None:
            view = self.through(focus)
        elif held.view is not None and holds(held.view, prompt):
            return held.view
        else:
            view = self._shot.view
        if not holds(view, prompt):
            view = self._shot.view
        if view != held.view:
            held.view, held.points, held.logits = view, None, None
        held.focus = focus
        return view

    def steer(self, held: Followed) -> None:
        """Move an object's window with its pixels, before it is looked for."""
        held.ahead = None
        settings = self.carrying
        if settings is None or held.patch is None:
            return
        held.ahead = ahead = carry(held.patch, self.grey)
        if ahead is not None and held.focus is not None and ahead.agreeing >= settings.steer:
            held.focus = held.focus.moved(ahead.dx, ahead.dy)

    def refocus(self, held: Followed, outcome: Outcome, row: int) -> None:
        """Choose where to look for the object next."""
        if self._window is None or held.view is None:
            return
        box = extent_of(outcome, row)
        if box is not None:
            held.focus = focus_on(held.view.outward(box), self._shot.shape, self._window, held.focus)
        else:
            self.lose(held)

    def lose(self, held: Followed) -> None:
        """Look for an object that is not in view in a larger window next."""
        if self._window is not None and held.focus is not None:
            held.focus = held.focus.lost(self._window)

    def points(self, prompt: PromptLike, view: View) -> Points:
        """A prompt's points and box in the network's pixels of a view. Raises ValueError."""
        points, box = prompt.points, prompt.box
        if not view.is_whole:
            points = None if points is None else view.inward(np.asarray(points).reshape(-1, 2))
            box = None if box is None else view.inward(np.asarray(box).reshape(2, 2)).clip(0, 1).reshape(4)
        return as_points(points, prompt.labels, box, self._network.image_size, self._network.device)

    def mask(self, mask: np.ndarray, view: View) -> torch.Tensor:
        """What a view shows of a mask, float [1, 1, S, S]. Raises ValueError."""
        size = self._network.image_size
        shown = mask if view.is_whole else cut_mask(mask, view, size)
        return as_mask(shown, size, self._network.device)

    def _aim(self, prompt: PromptLike) -> Focus | None:
        if self._window is None:
            return None
        if prompt.mask is None:
            self.points(prompt, self._shot.view)  # refuses what is no place
        return aim(prompt, self._shot.shape, self._window)
