"""How the demo ends: it waits for video that is still being worked on, and not for video that never came."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from services.cli import demo
from services.cli.summary import Summary


class Late:
    """Events that come only after some questions for them."""

    def __init__(self, silent: int, *events: tuple[str, dict[str, Any]]) -> None:
        self.silent, self.events = silent, list(events)

    def get(self, timeout: float) -> tuple[str, dict[str, Any]]:
        self.silent -= 1
        if self.silent >= 0 or not self.events:
            raise queue.Empty
        return self.events.pop(0)


class Nobody:
    def show(self, name: str, event: dict[str, Any]) -> None:
        """Nobody looks."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock on which every look takes a second."""
    now = [0.0]

    def monotonic() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr(demo.time, "monotonic", monotonic)
    return now


def state(word: str) -> dict[str, Any]:
    return {"camera_id": "demo", "state": word}


def test_a_slow_machine_may_take_its_time_over_a_film_that_has_ended(hasty: list[float]) -> None:
    clip = {"camera_id": "demo", "clip_id": "demo/1/0", "track_ids": [], "closed_by": "end", "epoch": 1}
    summary = Summary("demo")
    summary.take("camera.state", state("live"))
    summary.take("camera.state", state("stopped"))
    demo._finish(Late(20, ("clip", clip)), summary, Nobody())  # type: ignore[arg-type]
    assert summary.clips == {"demo/1/0"} and hasty[0] < demo.FINISH_TIMEOUT_S


def test_the_narrator_may_take_its_time_too(hasty: list[float]) -> None:
    clip = {"camera_id": "demo", "clip_id": "demo/1/0", "track_ids": ["t"], "closed_by": "end", "epoch": 1}
    said = {"camera_id": "demo", "clip_id": "demo/1/0", "text": "a red car stays still", "delay_s": 30.0}
    summary = Summary("demo")
    summary.take("camera.state", state("live"))
    summary.take("clip", clip)
    demo._finish(Late(15, ("narration", said)), summary, Nobody())  # type: ignore[arg-type]
    assert summary.narrations == 1


def test_nothing_is_waited_for_where_no_video_came(hasty: list[float]) -> None:
    summary = Summary("demo")
    summary.take("camera.state", state("stopped"))
    demo._finish(Late(1000), summary, Nobody())  # type: ignore[arg-type]
    assert hasty[0] < demo.QUIET_S * 3


def test_the_wait_for_the_last_clip_has_an_end(hasty: list[float]) -> None:
    summary = Summary("demo")
    summary.take("camera.state", state("live"))
    demo._finish(Late(1000), summary, Nobody())  # type: ignore[arg-type]
    assert demo.FINISH_TIMEOUT_S <= hasty[0] <= demo.FINISH_TIMEOUT_S + 10
