"""The object store on real S3 servers, and its errors when there is none."""

from __future__ import annotations

import uuid

import pytest

from pipelines.ports import ObjectMissing, StoreUnavailable
from services.adapters.objects import ObjectsConnection, S3Objects
from services.settings import Settings
from tests.fakes.objects import MemoryObjects


def connect(settings: Settings, bucket: str | None = None, key: str | None = None) -> S3Objects:
    connection = ObjectsConnection(
        settings.s3_endpoint,
        settings.s3_access_key,
        key or settings.s3_secret_key.get_secret_value(),
        bucket or settings.s3_bucket,
        settings.s3_secure,
    )
    return S3Objects(connection, timeout_s=5.0, attempts=2)


@pytest.fixture(params=["juicefs_s3", "minio_s3", "fake"])
def store(request: pytest.FixtureRequest) -> S3Objects | MemoryObjects:
    """The same tests on both real servers and on the fake, so that the fake stays true."""
    if request.param == "fake":
        return MemoryObjects()
    objects = connect(request.getfixturevalue(request.param))
    objects.ensure_bucket()
    return objects


@pytest.mark.connected
def test_what_is_put_comes_back_until_deleted(store: S3Objects) -> None:
    folder = f"test/{uuid.uuid4().hex}"
    store.put(f"{folder}/a/b.bin", b"\x00\x01" * 70_000)
    store.put(f"{folder}/c.json", b"{}", "application/json")
    assert store.get(f"{folder}/a/b.bin") == b"\x00\x01" * 70_000
    assert store.list(f"{folder}/") == [f"{folder}/a/b.bin", f"{folder}/c.json"]
    store.put(f"{folder}/c.json", b"[]", "application/json")
    assert store.get(f"{folder}/c.json") == b"[]"
    store.delete(f"{folder}/c.json")
    store.delete(f"{folder}/c.json")
    assert not store.exists(f"{folder}/c.json") and store.exists(f"{folder}/a/b.bin")


@pytest.mark.connected
def test_a_missing_object_is_named(store: S3Objects) -> None:
    with pytest.raises(ObjectMissing, match="nowhere"):
        store.get("test/nowhere")
    assert store.list("test/no-such-folder/") == []


def test_a_bucket_is_made_once(s3: Settings) -> None:
    objects = connect(s3, f"b-{uuid.uuid4().hex[:12]}")
    objects.ensure_bucket()
    objects.ensure_bucket()
    objects.put("x", b"1")


def test_a_wrong_key_is_refused_at_once(s3: Settings) -> None:
    with pytest.raises(RuntimeError, match="refused"):
        connect(s3, key="wrong-secret-key").put("test/x", b"1")


def test_no_server_is_unavailable_after_bounded_retries() -> None:
    objects = S3Objects(ObjectsConnection("127.0.0.1:9", "a", "secret-key"), timeout_s=0.5, attempts=2)
    with pytest.raises(StoreUnavailable, match="after 2 attempts"):
        objects.get("x")


@pytest.mark.parametrize(
    ("endpoint", "host", "tls"),
    [("h:1", "h:1", False), ("http://h:1", "h:1", False), ("https://s3.example/", "s3.example", True)],
)
def test_addresses_with_and_without_scheme(endpoint: str, host: str, tls: bool) -> None:
    connection = ObjectsConnection(endpoint, "a", "b")
    assert (connection.host, connection.tls) == (host, tls)
