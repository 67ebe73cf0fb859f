"""An object store in memory."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.ports import ObjectMissing


class MemoryObjects:
    """The ObjectStore port. ``happens`` is called with each deed before and after it, and may raise."""

    def __init__(self, happens: Callable[[str], None] = lambda deed: None) -> None:
        self.objects: dict[str, bytes] = {}
        self.happens = happens

    def put(self, name: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self.happens(f"before put {name}")
        self.objects[name] = bytes(data)
        self.happens(f"after put {name}")

    def get(self, name: str) -> bytes:
        if name not in self.objects:
            raise ObjectMissing(name)
        return self.objects[name]

    def exists(self, name: str) -> bool:
        return name in self.objects

    def delete(self, name: str) -> None:
        self.happens(f"before delete {name}")
        self.objects.pop(name, None)
        self.happens(f"after delete {name}")

    def list(self, prefix: str) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(prefix))
