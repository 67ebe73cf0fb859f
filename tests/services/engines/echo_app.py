"""A tiny Ray Serve application that proves what reaches a replica."""

from __future__ import annotations

import os

from ray import serve
from starlette.requests import Request


@serve.deployment(ray_actor_options={"num_cpus": 0.1})
class Echo:
    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, _request: Request) -> dict[str, str]:
        return {"word": self.word, "kafka": os.environ.get("STREAMREFER_KAFKA_BOOTSTRAP", "")}


def build(args: dict[str, str]) -> serve.Application:
    return Echo.bind(args["word"])


def build_broken(_args: dict[str, str]) -> serve.Application:
    raise ValueError("no such weights")
