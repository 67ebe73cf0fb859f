"""``streamrefer ledger``: proves from the topics that every second of every camera is accounted for."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from pipelines.ledger import Account, accounts
from pipelines.ports import ObjectStore
from services.adapters.kafka import KafkaUnavailable
from services.adapters.objects import ObjectsConnection, S3Objects
from services.adapters.topic_reader import read_results
from services.cli.client import fail, settings_of
from services.settings import Settings

REFERENCE_LIMIT = 2000


def ledger(
    camera: str | None = typer.Option(None, "--camera", help="only this camera"),
    since: float = typer.Option(0.0, "--since", help="only what happened in the last SINCE seconds (0: all)"),
    references: bool = typer.Option(True, help="check that stored pictures and evidence exist"),
    as_json: bool = typer.Option(False, "--json", help="print JSON"),
    data: Path | None = typer.Option(None, "--data", help="data folder of the running stack"),
) -> None:
    """Account for every second of every camera. Exit code 1 when anything is missing or doubled, or CAMERA unknown."""
    settings = settings_of(data)
    if not settings.kafka_bootstrap:
        fail("nothing is running here: start it with `streamrefer up`, or set STREAMREFER_KAFKA_BOOTSTRAP")
    books = take(settings, camera, time.time() - since if since else 0.0, references)
    if camera is not None and not books:  # nothing that could balance
        fail(f"no message is of camera '{camera}'" + (f" in the last {since:g} s" if since else ""))
    if as_json:
        typer.echo(
            json.dumps({"balanced": all(b.balanced for b in books), "cameras": [_plain(b) for b in books]})
        )
    else:
        _print(books)
    if not all(book.balanced for book in books):
        raise typer.Exit(1)


def take(settings: Settings, camera: str | None, since_s: float, references: bool) -> list[Account]:
    """Read the result topics and account for them; missing objects are discrepancies too."""
    try:
        results = read_results(settings.kafka_bootstrap, since_s)
    except (KafkaUnavailable, TimeoutError) as error:
        fail(f"cannot read the topics: {error}")
    books = [
        book
        for book in accounts(
            results.segments,
            results.clips,
            results.gaps,
            results.events,
            results.narrations,
            whole=since_s <= 0,
        )
        if camera in (None, book.camera_id)
    ]
    if references:
        store = S3Objects(ObjectsConnection.of(settings))
        _check_references(store, books, results.references())
    return books


def _check_references(store: ObjectStore, books: list[Account], wanted: dict[str, list[str]]) -> None:
    for book in books:
        for name in wanted.get(book.camera_id, [])[-REFERENCE_LIMIT:]:
            if not store.exists(name):
                book.discrepancies.append(f"object {name} is referred to but not stored")


def _plain(book: Account) -> dict:
    return asdict(book) | {"balanced": book.balanced}


def _print(books: list[Account]) -> None:
    console = Console()
    table = Table(box=None, header_style="bold")
    for title in ("camera", "seconds", "clips", "gaps", "pending", "tracks", "narrations", "balance"):
        table.add_column(title, justify="left" if title in ("camera", "balance") else "right")
    for b in books:
        gaps = f"{b.gap_s:.1f} s" + (
            f" ({', '.join(f'{n} {r}' for r, n in b.gaps.items())})" if b.gaps else ""
        )
        table.add_row(
            b.camera_id, f"{b.end_s - b.start_s:.1f}", f"{b.clip_s:.1f} s ({b.clips})", gaps, f"{b.pending_s:.1f} s",
            str(b.tracks), str(b.narrations), "[green]balanced[/]" if b.balanced else "[red]OFF[/]",
        )  # fmt: skip
    console.print(table if books else "no camera has sent anything yet")
    for book in books:
        for words in book.discrepancies[:20]:
            console.print(f"[red]{book.camera_id}: {words}[/]")
