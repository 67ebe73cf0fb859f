"""A camera's source, opened with PyAV: RTSP over TCP, HTTP(S), HLS or a file; its errors in plain words."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av

from contracts.cameras import mask_credentials
from pipelines.ingest import TimedPacket

OPEN_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 10.0
SCHEMES = ("rtsp", "rtsps", "http", "https", "file")


class SourceError(Exception):
    """The source cannot be read. ``permanent`` when trying again cannot help (no such file, not a video)."""

    def __init__(self, cause: str, permanent: bool = False) -> None:
        super().__init__(cause)
        self.permanent = permanent


def is_file(source: str) -> bool:
    return "://" not in source or source.startswith("file://")


class Source:
    """One connection. Iterate ``packets`` once; always ``close``."""

    def __init__(self, address: str) -> None:
        scheme, mark, rest = address.partition("://")
        self.address = address = scheme.lower() + mark + rest if mark else address
        self.container = _open(address)
        if not self.container.streams.video:
            self.container.close()
            raise SourceError(f"{mask_credentials(address)} has no video stream", permanent=is_file(address))
        self.stream: av.VideoStream = self.container.streams.best("video") or self.container.streams.video[0]
        self._refuse_unknown_codec()
        self._base: int | None = None
        self._next = 0  # the time stamp given to the next packet that carries none
        self._unstamped = (
            False  # packets tell when they are decoded, if anything, but not when they are shown
        )

    def _refuse_unknown_codec(self) -> None:
        """FFmpeg reads text and single pictures as video too, in codecs that no segment can carry."""
        try:
            with av.open(io.BytesIO(), "w", format="matroska") as trial:
                trial.add_stream_from_template(self.stream)
        except ValueError as error:
            words = f"{mask_credentials(self.address)} is not a video that can be cut into segments"
            name = self.stream.codec_context.name
            self.container.close()
            raise SourceError(f"{words} ({name})", permanent=True) from error

    @property
    def base(self) -> int:
        """The stream's first time stamp, in its time base: media time 0."""
        return self._base or 0

    @property
    def finite(self) -> bool:
        """Whether the source has an end of its own (a file, a recording on the web), unlike a live camera.

        An RTSP server may announce a length too; its stream is taken for live all the same, and reconnected to.
        """
        if self.address.startswith("rtsp"):
            return False
        return is_file(self.address) or bool(self.container.duration and self.container.duration > 0)

    def missing_words(self) -> str | None:
        """After the last packet: says so when the file promised clearly more video than it held."""
        promised_s = self._promised_s()
        held_s = float((self._next - self.base) * (self.stream.time_base or 0))
        if self.finite and promised_s - held_s > max(1.0, 0.1 * promised_s):
            return f"end of file; it is truncated: {held_s:.1f} of {promised_s:.1f} s could be read"
        return None

    def _promised_s(self) -> float:
        """Seconds of video that the container announces; 0 where it only speaks of all its streams together."""
        if self.stream.duration and self.stream.time_base:
            return float(self.stream.duration * self.stream.time_base)
        if len(self.container.streams) > 1:  # sound may go on for longer
            return clock_s(self.stream.metadata.get("DURATION", ""))
        return (self.container.duration or 0) / av.time_base

    def packets(self) -> Iterator[TimedPacket[av.Packet]]:
        """Video packets in decoding order with media times; raises SourceError when reading fails."""
        unit = self.stream.time_base or Fraction(1, 90_000)
        rate = self.stream.guessed_rate or self.stream.average_rate
        frame_s = float(1 / rate) if rate and 1 <= rate <= 240 else 0.04
        try:
            for packet in self.container.demux(self.stream):
                timed = self._timed(packet, unit, frame_s)
                if timed is not None:
                    yield timed
        except av.error.FFmpegError as error:
            raise SourceError(in_words(error, self.address)) from error

    def _timed(self, packet: av.Packet, unit: Fraction, frame_s: float) -> TimedPacket[av.Packet] | None:
        if packet.size == 0:  # PyAV's end-of-stream packet
            return None
        stamp = packet.dts if packet.dts is not None else packet.pts
        self._unstamped = self._unstamped or packet.pts is None
        if stamp is None:
            stamp = packet.dts = self._next
        if self._unstamped:  # in order of decoding: the decoder knows in which order to show them
            packet.pts = stamp
        if self._base is None:
            self._base = stamp
        self._next = stamp + max(1, round(frame_s / unit))
        pts = packet.pts
        duration_s = float(packet.duration * unit) if packet.duration else frame_s
        return TimedPacket(
            pts_s=float((pts - self._base) * unit),
            dts_s=float((stamp - self._base) * unit),
            duration_s=duration_s,
            key=packet.is_keyframe,
            size_bytes=packet.size,
            payload=packet,
        )

    def close(self) -> None:
        self.container.close()


