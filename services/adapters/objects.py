"""The S3 object store: whole objects in one bucket, with bounded retries and timeouts.

Uses only plain puts, gets, lists and deletes, so that it works alike on MinIO, the JuiceFS gateway and any S3.
"""

from __future__ import annotations

import io
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from pipelines.ports import ObjectMissing, StoreUnavailable
from services.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

MISSING_CODES = {"NoSuchKey", "NoSuchObject", "ResourceNotFound"}
BUCKET_EXISTS_CODES = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
WORTH_RETRYING = (
    urllib3.exceptions.HTTPError,
    ServerError,
    InvalidResponseError,
    ConnectionError,
    TimeoutError,
    OSError,
)


@dataclass(frozen=True)
class ObjectsConnection:
    """How to reach an S3 server. ``endpoint`` is ``host:port`` or an http(s) address without a path."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str = "streamrefer"
    secure: bool = False
    region: str = "us-east-1"
    ca_file: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> ObjectsConnection:
        """The S3 server that the settings name."""
        secret = settings.s3_secret_key.get_secret_value()
        return cls(
            settings.s3_endpoint, settings.s3_access_key, secret, settings.s3_bucket, settings.s3_secure
        )

    @property
    def host(self) -> str:
        return self.endpoint.split("://", 1)[-1].rstrip("/")

    @property
    def tls(self) -> bool:
        return self.secure or self.endpoint.startswith("https://")


class S3Objects:
    """The ObjectStore port on S3. Safe for use by several threads.

    Each call tries ``attempts`` times with growing waits and raises StoreUnavailable in the end; a refusal that
    another attempt cannot change (wrong key, missing bucket) is raised at once as RuntimeError.
    """

    def __init__(self, connection: ObjectsConnection, timeout_s: float = 10.0, attempts: int = 4) -> None:
        self._bucket = connection.bucket
        self._attempts = attempts
        self._client = Minio(
            connection.host,
            access_key=connection.access_key,
            secret_key=connection.secret_key,
            secure=connection.tls,
            region=connection.region,
            http_client=_pool(connection, timeout_s),
        )

    def ensure_bucket(self) -> None:
        """Create the bucket if it is not there; several processes may do so at once."""
        self._retry("make bucket", self._bucket, self._make_bucket)

    def put(self, name: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self._retry(
            "put",
            name,
            lambda: self._client.put_object(
                self._bucket, name, io.BytesIO(data), len(data), content_type=content_type
            ),
        )

    def get(self, name: str) -> bytes:
        return self._retry("get", name, lambda: self._read(name))

    def exists(self, name: str) -> bool:
        try:
            self._retry("stat", name, lambda: self._client.stat_object(self._bucket, name))
        except ObjectMissing:
            return False
        return True

    def delete(self, name: str) -> None:
        try:
            self._retry("delete", name, lambda: self._client.remove_object(self._bucket, name))
        except ObjectMissing:
            pass

    def list(self, prefix: str) -> list[str]:
        return self._retry(
            "list",
            prefix,
            lambda: [
                found.object_name
                for found in self._client.list_objects(self._bucket, prefix=prefix, recursive=True)
                if found.object_name and not found.is_dir
            ],
        )

    def _make_bucket(self) -> None:
        if self._client.bucket_exists(self._bucket):
            return
        try:
            self._client.make_bucket(self._bucket)
        except S3Error as error:
            if error.code not in BUCKET_EXISTS_CODES:
                raise

    def _read(self, name: str) -> bytes:
        response = self._client.get_object(self._bucket, name)
        try:
            return response.read()
        finally:
            response.close()
            response.release_conn()

    def _retry(self, verb: str, name: str, call: Callable[[], T]) -> T:
        cause: Exception | None = None
        for attempt in range(self._attempts):
            if attempt:
                time.sleep(min(2.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.5))
            try:
                return call()
            except S3Error as error:
                if error.code in MISSING_CODES:
                    raise ObjectMissing(name) from None
                if not _is_transient(error):
                    raise RuntimeError(
                        f"object store refused to {verb} {name}: {error.code}: {error.message}"
                    ) from error
                cause = error
            except WORTH_RETRYING as error:
                cause = error
            log.warning("object store: %s %s failed, attempt %d: %s", verb, name, attempt + 1, cause)
        raise StoreUnavailable(f"object store: cannot {verb} {name} after {self._attempts} attempts: {cause}")


def _pool(connection: ObjectsConnection, timeout_s: float) -> urllib3.PoolManager:
    """Retries are ours alone, so that their number and waits are known."""
    tls = {"cert_reqs": "CERT_REQUIRED", "ca_certs": connection.ca_file} if connection.tls else {}
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s), maxsize=8, retries=False, **tls
    )


def _is_transient(error: S3Error) -> bool:
    status = getattr(error.response, "status", 500)
    return status >= 500 or error.code in {"SlowDown", "RequestTimeout", "InternalError"}
