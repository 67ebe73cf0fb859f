"""The ``streamrefer`` program: one module for each noun or verb, registered here."""

from __future__ import annotations

import importlib

import typer

app = typer.Typer(
    name="streamrefer",
    help="Live narration of every object a camera sees.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

VERBS = ("up", "down", "demo", "watch", "ask", "ledger", "doctor", "version")
NOUNS = ("camera", "track", "models", "state")


def _register() -> None:
    """A verb's module has a function of its name, a noun's module a Typer application called ``app``."""
    for name in VERBS:
        app.command(name)(getattr(importlib.import_module(f"services.cli.{name}"), name))
    for name in NOUNS:
        app.add_typer(importlib.import_module(f"services.cli.{name}").app, name=name)


_register()

if __name__ == "__main__":
    app()
