"""Write clips anew in the forms in which cameras and people send video, to try the whole chain on each.

    python -m recipes.make_variants OUT CLIP [CLIP ...] [--only NAME ...] [--seconds S] [--side PX]

Writes OUT/CLIP-NAME.SUFFIX for each clip and variant; ``--list`` tells the variants. Each shows what the clip shows, at
the clip's times unless its purpose is other times. Try one with ``make demo SOURCE=OUT/CLIP-NAME.SUFFIX``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from recipes.arguments import (
    existing_file,
    new_folder,
    not_negative_float,
    not_negative_int,
    recipe_parser,
    told_in_one_line,
)

CLOCK = Fraction(1, 90_000)
GOP_S = 1.0
SOUND_HZ = 8000


@dataclass(frozen=True)
class Still:
    """One picture of a clip: RGB uint8 [H, W, 3], upright, and its time in seconds from the first."""

    pixels: np.ndarray
    time_s: float


Stills = Iterable[Still]


@dataclass(frozen=True)
class Variant:
    """One form of a clip.

    Attributes:
        change: what becomes of the pictures and times before they are encoded.
        turned: pictures are stored turned by so many degrees, and the file says how to show them upright.
        gop: key frames as many pictures apart; 0: as many as there are in GOP_S.
        tail_s: sound goes on for so long after the last picture.
        stamped: whether packets carry times of presentation.
        damage: what becomes of the finished file's packets.
    """

    about: str
    suffix: str = ".mp4"
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    change: Callable[[Stills], Iterator[Still]] | None = None
    turned: int = 0
    gop: int = 0
    tail_s: float = 0.0
    stamped: bool = True
    damage: Callable[[int, av.Packet], bytes | None] | None = None


def irregular(stills: Stills) -> Iterator[Still]:
    """A rate that varies, as of a phone or a screen: pictures left out, times that waver, a pause in the middle."""
    later_s = 0.0
    for number, still in enumerate(stills):
        if number % 7 in (2, 3, 5):
            continue
        if number and number % 40 == 0:
            later_s += 0.8
        yield Still(still.pixels, round(still.time_s + later_s + 0.004 * (number % 3), 3))


def odd_sized(stills: Stills) -> Iterator[Still]:
    """Without the last row and column where their number is even."""
    for still in stills:
        height, width = still.pixels.shape[:2]
        yield Still(still.pixels[: height - 1 + height % 2, : width - 1 + width % 2], still.time_s)


def growing(stills: Stills) -> Iterator[Still]:
    """The picture's size changes twice: to three quarters after the first second, and back after the second."""
    for still in stills:
        yield _scaled(still, 0.75) if 1.0 <= still.time_s < 2.0 else still


def _scaled(still: Still, by: float) -> Still:
    height, width = (max(2, round(side * by / 2) * 2) for side in still.pixels.shape[:2])
    return Still(np.asarray(Image.fromarray(still.pixels).resize((width, height))), still.time_s)


def noise_in_the_middle(number: int, packet: av.Packet) -> bytes | None:
    """Sixteen packets in each forty are noise behind their first bytes."""
    if number % 40 not in range(18, 34):
        return None
    data = bytearray(bytes(packet))
    keep = min(8, len(data))
    data[keep:] = np.random.default_rng(number).integers(0, 256, len(data) - keep, np.uint8).tobytes()
    return bytes(data)


