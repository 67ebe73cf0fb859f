"""Fixtures shared by all tests: real engines, started once a session on free ports and stopped at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.engines.s3 import find_minio
from services.engines.stack import Stack, running_stack
from services.settings import Settings

Folder = Callable[[str], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses an engine is a connected test, whether its author marked it or not."""
    for item in items:
        if {"kafka", "s3", "stack", "minio_s3", "juicefs_s3"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.connected)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Makes a fresh folder of a given name for one embedded engine."""
    return tmp_path_factory.mktemp


@pytest.fixture(scope="session")
def stack(folder: Folder) -> Iterator[Stack]:
    """Apache Kafka and an S3 server (MinIO where at hand), side by side; addresses in ``stack.settings``."""
    with running_stack(folder("stack"), engines={"kafka", "s3"}) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(stack: Stack) -> str:
    """Bootstrap address of a real broker. Topics are shared by the session: name yours uniquely."""
    return stack.settings.kafka_bootstrap


@pytest.fixture(scope="session")
def s3(stack: Stack) -> Settings:
    """Settings whose ``s3_*`` fields reach a real server; the bucket exists and is shared by the session."""
    return stack.settings


@pytest.fixture(scope="session")
def juicefs_s3(folder: Folder) -> Iterator[Settings]:
    """An S3 server of the weaker kind, for tests that must hold on both."""
    with running_stack(folder("juicefs"), engines={"s3"}, s3_kind="juicefs") as running:
        yield running.settings


@pytest.fixture(scope="session")
def minio_s3(folder: Folder) -> Iterator[Settings]:
    """MinIO; skips where its program is not at hand, unless whoever built it says that it must be."""
    if find_minio() is None:
        assert not os.environ.get("STREAMREFER_TESTS_NEED_MINIO"), "MinIO was built but is not found"
        pytest.skip("MinIO is not at hand: run `make minio` or set MINIO_BIN")
    with running_stack(folder("minio"), engines={"s3"}, s3_kind="minio") as running:
        yield running.settings
