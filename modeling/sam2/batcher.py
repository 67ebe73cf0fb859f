"""Several cameras on one network: their pictures encoded together, their objects stepped together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from modeling.sam2.network import Network
from modeling.sam2.session import Sam2Session
from modeling.sam2.stepping import step_rows
from modeling.sam2.values import Step


class Batcher:
    """Drives sessions of one network side by side; each answers as it does alone, within rounding (1e-4).

    Between two steps every session is used by itself as ever: prompts, corrections, removals and exports touch no
    other one. Sessions may come and go, and have clips of different lengths: those with a picture left are stepped.
    Like its sessions it belongs to one thread. Their own ``begin_clip`` and ``step`` are the same code for one.
    """

    def __init__(self, network: Network) -> None:
        self._network = network

    @torch.inference_mode()
    def begin_clips(self, clips: Sequence[tuple[Sam2Session, Sequence[np.ndarray]]]) -> None:
        """Give sessions their next clips, RGB uint8 [H, W, 3] pictures; what is seen whole is encoded here.

        Raises RuntimeError while a session's last clip is unfinished, ValueError for sessions of another network;
        no session has begun then.
        """
        self._check([session for session, _ in clips])
        for session, _ in clips:
            session.check_stepped()
        shown_whole = [each for session, pictures in clips if not session.windowed for each in pictures]
        maps = iter(self._network.encode(shown_whole) if shown_whole else ())
        for session, pictures in clips:
            session.take_clip(pictures, [None if session.windowed else next(maps) for _ in pictures])

    @torch.inference_mode()
    def step(self, sessions: Sequence[Sam2Session]) -> list[dict[int, Step]]:
        """Advance each session to its next picture and find its objects; answers in the order of ``sessions``.

        Raises RuntimeError when one has no picture left, ValueError for sessions of another network or named twice;
        no session has moved then.
        """
        self._check(sessions)
        for session in sessions:
            session.check_picture_left()
        turns = [session.turn() for session in sessions]
        found = iter(step_rows(self._network, [row for turn in turns for row in turn.rows.values()]))
        return [turn.answers(found) for turn in turns]

    def _check(self, sessions: Sequence[Sam2Session]) -> None:
        if len({id(session) for session in sessions}) < len(sessions):
            raise ValueError("Batcher: a session was named twice")
        if any(session.network is not self._network for session in sessions):
            raise ValueError("Batcher: a session runs on another network than this batcher")