B_FRAMES = {"bf": "3", "b_strategy": "0", "refs": "3"}
QUICK = {"preset": "veryfast"}
VARIANTS: dict[str, Variant] = {
    "bframes": Variant("H.264 with three B-frames in a row", options=QUICK | B_FRAMES),
    "opengop": Variant(
        "H.264 whose key frames are not clean borders",
        options=QUICK | B_FRAMES | {"x264-params": "open-gop=1"},
    ),
    "hevc": Variant(
        "HEVC as its encoder makes it", codec="libx265", options={"x265-params": "log-level=none"}
    ),
    "hevc10": Variant(
        "HEVC of ten bits, in Matroska",
        ".mkv",
        "libx265",
        "yuv420p10le",
        options={"x265-params": "log-level=none:open-gop=0"},
    ),
    "mjpeg": Variant("Motion JPEG in AVI", ".avi", "mjpeg", "yuvj420p", {"qmin": "2", "qmax": "5"}, gop=1),
    "vfr": Variant("variable frame rate, with pauses", options=QUICK | B_FRAMES, change=irregular),
    "odd": Variant("odd width and height", ".mkv", pix_fmt="yuv444p", options=QUICK, change=odd_sized),
    "odd-mjpeg": Variant(
        "odd width and height, Motion JPEG",
        ".mkv",
        "mjpeg",
        "yuvj420p",
        {"qmin": "2", "qmax": "5"},
        change=odd_sized,
        gop=1,
    ),  # fmt: skip
    "rotated90": Variant("stored on its side, turned by metadata", options=QUICK, turned=90),
    "rotated180": Variant("stored upside down, turned by metadata", options=QUICK, turned=180),
    "rotated270": Variant("stored on its other side, turned by metadata", options=QUICK, turned=270),
    "tail": Variant("sound goes on without a picture", options=QUICK, tail_s=4.0),
    "resize": Variant("its size changes on the way", ".ts", options=QUICK, change=growing),
    "unstamped": Variant("H.264 alone, without any times", ".h264", options=QUICK | B_FRAMES, stamped=False),
    "avi": Variant("B-frames in AVI, which keeps no times of presentation", ".avi", options=QUICK | B_FRAMES),
    "corrupt": Variant("some packets are noise", ".mkv", options=QUICK, damage=noise_in_the_middle),
    "corrupt-mjpeg": Variant(
        "some packets are noise, Motion JPEG", ".mkv", "mjpeg", "yuvj420p", gop=1, damage=noise_in_the_middle
    ),
}


def read_stills(path: Path, seconds: float = 0.0, side_px: int = 0) -> Iterator[Still]:
    """The pictures of a clip, upright; all of it and as large as it is unless told otherwise. Raises ValueError."""
    try:
        with av.open(str(path)) as container:
            first_s: float | None = None
            for frame in container.decode(container.streams.best("video")):
                if frame.pts is None:
                    raise ValueError(f"{path}: a picture has no time")
                at_s = float(frame.pts * frame.time_base)
                first_s = at_s if first_s is None else first_s
                if seconds and at_s - first_s >= seconds:
                    return
                yield Still(_upright(frame, side_px), at_s - first_s)
    except (av.FFmpegError, AttributeError) as error:
        raise ValueError(f"{path}: not a readable video: {error}") from None


def _upright(frame: av.VideoFrame, side_px: int) -> np.ndarray:
    """The picture as it is to be seen, its sides even, the longer one at most ``side_px`` (0: any)."""
    longest = max(frame.width, frame.height)
    by = min(1.0, side_px / longest) if side_px else 1.0
    width, height = (max(2, round(side * by / 2) * 2) for side in (frame.width, frame.height))
    pixels = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
    return np.rot90(pixels, round(frame.rotation / 90))


def write_variant(variant: Variant, stills: Stills, fps: float, path: Path) -> list[Still]:
    """Write the film; returns the stills that are in it, without their pixels turned. Raises ValueError.

    ``fps`` is that of the stills; a change of size begins a new sequence in the same stream.
    """
    shown: list[Still] = []
    muxer_path = path.with_name("part-" + path.name)
    with av.open(str(muxer_path), "w", format=FORMATS.get(path.suffix)) as out:
        writer = _Writer(out, variant, fps)
        for still in variant.change(stills) if variant.change else stills:
            shown.append(still)
            writer.show(still)
        if not shown:
            raise ValueError("no pictures to write")
        writer.end(shown[-1].time_s)
    muxer_path.replace(path)
    return shown


FORMATS = {".mkv": "matroska", ".h264": "h264", ".ts": "mpegts"}


