"""A language model that scores answers, behind an OpenAI-compatible address.

Replies are kept in a file, so that a run that was broken off goes on without asking twice. A reply that cannot be
read strictly is asked for again; what stays unreadable is reported as unjudged, never scored. The key, if one is
needed, is read from the variable ``STREAMREFER_JUDGE_KEY``. What is sent: the texts alone, no pictures.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

KEY_VARIABLE = "STREAMREFER_JUDGE_KEY"
ATTEMPTS = 3
"""For a reply that can be read, and for one at all."""
WAIT_S = 2.0
LONGEST_REPLY_BYTES = 1 << 20

Read = TypeVar("Read")


class JudgeError(RuntimeError):
    """The judge cannot be reached or refuses; the text says why."""


class Judge:
    """Asks one model at one address. ``cache`` is a file of JSON lines that grows."""

    def __init__(self, url: str, model: str, cache: Path, timeout_s: float = 60.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise JudgeError(f"{url}: the judge's address must begin with http:// or https://")
        self.url, self.model, self.timeout_s = url.rstrip("/") + "/chat/completions", model, timeout_s
        self._cache = cache
        self._known = _read_cache(cache)

    def ask(self, rules: str, text: str, read: Callable[[str], Read | None]) -> Read | None:
        """What ``read`` makes of the reply; None when no attempt gave one it can read. Raises JudgeError."""
        for attempt in range(ATTEMPTS):
            reply = self._reply(rules, text, attempt)
            if (value := read(reply)) is not None:
                return value
        return None

    def _reply(self, rules: str, text: str, attempt: int) -> str:
        named = json.dumps([self.url, self.model, rules, text, attempt])
        key = hashlib.sha256(named.encode()).hexdigest()
        if key not in self._known:
            self._known[key] = self._post(rules, text, attempt)
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with self._cache.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "reply": self._known[key]}) + "\n")
        return self._known[key]

    def _post(self, rules: str, text: str, attempt: int) -> str:
        messages = [{"role": "system", "content": rules}, {"role": "user", "content": text}]
        # The same question at temperature 0 gives the same unreadable reply again.
        body = {"model": self.model, "messages": messages, "temperature": 0.0 if attempt == 0 else 0.3}
        fault = ""
        for number in range(ATTEMPTS):
            if number:
                time.sleep(WAIT_S * 2 ** (number - 1))
            try:
                return _content(_send(self.url, body, self.timeout_s))
            except urllib.error.HTTPError as error:
                fault = f"status {error.code}"
                if error.code not in (408, 409, 425, 429) and error.code < 500:
                    break
            except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
                fault = str(error) or type(error).__name__
        raise JudgeError(f"the judge at {self.url} gave no answer: {fault}")


def _send(url: str, body: Mapping, timeout_s: float) -> bytes:
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        return response.read(LONGEST_REPLY_BYTES)


def _content(reply: bytes) -> str:
    text = json.loads(reply)["choices"][0]["message"]["content"]
    if not isinstance(text, str):
        raise ValueError("its reply holds no text")
    return text


def _read_cache(path: Path) -> dict[str, str]:
    known: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            entry = json.loads(line)
            known[entry["key"]] = entry["reply"]
        except (ValueError, KeyError, TypeError):
            continue  # the line that was being written when a run was broken off
    return known


def object_in(reply: str) -> dict | None:
    """The JSON object that a reply consists of, a code fence around it allowed; None for anything else."""
    plain = reply.strip()
    if plain.startswith("```") and plain.endswith("```"):
        plain = plain.strip("`").strip().removeprefix("json")
    try:
        found = json.loads(plain)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def score_in(reply: str, name: str, highest: float = 5.0) -> float | None:
    """One score of a reply in JSON, 0 to ``highest``; None if it is missing or outside."""
    scores = scores_in(reply, (name,), highest)
    return scores[name] if scores else None


def scores_in(reply: str, names: Sequence[str], highest: float = 5.0) -> dict[str, float] | None:
    """All named scores of a reply in JSON; None unless each is a number from 0 to ``highest``."""
    found = object_in(reply) or {}
    scores = {}
    for name in names:
        value = found.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= highest:
            return None
        scores[name] = float(value)
    return scores
