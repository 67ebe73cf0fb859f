"""Decoding by the machine's video hardware, where there is any and it is wanted."""

from __future__ import annotations

import io
import logging

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

log = logging.getLogger(__name__)

OFF, AUTO = "off", "auto"


class Hardware:
    """``kind`` is ``off``, ``auto`` (whatever works) or a device of FFmpeg's: ``cuda``, ``vaapi``, ``qsv`` ...

    What does not work is told once and left alone from then on: decoding goes on in software. Raises ValueError for a
    kind that this build does not know.
    """

    def __init__(self, kind: str = OFF) -> None:
        known = hwdevices_available()
        if kind not in (OFF, AUTO, *known):
            raise ValueError(f"hardware '{kind}' is none of {', '.join((OFF, AUTO, *known))}")
        self._told = kind != AUTO
        self._left = {OFF: [], AUTO: known}.get(kind, [kind])

    @property
    def kind(self) -> str:
        """The device that is tried next; ``off`` when there is none left."""
        return self._left[0] if self._left else OFF

    def open(self, data: bytes) -> av.container.InputContainer:
        """A Matroska file in memory, to be decoded by the device if that can be had. Raises av.FFmpegError, OSError."""
        while self._left:
            try:
                device = HWAccel(self._left[0], allow_software_fallback=True)
                return av.open(io.BytesIO(data), format="matroska", hwaccel=device)
            except (av.FFmpegError, OSError, ValueError, RuntimeError) as error:
                if _readable(data):
                    self.give_up(error)
                else:
                    break
        return av.open(io.BytesIO(data), format="matroska")

    def give_up(self, error: Exception) -> None:
        """The device at hand cannot be used: the next one, or software."""
        failed = self._left.pop(0)
        if self._told or not self._left:
            words = " ".join(str(error).split())[:200] or type(error).__name__
            log.warning("no video decoding by %s (%s): in software from now on", failed, words)


def _readable(data: bytes) -> bool:
    """Whether software can open it: then the fault was the device's."""
    try:
        av.open(io.BytesIO(data), format="matroska").close()
        return True
    except (av.FFmpegError, OSError):
        return False
