"""A Ray head node for one machine: control store and raylet, and none of the helpers that only a cluster needs.

``ray start --head`` also starts a dashboard, a client server, an autoscaler monitor and a log monitor: together 400 MB
and many seconds on two cores. This program starts the same node through the class that ``ray start`` itself uses
(not a public one: the lock pins Ray's version, and a test runs it), without those four, and lives until a part of
the node dies (exit code 1) or it is told to stop.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from ray._private.node import Node, get_port_filename
from ray._private.parameter import RayParams

POLL_S = 1.0
ATTEMPTS = 3


class HeadNode(Node):
    """A head without the dashboard's process. It does not wait for its agents, and a failed start leaves nothing."""

    def __init__(self, *arguments: object, **options: object) -> None:
        try:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
        except Exception:
            self.kill_all_processes(check_alive=False)
            raise

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        """Start nothing."""

    def start_raylet(self, *arguments: Any, **options: Any) -> None:
        """Write down the agent's port first: the raylet would die if the agent took over 15 s to do it itself."""
        name = get_port_filename(self._node_id, "dashboard_agent_listen_port")
        Path(self.get_session_dir_path(), name).write_text(str(self.dashboard_agent_listen_port))
        super().start_raylet(*arguments, **options)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parse(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    node = _started(options, stop)
    print(f"node started, session folder {node.get_session_dir_path()}", flush=True)
    try:
        return _watch(node, stop)
    finally:
        node.kill_all_processes(check_alive=False, allow_graceful=True)


def _started(options: argparse.Namespace, stop: threading.Event) -> HeadNode:
    """Ray gives its parts a minute (as set) to find each other, too little on a very busy machine: try again then."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return HeadNode(_parameters(options), head=True, shutdown_at_exit=False, spawn_reaper=True)
        except Exception as error:
            if attempt == ATTEMPTS or stop.is_set() or "timed out during startup" not in str(error):
                raise
            print(f"attempt {attempt} to start the node took too long, trying again", flush=True)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _watch(node: Node, stop: threading.Event) -> int:
    while not stop.wait(POLL_S):
        if dead := node.dead_processes():
            names = ", ".join(f"{kind} (exit code {process.returncode})" for kind, process in dead)
            print(f"died: {names}", flush=True)
            return 1
    return 0


def _parameters(options: argparse.Namespace) -> RayParams:
    return RayParams(
        node_ip_address=options.host,
        gcs_server_port=options.port,
        # Workers take any free port: Ray's default range would collide with ports of ours.
        min_worker_port=0,
        max_worker_port=0,
        # Given for the same reason: for each port that is not, the raylet waits for its agent.
        dashboard_agent_listen_port=options.agent_ports[0],
        metrics_agent_port=options.agent_ports[1],
        metrics_export_port=options.agent_ports[2],
        runtime_env_agent_port=options.agent_ports[3],
        num_cpus=options.cpus,
        object_store_memory=options.object_store_bytes,
        temp_dir=str(options.folder),
        include_dashboard=False,
        include_log_monitor=False,  # type: ignore[arg-type]  # annotated as text, used as a truth value
        no_monitor=True,
    )


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.engines.ray_head", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="of the control store")
    parser.add_argument(
        "--agent-ports", type=int, nargs=4, required=True, help="listen, metrics, export, runtime"
    )
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--object-store-bytes", type=int, required=True)
    parser.add_argument(
        "--folder", type=Path, required=True, help="for sessions, sockets and logs; a short path"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
