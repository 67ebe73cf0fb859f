"""A captioner that says what it is told to, word by word."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.ports import CaptionAnswer, CaptionRequest

Reply = str | Exception


class ScriptedCaptioner:
    """The Captioner port. ``reply`` gives the sentence (or the error) for a request; each takes ``takes_s`` seconds."""

    def __init__(
        self,
        reply: Callable[[CaptionRequest], Reply] = lambda request: "a red car stays still",
        sleep: Callable[[float], None] = lambda seconds: None,
        takes_s: float = 0.1,
    ) -> None:
        self.reply = reply
        self.sleep = sleep
        self.takes_s = takes_s
        self.requests: list[CaptionRequest] = []

    def describe(
        self, request: CaptionRequest, on_token: Callable[[str, float], bool] | None = None
    ) -> CaptionAnswer:
        self.requests.append(request)
        self.sleep(self.takes_s)
        reply = self.reply(request)
        if isinstance(reply, Exception):
            raise reply
        words = reply.split(" ")
        pieces = tuple(word if at == 0 else f" {word}" for at, word in enumerate(words))
        for at, piece in enumerate(pieces):
            if on_token is not None and not on_token(piece, 0.9):
                said = pieces[: at + 1]
                return CaptionAnswer("".join(said), said, (0.9,) * len(said), "cancelled")
        return CaptionAnswer(reply, pieces, (0.9,) * len(pieces), "stop", 100, 48, "fake@1", {"decode": 0.1})
