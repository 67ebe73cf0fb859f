"""The embedded S3 servers: both kinds store, list and give back; a folder stays with its kind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from minio import Minio

from services.engines.errors import EngineError
from services.engines.ports import Ports
from services.engines.s3 import find_minio, s3_spec
from services.engines.state import State
from services.settings import Settings


def _client(settings: Settings) -> Minio:
    return Minio(
        settings.s3_endpoint,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        secure=False,
    )


def _round_trip(settings: Settings) -> None:
    client, body = _client(settings), b"a clip" * 1000
    client.put_object(settings.s3_bucket, "camera/1/clip.bin", io.BytesIO(body), len(body))
    with client.get_object(settings.s3_bucket, "camera/1/clip.bin") as answer:
        assert answer.read() == body
    names = [item.object_name for item in client.list_objects(settings.s3_bucket, "camera/", recursive=True)]
    assert names == ["camera/1/clip.bin"]


def test_juicefs_keeps_objects(juicefs_s3: Settings) -> None:
    _round_trip(juicefs_s3)


def test_minio_keeps_objects(minio_s3: Settings) -> None:
    _round_trip(minio_s3)


def test_a_folder_stays_with_the_server_that_wrote_it(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.values["s3_kind"] = "juicefs"
    with pytest.raises(EngineError, match="holds data of juicefs"):
        s3_spec(state, Ports({}), "minio")


def test_a_wrong_minio_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIO_BIN", "/nowhere/minio")
    with pytest.raises(EngineError, match="/nowhere/minio"):
        find_minio()
