"""Run one Ray Serve application until told to stop: deploy, watch, shut down.

Started by ``streamrefer up`` (``python -m services.engines.serve_app``); it imports Ray and the application at
once, waits for the line "go" on standard input (the engines are ready), and writes the application's status to a
file. It exits with 1 when the application fails or stays unhealthy, so that it is started again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve

POLL_S = 2.0
UNHEALTHY_LIMIT_S = 120.0
ERROR_LINE = re.compile(r"\s*[\w.]*(Error|Exception|Missing|Unavailable)\b.*:")
log = logging.getLogger("streamrefer.serve")


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    build = load(options.app)
    if not options.now and sys.stdin.readline() != "go\n":
        return 0  # whoever started us is gone
    ray.init(address=options.address, namespace="serve", logging_level=logging.WARNING)
    stop = threading.Event()
    try:
        _on_signal(_interrupt)  # deploying blocks: break out of it
        _deploy(build, options)
        _on_signal(lambda *_: stop.set())
        return _watch(options.name, options.status, stop)
    except KeyboardInterrupt:
        return 0
    except Exception:
        log.exception("the application could not be deployed")
        for words in _causes(options.name):
            log.error("the application could not be deployed: %s", words)
        return 1
    finally:
        options.status.unlink(missing_ok=True)
        _on_signal(signal.SIG_IGN)
        serve.shutdown()
        ray.shutdown()


def _causes(name: str) -> list[str]:
    """For each deployment that did not start, the error its replica ended with, in one line."""
    found = []
    application = serve.status().applications.get(name)  # none if it could not even be built
    for deployment, state in application.deployments.items() if application else ():
        errors = [line.strip() for line in state.message.splitlines() if ERROR_LINE.match(line)]
        found += [f"{deployment}: {line}" for line in errors[-1:]]
    return found


def _on_signal(action: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, action)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def load(import_path: str) -> object:
    """What ``module:name`` names; raises ImportError or AttributeError."""
    module, _, name = import_path.partition(":")
    return getattr(importlib.import_module(module), name)


def _deploy(build: object, options: argparse.Namespace) -> None:
    location = "HeadOnly" if options.http_port else "Disabled"
    http = {"host": "127.0.0.1", "port": options.http_port} if options.http_port else None
    serve.start(proxy_location=location, http_options=http)
    application = build if isinstance(build, serve.Application) else build(options.args)  # type: ignore[operator]
    serve.run(application, name=options.name, route_prefix="/" if options.http_port else None)


def _watch(name: str, status: Path, stop: threading.Event) -> int:
    """Write the status every two seconds; 0 when told to stop, 1 when the application is beyond help."""
    healthy_s = time.monotonic()
    while not stop.is_set():
        state = str(serve.status().applications[name].status.value)
        _write(status, state)
        if state == "RUNNING":
            healthy_s = time.monotonic()
        elif state == "DEPLOY_FAILED" or time.monotonic() - healthy_s > UNHEALTHY_LIMIT_S:
            log.error("the application is %s", state)
            return 1
        stop.wait(POLL_S)
    return 0


def _write(path: Path, state: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"status": state, "pid": os.getpid()}))
    fresh.replace(path)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.engines.serve_app", description=__doc__)
    parser.add_argument("--address", required=True, help="Ray's head, host:port")
    parser.add_argument("--app", required=True, help="module:name of the application or its builder")
    parser.add_argument("--args", type=json.loads, default={}, help="JSON object for the builder")
    parser.add_argument("--name", default="streamrefer")
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--status", type=Path, required=True, help="file to write the status to")
    parser.add_argument("--now", action="store_true", help="do not wait for the line 'go'")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
