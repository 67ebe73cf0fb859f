"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """UTC seconds of this machine."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))