class _Writer:
    """Encodes stills into one video stream, with sound beside it where the variant has a tail."""

    def __init__(self, out: av.container.OutputContainer, variant: Variant, fps: float) -> None:
        self._out, self._variant = out, variant
        self._rate = Fraction(fps).limit_denominator(1001)
        self._stream: av.VideoStream | None = None
        self._encoder: av.VideoCodecContext | None = None
        self._sound = out.add_stream("aac", rate=SOUND_HZ, layout="mono") if variant.tail_s else None
        self._count = self._written = 0

    def show(self, still: Still) -> None:
        pixels = np.ascontiguousarray(np.rot90(still.pixels, -self._variant.turned // 90))
        size = pixels.shape[1], pixels.shape[0]
        if self._encoder is not None and size != (self._encoder.width, self._encoder.height):
            self._flush()
        if self._encoder is None:
            self._encoder = self._new_encoder(*size)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        steady = self._out.format.name in ("avi", "h264")  # keep no times of their own
        frame.time_base = 1 / self._rate if steady else CLOCK
        frame.pts = self._count if steady else round(still.time_s / CLOCK)
        self._count += 1
        self._mux(self._encoder.encode(frame))

    def end(self, last_s: float) -> None:
        self._flush()
        if self._sound is not None:
            for at in range(0, round((last_s + self._variant.tail_s) * SOUND_HZ), 1024):
                tone = np.sin(np.arange(at, at + 1024) / 20).astype(np.float32)[None] * 0.1
                sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                sound.rate, sound.pts, sound.time_base = SOUND_HZ, at, Fraction(1, SOUND_HZ)
                self._out.mux(self._sound.encode(sound))
            self._out.mux(self._sound.encode(None))

    def _new_encoder(self, width_px: int, height_px: int) -> av.VideoCodecContext:
        """The stream's own encoder first; another of the same kind where the size changes."""
        variant, first = self._variant, self._stream is None
        if first:
            self._stream = self._out.add_stream(variant.codec, rate=self._rate)
            if variant.turned:
                self._stream.set_display_rotation(variant.turned)
        encoder = self._stream.codec_context if first else av.CodecContext.create(variant.codec, "w")
        encoder.width, encoder.height, encoder.pix_fmt = width_px, height_px, variant.pix_fmt
        encoder.framerate, encoder.gop_size = self._rate, variant.gop or round(GOP_S * self._rate)
        encoder.time_base = 1 / self._rate if self._out.format.name in ("avi", "h264") else CLOCK
        encoder.options = variant.options
        return encoder

    def _flush(self) -> None:
        if self._encoder is not None:
            self._mux(self._encoder.encode(None))
            self._encoder = None

    def _mux(self, packets: list[av.Packet]) -> None:
        assert self._stream is not None
        for packet in packets:
            spoilt = self._variant.damage(self._written, packet) if self._variant.damage else None
            self._written += 1
            if spoilt is not None:
                packet.update(spoilt)
            packet.stream = self._stream
            self._out.mux(packet)


def main() -> None:
    """Command line."""
    parser = recipe_parser("make_variants", __doc__)
    parser.add_argument("out", type=new_folder, nargs="?", help="folder to write to")
    parser.add_argument("clips", type=existing_file, nargs="*", metavar="CLIP", help="video files")
    parser.add_argument("--only", nargs="+", choices=sorted(VARIANTS), metavar="NAME", help="these variants")
    parser.add_argument("--seconds", type=not_negative_float, default=0.0, help="of each clip; 0: all of it")
    parser.add_argument(
        "--side", type=not_negative_int, default=0, metavar="PX", help="longer side; 0: as it is"
    )
    parser.add_argument("--list", action="store_true", help="tell the variants and end")
    chosen = parser.parse_args()
    if chosen.list:
        for name, variant in VARIANTS.items():
            print(f"{name:14} {variant.suffix:6} {variant.about}")
        return
    if not chosen.clips:
        parser.error("give a folder to write to and at least one clip")
    with told_in_one_line(parser):
        chosen.out.mkdir(parents=True, exist_ok=True)
        for clip in chosen.clips:
            for name in chosen.only or VARIANTS:
                path = chosen.out / f"{clip.stem}-{name}{VARIANTS[name].suffix}"
                stills = read_stills(clip, chosen.seconds, chosen.side)
                shown = write_variant(VARIANTS[name], stills, frame_rate(clip), path)
                print(f"{path}: {len(shown)} pictures, {shown[-1].time_s:.1f} s")


def frame_rate(clip: Path) -> float:
    """Pictures a second of a clip, on average."""
    with av.open(str(clip)) as container:
        return float(container.streams.best("video").average_rate or 25)


if __name__ == "__main__":
    main()
