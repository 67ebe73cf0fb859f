"""``streamrefer up``: the whole chain on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import typer
from rich.console import Console

from services.cli.client import fail
from services.engines.errors import EngineError
from services.engines.plan import APP, StackOptions
from services.engines.progress import Progress
from services.engines.ray import ServeApp
from services.engines.stack import Stack
from services.settings import DEFAULT_DATA, SettingsError

OPTIONS_ERROR, FAILED = 2, 1


def up(
    data: Path = typer.Option(DEFAULT_DATA, "--data", envvar="STREAMREFER_DATA", help="folder of all state"),
    port: int | None = typer.Option(
        None, "--port", envvar="STREAMREFER_GATEWAY_PORT", min=0, max=65_535, help="port of the page"
    ),
    host: str = typer.Option(
        "127.0.0.1", "--host", envvar="STREAMREFER_GATEWAY_HOST", help="where the page listens"
    ),
    engine_port: list[str] = typer.Option(
        [], "--engine-port", help="NAME=PORT, for example kafka=9092; repeatable"
    ),
    s3: str | None = typer.Option(
        None, "--s3", help="embedded S3 server: minio or juicefs (default: what is there)"
    ),
    models: Path | None = typer.Option(None, "--models", help="Triton's model repository"),
    application: str = typer.Option(APP.import_path, "--app", help="Ray Serve application, module:name"),
) -> None:
    """Start the engines and services, wait until they are ready, and run until Ctrl-C.

    Engines whose addresses are set (STREAMREFER_KAFKA_BOOTSTRAP, STREAMREFER_S3_ENDPOINT, STREAMREFER_TRITON_URL,
    STREAMREFER_RAY_ADDRESS) are used where they are and not started.
    """
    if s3 not in (None, "minio", "juicefs"):
        fail(f"--s3 is minio or juicefs, not {s3}", OPTIONS_ERROR)
    ports = _ports(engine_port) | ({"gateway": port} if port else {})
    options = StackOptions(data, ports=ports, host=host, s3_kind=s3, app=ServeApp(application))  # type: ignore[arg-type]
    if models:
        options = StackOptions(**{**vars(options), "models": models})
    _run(options, Console())


def _run(options: StackOptions, console: Console) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    stack: Stack | None = None
    try:
        stack = Stack(options, Progress(console))
        stack.start()
        _welcome(console, stack, options.data)
        stack.wait()
    except KeyboardInterrupt:
        console.print("stopping")
    except (EngineError, SettingsError) as error:
        fail(str(error), FAILED)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # stopping is bounded in time: let it finish
        if stack is not None:
            stack.stop()
    console.print(f"stopped; everything is kept in {options.data}", highlight=False)


def _welcome(console: Console, stack: Stack, data: Path) -> None:
    option = "" if data == DEFAULT_DATA else f" --data {data}"
    console.print(
        f"\n[bold green]streamrefer is up[/]\n"
        f"  page         {stack.settings.gateway_url}\n"
        f"  add camera   streamrefer camera add door rtsp://user:password@host/stream{option}\n"
        f"  narration    streamrefer watch{option}\n"
        f"  logs         {data.absolute() / 'logs'}\n"
        f"  stop         Ctrl-C here, or: streamrefer down{option} (process {os.getpid()})\n",
        highlight=False,
    )


def _ports(pairs: list[str]) -> dict[str, int]:
    ports: dict[str, int] = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        if not name or not number.isdigit() or not 0 < int(number) < 65_536:
            fail(f"--engine-port wants NAME=PORT, for example kafka=9092, not {pair!r}", OPTIONS_ERROR)
        ports[name] = int(number)
    return ports


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
