"""Decide what a stack runs: which engines are ours, which are given by address, and what every child is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from services.adapters.kafka import ensure_topics
from services.adapters.objects import ObjectsConnection, S3Objects
from services.detectors import chosen_detector
from services.engines.child import REPOSITORY, ChildSpec
from services.engines.errors import EngineError
from services.engines.kafka import check_kafka, kafka_spec
from services.engines.ports import HOST, Ports
from services.engines.processes import gateway_spec, ingest_spec
from services.engines.progress import Progress
from services.engines.ray import ServeApp, check_ray, ray_environment, ray_spec, serve_spec
from services.engines.s3 import Kind, check_s3, s3_spec
from services.engines.state import State
from services.engines.triton import check_triton, triton_spec
from services.settings import Settings, load_settings
from services.tiers import EMBEDDED_FOLDER, TierUnusable, captioner_folder
from services.tracker_tiers import EMBEDDED as EMBEDDED_TRACKER
from services.tracker_tiers import tracker_folder

VARIABLES = {
    "kafka": "STREAMREFER_KAFKA_BOOTSTRAP",
    "s3": "STREAMREFER_S3_ENDPOINT",
    "triton": "STREAMREFER_TRITON_URL",
    "ray": "STREAMREFER_RAY_ADDRESS",
}
# The variables by which tracker and captioner find their weights.
TRACKER, CAPTIONER = "STREAMREFER_TRACKER_WEIGHTS", "STREAMREFER_CAPTIONER"
ENGINES = frozenset(VARIABLES)
SERVICES = frozenset({"gateway", "ingest"})
APP = ServeApp("services.app:build")


def weight_folders(settings: Settings, captioner: bool = True) -> dict[str, Path]:
    """Where each model looks for its weights: by its own variable, else in the settings' folder.

    The variables may name tiers of `streamrefer models list`; the captioner's is left out where no captioner runs.
    Raises TierUnusable.
    """
    folders = {TRACKER: tracker_folder(os.environ.get(TRACKER) or EMBEDDED_TRACKER, settings.weights)}
    if captioner:
        named = os.environ.get(CAPTIONER)
        folders[CAPTIONER] = (
            captioner_folder(named, settings.weights) if named else settings.weights / EMBEDDED_FOLDER
        )
    return folders


@dataclass(frozen=True)
class StackOptions:
    """What to run and where.

    Attributes:
        data: folder of all state.
        engines: which of kafka, s3, triton, ray to provide.
        services: which of our own processes (gateway, ingest) to run.
        app: the Ray Serve application; None runs none.
        models: Triton's model repository.
        ports: name to port, set by the user; names not listed are chosen free.
        host: address the gateway listens on; everything else stays on loopback.
        s3_kind: force one of the two embedded S3 servers.
    """

    data: Path
    engines: frozenset[str] = ENGINES
    services: frozenset[str] = SERVICES
    app: ServeApp | None = APP
    models: Path = REPOSITORY / "model_repo"
    ports: Mapping[str, int] = field(default_factory=dict)
    host: str = HOST
    s3_kind: Kind | None = None


class Plan:
    """Addresses of everything (``settings``) and the children to start (``specs``).

    All ports are chosen before anything starts, so that every child can be told all addresses in its environment.

    Raises:
        EngineError: an external engine does not answer, a wanted port is taken, a program is missing.
    """

    def __init__(self, options: StackOptions, state: State, progress: Progress) -> None:
        unknown = (options.engines - ENGINES) | (options.services - SERVICES)
        if unknown:
            raise EngineError(f"unknown engine or service: {', '.join(sorted(unknown))}")
        if options.app is not None and "ray" not in options.engines:
            raise EngineError("an application needs the engine ray")
        self._options, self._state, self._progress = options, state, progress
        self._ports = Ports(state.values.get("ports", {}), options.ports)
        self.settings = load_settings(state.folder, running=False)  # absolute: children have other folders
        self.specs: list[ChildSpec] = []
        self._embed_stores()
        self._embed_compute()
        self._add_services()
        self._refuse_unused_ports()
        state.values["ports"] = {**state.values.get("ports", {}), **self._ports.taken}

    def _embed_stores(self) -> None:
        options, state = self._options, self._state
        if self._embeds("kafka", self.settings.kafka_bootstrap, self._kafka_ready):
            spec, bootstrap = kafka_spec(state, self._ports, self._kafka_ready)
            self._add(spec, kafka_bootstrap=bootstrap)
        if self._embeds("s3", self.settings.s3_endpoint, self._s3_ready):
            spec, keys = s3_spec(state, self._ports, options.s3_kind, self._s3_ready)
            self._add(spec, **keys)

    def _embed_compute(self) -> None:
        """Triton and Ray: their workers inherit all addresses, each other's too, so addresses come first."""
        known, options, state = self.settings, self._options, self._state
        triton = self._embeds("triton", known.triton_url, lambda: check_triton(known.triton_url))
        token = known.ray_token.get_secret_value()
        ray = self._embeds("ray", known.ray_address, lambda: check_ray(known.ray_address, token))
        self._runs_triton = triton
        if triton:
            self._know(triton_url=f"{HOST}:{self._ports.of('triton_grpc')}")
        if ray:
            address = f"{HOST}:{self._ports.of('ray')}"
            self._know(ray_address=address, ray_token=state.remembered("ray_token", 32))
        if triton:
            self._add(triton_spec(state, self._ports, options.models, self._environment())[0])
        if ray:
            self._add(ray_spec(state, self._ports, self._environment())[0])

    def _add_services(self) -> None:
        options, engines = self._options, tuple(spec.name for spec in self.specs)
        stores = tuple(name for name in engines if name in ("kafka", "s3"))
        if options.app is not None:
            address = self.settings.ray_address
            self._add(serve_spec(self._state, options.app, address, self._environment(), engines))
        if "gateway" in options.services:
            spec, url = gateway_spec(self._ports, self._environment(), stores, options.host)
            self._add(spec, gateway_url=url)
        if "ingest" in options.services:
            self._add(ingest_spec(self._environment(), stores))

    def _refuse_unused_ports(self) -> None:
        if unused := sorted(self._options.ports.keys() - self._ports.taken.keys()):
            known = ", ".join(sorted(self._ports.taken))
            raise EngineError(f"no port here is called {', '.join(unused)}; there are {known}")

    def _environment(self) -> dict[str, str]:
        """What every child is told: all addresses, Ray's token, and where the models' weights are."""
        known = self.settings
        try:
            folders = weight_folders(known, captioner=self._runs_triton)
            # A Triton of someone else's has a folder of its own.
            detector = chosen_detector(known.weights) if self._runs_triton else {}
        except TierUnusable as error:
            raise EngineError(str(error)) from error
        weights = {name: str(folder.absolute()) for name, folder in folders.items()}
        return {
            **known.environment(),
            **ray_environment(known.ray_token.get_secret_value()),
            **weights,
            **detector,
        }

    def _embeds(self, name: str, address: str, check: Callable[[], None]) -> bool:
        """True when the engine is to be started by us; one given by address is checked instead."""
        if name not in self._options.engines:
            return False
        if not address:
            return True
        try:
            check()
        except Exception as error:
            raise EngineError(
                f"{name}: {address} (from {VARIABLES[name]}) does not answer: {error}"
            ) from error
        self._progress.external(name, address)
        return False

    def _add(self, spec: ChildSpec, **addresses: str) -> None:
        self.specs.append(spec)
        self._know(**addresses)

    def _know(self, **addresses: str) -> None:
        self.settings = Settings.model_validate({**dict(self.settings), **addresses})

    def _kafka_ready(self) -> None:
        """Kafka counts as ready when it answers and has our topics."""
        check_kafka(self.settings.kafka_bootstrap)
        ensure_topics(self.settings.kafka_bootstrap)

    def _s3_ready(self) -> None:
        """S3 counts as ready when it takes our keys and has our bucket."""
        known = self.settings
        secret = known.s3_secret_key.get_secret_value()
        check_s3(known.s3_endpoint, known.s3_access_key, secret, known.s3_secure)
        connection = ObjectsConnection(
            known.s3_endpoint, known.s3_access_key, secret, known.s3_bucket, known.s3_secure
        )
        S3Objects(connection).ensure_bucket()
