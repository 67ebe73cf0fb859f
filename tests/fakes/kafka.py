"""One partition of a topic with transactions, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipelines.ports import Commit, Handler, Output, Record


class Crash(RuntimeError):
    """The process died here."""


class Fuse:
    """Crashes once, at the nth point that differs from the one before: before a transaction, or after any deed."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, deed: str) -> None:
        if deed.startswith(("before put", "before delete")):
            return
        self.left -= 1
        if self.left == -1:
            raise Crash(deed)

    @property
    def burnt(self) -> bool:
        return self.left < 0


class FakePartition:
    """Gives records to a handler from the committed offset on and takes its transactions."""

    def __init__(self, records: Sequence[Record], happens: Callable[[str], None] = lambda deed: None) -> None:
        self.records = list(records)
        self.outputs: list[Output] = []
        self.offset: int | None = None
        self.metadata = ""
        self.happens = happens

    def work(self, handler: Handler, number: int = 0) -> None:
        """As a fresh member: take the partition, handle every record that is there, then once the clock."""
        handler.assigned(number, self.offset, self.metadata)
        for record in self.records[self.offset or 0 :]:
            for commit in handler.handle(record):
                self.transact(commit, number)
        for commit in handler.tick():
            self.transact(commit, number)

    def transact(self, commit: Commit, number: int = 0) -> None:
        self.happens("before transaction")
        self.outputs += commit.outputs
        self.offset, self.metadata = commit.offsets[number]
        self.happens("after transaction")

    def values(self, topic: str) -> list[bytes]:
        return [out.value for out in self.outputs if out.topic == topic]
