"""Every form of video through the whole path of pictures: ingest, segments, decoding, sampling, clips."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from contracts.segments import SegmentHeader
from operators.chunk import Hole
from operators.damage import Lost
from operators.decode import DecodeError, decode_segment
from operators.sample import Sampler
from operators.splice import splice_segments
from operators.types import Clip
from pipelines.camera import CameraStream, StreamSettings
from recipes.make_variants import VARIANTS, Still, Variant, write_variant
from services.gateway.live import Fragments, Held
from tests.recipes.clips import piece
from tests.services.ingest.test_camera import play

WHOLE = sorted(name for name, variant in VARIANTS.items() if variant.damage is None)
LIKE = 12.0
"""Mean difference of two pictures, of 255, that only lossy encoding can have made."""


@dataclass
class Journey:
    """What became of a film. Times are seconds from its first picture."""

    shown: list[Still]
    segments: list[tuple[SegmentHeader, bytes]]
    told: list[str]

    @property
    def begin_s(self) -> float:
        header = self.segments[0][0]
        return header.start_s - header.epoch_start_s

    def pictures(self, threads: int = 1) -> tuple[list[Still], list[Lost]]:
        """Everything that can be decoded, each segment on its own, within the segment's time."""
        found, lost = [], []
        for header, video in self.segments:
            until_s = header.end_s - header.epoch_start_s - 0.002
            try:
                for picture in decode_segment(video, threads, lost) if header.end is None else ():
                    if picture.pts_s < until_s:
                        found.append(Still(picture.rgb(4096), picture.pts_s - self.begin_s))
            except DecodeError as error:
                lost.append(Lost(header.start_s - header.epoch_start_s, until_s, str(error)))
        return found, lost

    def spans(self) -> list[Clip | Hole]:
        """What the tracker would get."""
        stream, found = CameraStream("yard", StreamSettings()), []
        for offset, (header, video) in enumerate(self.segments):
            found += [span.item for span in stream.push(header, video, offset, header.end_s)]
        return found


def travel(variant: Variant, folder: Path, number: int = 0) -> Journey:
    stills, fps = piece(number)
    path = folder / f"film{variant.suffix}"
    shown = write_variant(variant, stills, fps, path)
    publisher, _, _ = play(path)
    told = [f"{state.state} {state.cause}" for state in publisher.states()]
    assert not publisher.gaps()
    return Journey([Still(s.pixels, s.time_s - shown[0].time_s) for s in shown], publisher.segments(), told)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(np.int16) - other).mean())


@pytest.mark.parametrize("name", WHOLE)
def test_every_picture_comes_upright_at_its_time(name: str, tmp_path: Path) -> None:
    number = WHOLE.index(name)
    journey, frame_s = travel(VARIANTS[name], tmp_path, number), 1 / piece(number)[1]
    pictures, lost = journey.pictures()
    assert len(pictures) == len(journey.shown) and not lost
    for got, meant in zip(pictures, journey.shown, strict=True):
        assert abs(got.time_s - meant.time_s) < min(0.01, frame_s / 2)
        assert difference(got.pixels, meant.pixels) < LIKE
    assert journey.told[-1] == "stopped end of file"


@pytest.mark.parametrize("name", WHOLE)
def test_clips_tile_the_time_and_hold_the_first_picture_of_each_cell(name: str, tmp_path: Path) -> None:
    journey = travel(VARIANTS[name], tmp_path, WHOLE.index(name))
    clips = journey.spans()
    assert all(isinstance(clip, Clip) for clip in clips)
    assert clips[0].start_s == journey.segments[0][0].start_s
    assert clips[-1].end_s == journey.segments[-1][0].end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(clips))
    sampler = Sampler(4.0)
    meant = [still for still in journey.shown if sampler.take(still.time_s + journey.begin_s)]
    frames = [frame for clip in clips for frame in clip.frames]  # type: ignore[union-attr]
    assert len(frames) == len(meant)
    for frame, still in zip(frames, meant, strict=True):
        assert frame.pts_s - journey.begin_s == pytest.approx(still.time_s, abs=0.01)
        assert difference(frame.pixels, still.pixels) < LIKE
    for clip in clips:
        assert len({frame.pixels.shape for frame in clip.frames}) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["corrupt", "corrupt-mjpeg"])
def test_damage_is_a_gap_and_shows_nothing_false(name: str, tmp_path: Path) -> None:
    journey = travel(VARIANTS[name], tmp_path)
    pictures, _ = journey.pictures()
    assert 10 < len(pictures) < len(journey.shown)
    times = np.array([still.time_s for still in journey.shown])
    for got in pictures:
        assert difference(got.pixels, journey.shown[np.abs(times - got.time_s).argmin()].pixels) < LIKE
    spans = journey.spans()
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(spans))
    gaps = [span for span in spans if isinstance(span, Hole)]
    assert gaps and all(gap.reason == "undecodable" and "Invalid data" in gap.cause for gap in gaps)
    sampled = [frame.time_s for span in spans if isinstance(span, Clip) for frame in span.frames]
    for gap in gaps:
        assert not any(gap.start_s <= at < gap.end_s for at in sampled)


