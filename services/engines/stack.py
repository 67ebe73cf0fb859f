"""A whole stack as one object: engines and services, embedded or by address, in one data folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.engines import leftovers
from services.engines.plan import Plan, StackOptions
from services.engines.progress import Progress
from services.engines.state import State
from services.engines.supervisor import Supervisor


class Stack:
    """Engines and services of one data folder; ``settings`` has their addresses.

    Raises:
        EngineError: the folder is in use, a port is taken, a program is missing, an external engine is silent.
    """

    def __init__(self, options: StackOptions, progress: Progress | None = None) -> None:
        self.progress = progress or Progress()
        self.run_id = uuid.uuid4().hex
        self._stopped = False
        self._state = State(options.data)
        try:
            self._end_earlier_run()
            plan = Plan(options, self._state, self.progress)
        except BaseException:
            self._state.close()
            raise
        self.settings = plan.settings
        self._supervisor = Supervisor(plan.specs, self._state.logs, self.run_id, self.progress)

    def start(self) -> None:
        """Start everything side by side; return when all of it is ready.

        Raises:
            EngineError: something failed; everything is stopped again by then.
        """
        try:
            self._announce()
            with self.progress:
                self._supervisor.start()
        except BaseException:
            self.stop()
            raise

    def wait(self, seconds: float | None = None) -> None:
        """Block for so many seconds (for ever without); raise EngineError as soon as a child is given up."""
        if self._supervisor.wait(seconds):
            self._supervisor.raise_failure()

    def stop(self) -> None:
        """Stop everything in order and unlock the folder. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        self._supervisor.stop()
        self._state.close()

    def pids(self) -> dict[str, int]:
        """Process ids of the children by name."""
        return self._supervisor.pids()

    def _end_earlier_run(self) -> None:
        """A run that was killed left its id; its warden has cleaned up, unless that was killed as well."""
        if earlier := self._state.values.get("run_id"):
            leftovers.end(earlier)

    def _announce(self) -> None:
        """Write the addresses where the command line and the services look for them."""
        self._state.values |= {
            "settings": self.settings.plain(),
            "pid": os.getpid(),
            "run_id": self.run_id,
        }
        self._state.save()


@contextmanager
def running_stack(
    data: Path,
    engines: Collection[str],
    services: Collection[str] = (),
    progress: Progress | None = None,
    **options: Any,
) -> Iterator[Stack]:
    """``with running_stack(folder, {"kafka"}) as stack:`` uses ``stack.settings``; all is stopped on the way out.

    Further options are those of ``StackOptions``; unless ``app`` is given, no Ray Serve application runs.
    """
    chosen = {"app": None, **options, "engines": frozenset(engines), "services": frozenset(services)}
    stack = Stack(StackOptions(data, **chosen), progress)
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()
