"""A whole stack as one object: engines and services, embedded or by address, in one data folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from minio import Minio

from services.engines import leftovers
from services.engines.child import ChildSpec
from services.engines.errors import EngineError
from services.engines.kafka import check_kafka, kafka_spec
from services.engines.ports import Ports
from services.engines.progress import Progress
from services.engines.s3 import Kind, check_s3, s3_spec
from services.engines.state import State
from services.engines.supervisor import Supervisor
from services.settings import Settings, load_settings

ENGINES = frozenset({"kafka", "s3", "triton", "ray"})


@dataclass(frozen=True)
class StackOptions:
    """What to run and where.

    Attributes:
        data: folder of all state.
        engines: which of kafka, s3, triton, ray to provide.
        ports: name to port, set by the user; names not listed are chosen free.
        s3_kind: force one of the two embedded S3 servers.
    """

    data: Path
    engines: frozenset[str] = ENGINES
    ports: Mapping[str, int] = field(default_factory=dict)
    s3_kind: Kind | None = None


class Stack:
    """Engines and services of one data folder. ``start`` returns when all of them are ready."""

    def __init__(self, options: StackOptions, progress: Progress | None = None) -> None:
        self.options = options
        self.progress = progress or Progress()
        self.run_id = uuid.uuid4().hex
        self._state = State(options.data)
        try:
            self._end_earlier_run()
            self.settings, specs = self._plan(Ports(self._state.values.get("ports", {}), options.ports))
        except BaseException:
            self._state.close()
            raise
        self._supervisor = Supervisor(specs, self._state.logs, self.run_id, self.progress)
        self._stopped = False

    def start(self) -> None:
        """Start everything side by side.

        Raises:
            EngineError: something failed; everything is stopped again by then.
        """
        try:
            self._announce()
            self._supervisor.start()
            self._make_bucket()
        except BaseException:
            self.stop()
            raise

    def wait(self, seconds: float | None = None) -> None:
        """Block for so many seconds (for ever without), and raise EngineError as soon as a child is given up."""
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
        """A run that was killed has left its id: its warden has cleaned up, unless that was killed as well."""
        if earlier := self._state.values.get("run_id"):
            leftovers.end(earlier)

    def _plan(self, ports: Ports) -> tuple[Settings, list[ChildSpec]]:
        """Decide address and child of every engine; an engine with a configured address gets no child."""
        known = load_settings(self.options.data, running=False)
        addresses: dict[str, str] = {}
        specs: list[ChildSpec] = []
        if self._wants("kafka", known.kafka_bootstrap, lambda: check_kafka(known.kafka_bootstrap)):
            spec, addresses["kafka_bootstrap"] = kafka_spec(self._state, ports)
            specs.append(spec)
        if self._wants("s3", known.s3_endpoint, lambda: _check_external_s3(known)):
            spec, keys = s3_spec(self._state, ports, self.options.s3_kind)
            addresses |= keys
            specs.append(spec)
        self._state.values["ports"] = {**self._state.values.get("ports", {}), **ports.taken}
        return Settings.model_validate({**dict(known), **addresses}), specs

    def _wants(self, name: str, address: str, check: object) -> bool:
        """True when the engine is to be started by us; an external one is checked instead."""
        if name not in self.options.engines:
            return False
        if not address:
            return True
        try:
            check()  # type: ignore[operator]
        except Exception as error:
            raise EngineError(f"{name}: {address} (set from outside) does not answer: {error}") from error
        self.progress.external(name, address)
        return False

    def _announce(self) -> None:
        """Write the addresses where the command line and the services look for them."""
        secret = {"s3_secret_key": self.settings.s3_secret_key.get_secret_value()}
        self._state.values["settings"] = self.settings.model_dump(mode="json", exclude={"data"}) | secret
        self._state.values |= {"pid": os.getpid(), "run_id": self.run_id}
        self._state.save()

    def _make_bucket(self) -> None:
        settings = self.settings
        if "s3" not in self.options.engines:
            return
        client = Minio(
            settings.s3_endpoint,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key.get_secret_value(),
            secure=settings.s3_secure,
        )
        if not client.bucket_exists(settings.s3_bucket):
            client.make_bucket(settings.s3_bucket)


def _check_external_s3(known: Settings) -> None:
    secret = known.s3_secret_key.get_secret_value()
    check_s3(known.s3_endpoint, known.s3_access_key, secret, known.s3_secure)


@contextmanager
def running_stack(data: Path, progress: Progress | None = None, **options: object) -> Iterator[Stack]:
    """``with running_stack(folder, engines={"kafka"}) as stack:`` uses ``stack.settings``; stopped on the way out."""
    if "engines" in options:
        options["engines"] = frozenset(options["engines"])  # type: ignore[call-overload]
    stack = Stack(StackOptions(data, **options), progress)  # type: ignore[arg-type]
    stack.start()
    try:
        yield stack
    finally:
        stack.stop()
