"""An object store in memory, for recipes that run a service's pipeline without the service."""

from __future__ import annotations

from pipelines.ports import ObjectMissing


class MemoryStore:
    """The ObjectStore port; ``objects`` holds all bytes by name."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, name: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        self.objects[name] = data

    def get(self, name: str) -> bytes:
        """Raises ObjectMissing."""
        if name not in self.objects:
            raise ObjectMissing(name)
        return self.objects[name]

    def exists(self, name: str) -> bool:
        return name in self.objects

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)

    def list(self, prefix: str) -> list[str]:
        return sorted(name for name in self.objects if name.startswith(prefix))
