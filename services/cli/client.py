"""How the command line talks to a running gateway, and how it says that something went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import typer

from services.settings import Settings, SettingsError, load_settings

TIMEOUT_S = 15.0
READ_TIMEOUT_S = 45.0  # the gateway pings every 15 s


def fail(words: str, code: int = 1) -> NoReturn:
    """One line on standard error, and the exit code."""
    typer.echo(f"streamrefer: {words}", err=True)
    raise typer.Exit(code)


def settings_of(data: Path | None) -> Settings:
    """The settings of the stack on a folder; exits when they cannot be used."""
    try:
        return load_settings(data)
    except SettingsError as error:
        fail(str(error), 2)


def gateway_address(data: Path | None) -> str:
    """Where the gateway of the running stack is; exits with a hint when there is none."""
    address = settings_of(data).gateway_url
    if not address:
        fail("nothing is running here: start it with `streamrefer up`, or set STREAMREFER_GATEWAY_URL")
    return address.rstrip("/")


def call(address: str, method: str, path: str, timeout_s: float = TIMEOUT_S, **options: Any) -> Any:
    """One request; returns the JSON answer (None when empty). Problems and dead gateways end the program."""
    try:
        response = httpx.request(method, address + path, timeout=timeout_s, **options)
    except httpx.TransportError as error:
        fail(f"the gateway at {address} does not answer ({error}); is `streamrefer up` running?")
    if response.is_success:
        return response.json() if response.content else None
    fail(_problem_words(response))


def _problem_words(response: httpx.Response) -> str:
    try:
        problem = response.json()
        hint = f"; {problem['hint']}" if problem.get("hint") else ""
        return f"{problem['detail']}{hint}"
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {response.status_code}: {response.text[:200]}"


def events(
    address: str, path: str, params: dict[str, str], last_id: str | None = None
) -> Iterator[tuple[str, str, Any]]:
    """Server-sent events as (id, name, data), until the connection ends. Raises httpx.TransportError."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    timeout = httpx.Timeout(TIMEOUT_S, read=READ_TIMEOUT_S)
    with httpx.stream("GET", address + path, params=params, headers=headers, timeout=timeout) as response:
        if not response.is_success:
            response.read()
            fail(_problem_words(response))
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line and name in ("id", "event", "data"):
                fields[name] = value
            elif not line and "data" in fields:
                yield fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"])
                fields = {}
