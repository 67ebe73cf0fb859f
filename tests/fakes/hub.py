"""A small Hugging Face hub on loopback: the few routes that its client calls to list and fetch a repository."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

Files = dict[str, bytes]


@dataclass
class FakeHub:
    """Repositories by name and revision, and what was asked.

    `gated` repositories refuse, `private` ones want the token; a file in `broken` is cut off after so many bytes once.
    """

    repositories: dict[str, dict[str, Files]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    private: dict[str, str] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    address: str = ""

    def commit(self, repository: str, revision: str) -> str | None:
        """The commit of a branch; a commit is its own."""
        for branch in self.repositories.get(repository, {}):
            commit = hashlib.sha1(f"{repository}@{branch}".encode()).hexdigest()
            if revision in (branch, commit):
                return commit
        return None

    def files(self, repository: str, revision: str) -> Files:
        """Files of a branch or commit."""
        commit = self.commit(repository, revision)
        revisions = self.repositories[repository]
        return next(files for branch, files in revisions.items() if self.commit(repository, branch) == commit)


@contextmanager
def running_hub(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve until the block ends."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._route(body=False)

    def do_GET(self) -> None:
        self._route(body=True)

    def _route(self, body: bool) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]), parts[4], parts[5])
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body)
        else:
            self._refuse(404, "EntryNotFound")

    def _allowed(self, repository: str, revision: str) -> bool:
        hub = self.hub
        if repository in hub.gated:
            self._refuse(403, "GatedRepo")
        elif repository not in hub.repositories or (
            repository in hub.private
            and self.headers.get("Authorization") != f"Bearer {hub.private[repository]}"
        ):
            self._refuse(401, "RepoNotFound")
        elif hub.commit(repository, revision) is None:
            self._refuse(404, "RevisionNotFound")
        else:
            return True
        return False

    def _describe(self, repository: str, what: str, revision: str) -> None:
        if not self._allowed(repository, revision):
            return
        files = self.hub.files(repository, revision)
        if what == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            self._answer(json.dumps(entries).encode())
            return
        siblings = [{"rfilename": name} for name in files]
        commit = self.hub.commit(repository, revision)
        self._answer(json.dumps({"id": repository, "sha": commit, "siblings": siblings}).encode())

    def _file(self, repository: str, revision: str, name: str, body: bool) -> None:
        if not self._allowed(repository, revision):
            return
        content = self.hub.files(repository, revision)[name]
        start = 0
        if asked := self.headers.get("Range"):
            self.hub.ranges.append(f"{name} {asked}")
            start = int(asked.removeprefix("bytes=").split("-")[0])
        headers = {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "X-Repo-Commit": self.hub.commit(repository, revision) or "",
            "Accept-Ranges": "bytes",
        }
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if body:
            self.hub.fetched.append(name)
        cut = self.hub.broken.pop(name, None) if body else None
        self._answer(content[start:], 206 if asked else 200, headers, body, cut)

    def _answer(
        self,
        content: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
        body: bool = True,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[:cut])
        if cut is not None:
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        content = json.dumps({"error": code}).encode()
        self._answer(content, status, {"X-Error-Code": code, "X-Error-Message": code})

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""