def flips_in_the_middle(number: int, packet: av.Packet) -> bytes | None:
    """A few bytes of one packet's picture, which a decoder would paint over."""
    if number != 34:
        return None
    data = bytearray(bytes(packet))
    for at in range(len(data) // 3, len(data), max(1, len(data) // 12)):
        data[at] ^= 0xFF
    return bytes(data)


def test_small_damage_hides_what_is_predicted_from_it(tmp_path: Path) -> None:
    variant = Variant("", ".mkv", options={"bf": "0", "preset": "veryfast"}, damage=flips_in_the_middle)
    journey = travel(variant, tmp_path)
    pictures, lost = journey.pictures()
    (span,) = lost
    fps = piece(0)[1]
    assert span.start_s - journey.begin_s == pytest.approx(34 / fps, abs=0.01)
    assert len(pictures) == len(journey.shown) - (2 * round(fps) - 34), "up to the next key frame"
    assert [gap.reason for gap in journey.spans() if isinstance(gap, Hole)] == ["undecodable"]


@pytest.mark.parametrize("name", ["bframes", "hevc", "corrupt"])
def test_threads_change_no_picture(name: str, tmp_path: Path) -> None:
    journey = travel(VARIANTS[name], tmp_path)
    (one, lost_of_one), (many, lost_of_many) = journey.pictures(1), journey.pictures(3)
    assert [still.time_s for still in one] == [still.time_s for still in many]
    assert lost_of_one == lost_of_many
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)


@pytest.mark.parametrize("name", ["opengop", "hevc"])
def test_segments_that_share_a_key_frame_splice_and_play_without_it_twice(name: str, tmp_path: Path) -> None:
    journey = travel(VARIANTS[name], tmp_path)
    parts = [(header, video) for header, video in journey.segments if header.end is None]
    whole = splice_segments([video for _, video in parts], 60.0)
    spliced = [picture.pts_s - journey.begin_s for picture in decode_segment(whole)]
    assert spliced == pytest.approx([still.time_s for still in journey.shown], abs=0.002)
    if name == "hevc":
        return  # browsers cannot show it
    held = [Held(number, header, video, 0.0) for number, (header, video) in enumerate(parts)]
    fragments = Fragments(held[0])
    (tmp_path / "live.mp4").write_bytes(b"".join(fragments.add(each) for each in held) + fragments.close())
    with av.open(str(tmp_path / "live.mp4")) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert [at - times[0] for at in times] == pytest.approx(spliced, abs=0.002)


def test_the_live_picture_is_turned_too(tmp_path: Path) -> None:
    journey = travel(VARIANTS["rotated90"], tmp_path)
    header, video = journey.segments[0]
    fragments = Fragments(Held(0, header, video, 0.0))
    (tmp_path / "live.mp4").write_bytes(fragments.add(Held(0, header, video, 0.0)) + fragments.close())
    with av.open(str(tmp_path / "live.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 90


def test_the_command_writes_what_it_says(tmp_path: Path) -> None:
    stills, fps = piece(0)
    clip = tmp_path / "clip.mp4"
    write_variant(VARIANTS["bframes"], stills, fps, clip)
    command = [sys.executable, "-m", "recipes.make_variants", str(tmp_path / "out"), str(clip), "--only"]
    done = subprocess.run(
        [*command, "vfr", "mjpeg", "--seconds", "1", "--side", "96"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"clip-vfr.mp4", "clip-mjpeg.avi"}
    assert done.stdout.count("pictures") == 2
    refused = subprocess.run([*command[:4], str(tmp_path / "none.mp4")], capture_output=True, text=True)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "none.mp4" in refused.stderr


@pytest.mark.parametrize("name", ["corrupt", "corrupt-mjpeg", "opengop", "vfr"])
def test_a_restart_anywhere_gives_the_same_clips_and_gaps(name: str, tmp_path: Path) -> None:
    segments = travel(VARIANTS[name], tmp_path).segments
    first = CameraStream("yard", StreamSettings())
    whole, stops = [], []
    for offset, (header, video) in enumerate(segments):
        for span in first.push(header, video, offset, header.end_s):
            whole.append(_plain(span.item))
            needed = first.needed_offset
            stops.append((span.position, offset + 1 if needed is None else needed))
    for number, (position, needed) in enumerate(stops, start=1):
        again, rest = CameraStream("yard", StreamSettings(), position), []
        for offset, (header, video) in list(enumerate(segments))[needed:]:
            rest += [_plain(span.item) for span in again.push(header, video, offset, header.end_s)]
        assert whole[:number] + rest == whole


def _plain(item: Clip | Hole) -> tuple:
    if isinstance(item, Hole):
        return item.start_s, item.end_s, item.reason
    return item.start_s, item.end_s, [(frame.index, frame.pts_s) for frame in item.frames]
