"""What this process holds in memory, as Linux counts it, in GB (10^9 bytes)."""

import re
import threading
from pathlib import Path
from types import TracebackType

STATUS, ROLLUP = Path("/proc/self/status"), Path("/proc/self/smaps_rollup")
EVERY_S = 0.02


def gigabytes(text: str, key: str) -> float:
    """The value of one `key:  123 kB` line."""
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    if found is None:
        raise OSError(f"this kernel does not report {key}")
    return int(found.group(1)) * 1024 / 1e9


def memory_now() -> dict[str, float]:
    """Resident memory and its parts: anonymous (ours alone) and pages of mapped files; PSS shares the latter out."""
    status, rollup = STATUS.read_text(), ROLLUP.read_text()
    return {
        "rss": gigabytes(status, "VmRSS"),
        "anonymous": gigabytes(status, "RssAnon"),
        "mapped_files": gigabytes(status, "RssFile"),
        "pss": gigabytes(rollup, "Pss"),
    }


def peak_rss() -> float:
    """The most that ever was resident, mapped files included."""
    return gigabytes(STATUS.read_text(), "VmHWM")


class AnonymousPeak:
    """Watches the anonymous part while a block runs; short peaks between two looks can be missed."""

    def __init__(self) -> None:
        self.gb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "AnonymousPeak":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.gb = max(self.gb, gigabytes(STATUS.read_text(), "RssAnon"))