def clock_s(text: str) -> float:
    """Seconds of a Matroska tag like 00:01:02.500000000; 0 for anything else."""
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text.strip())
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3]) if parts else 0.0


def _open(address: str) -> av.container.InputContainer:
    scheme = _scheme(address)
    if scheme not in SCHEMES:
        raise SourceError(
            f"scheme '{scheme}' is not supported; use one of {', '.join(SCHEMES)}", permanent=True
        )
    path = address.removeprefix("file://")
    if is_file(address) and not Path(path).is_file():
        raise SourceError(f"no such file: {path}", permanent=True)
    options = (
        {"rtsp_transport": "tcp", "timeout": str(int(READ_TIMEOUT_S * 1e6))}
        if scheme.startswith("rtsp")
        else {}
    )
    try:
        return av.open(path, options=options, timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S))
    except (av.error.FFmpegError, OSError) as error:
        permanent = is_file(address) and not isinstance(error, PermissionError)
        raise SourceError(in_words(error, address), permanent=permanent) from error


def _scheme(address: str) -> str:
    if "://" not in address:
        return "file"
    try:
        parts = urlsplit(address)
        _ = parts.port  # checked only when it is asked for
    except ValueError as error:
        hint = "write /, ?, # and @ of a password as %2F, %3F, %23 and %40"
        raise SourceError(
            f"{mask_credentials(address)} is not a valid address; {hint}", permanent=True
        ) from error
    if not parts.hostname and parts.scheme in SCHEMES[:4]:
        raise SourceError(f"{mask_credentials(address)} names no host", permanent=True)
    return parts.scheme


def in_words(error: BaseException, address: str) -> str:
    """One line for a person: what went wrong with which (masked) source, and what to check."""
    where = mask_credentials(address)
    host = urlsplit(address).hostname or where if "://" in address else where
    if isinstance(error, av.error.InvalidDataError) and not is_file(address):
        return f"{host} did not answer with a video stream; check address, path and network"
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words.format(where=where, host=host)
    if getattr(error, "errno", None) == errno.EIO and not is_file(address):
        return f"{host} cannot be reached; check its name and the network"
    return f"{where}: {error}".replace(address, where)[:400]


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (av.error.HTTPUnauthorizedError, "wrong user name or password for {where}"),
    (av.error.HTTPForbiddenError, "access to {where} is forbidden for this user"),
    (av.error.HTTPNotFoundError, "{where} does not exist on the server; check the path"),
    (
        av.error.ConnectionRefusedError,
        "nothing answers at {host}: connection refused; check address and port",
    ),
    (av.error.TimeoutError, "{host} did not answer in time; check address and network"),
    (av.error.ExitError, "{host} sent nothing in time; check address and network"),
    (av.error.InvalidDataError, "{where} is not a readable video (damaged, truncated or another format)"),
    (av.error.FileNotFoundError, "{where} does not exist"),
    (PermissionError, "{where} may not be read by this user"),
)
