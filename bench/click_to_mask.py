"""From a click to the object's first mask, in sampled frames and seconds, on a real gateway, ingest and tracker.

    python -m bench.click_to_mask --clicks 12 --json

Two ways of asking in turn: without a time, as on the command line (the next sampled picture), and on a picture that was
tracked already and lies LAG_S back, as the page shows it. The tracker finds nothing by itself; what was clicked is
dropped again before the next click.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from operators.track import TrackSettings
from services.engines.stack import running_stack
from services.tracker.app import TrackerService
from services.tracker.settings import TrackerSettings
from tests.e2e.film import Film, to_and_fro

CAMERA, FPS = "bench", 6.0
LAG_S = 5.0
"""How far the page's picture lies behind what is tracked."""
PATIENCE_S = 60.0


class MarkedOnly(TrackerSettings):
    """A tracker that finds nothing by itself."""

    def tracks(self) -> TrackSettings:
        return TrackSettings(max_tracks=self.max_tracks, grid_every=0, motion_every=0)


@dataclass(frozen=True)
class Click:
    """``frames``: sampled frames that passed without a mask, from the clicked picture (or the click) on."""

    way: str
    code: str
    answer_s: float
    frames: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description="From a click to the first mask.")
    parser.add_argument("--clicks", type=int, default=12)
    parser.add_argument("--sample-fps", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film = to_and_fro(Path(folder) / "film.mp4", 19, 6.0, 30.0 + 20.0 * options.clicks, (320, 240), FPS)
        clicks = measure(Path(folder), film, options.clicks, options.sample_fps)
    print(json.dumps([asdict(click) for click in clicks]) if options.json else summary(clicks))


def measure(folder: Path, film: Film, count: int, sample_fps: float) -> list[Click]:
    """The clicks one after the other."""
    with running_stack(folder / "data", {"kafka", "s3"}, {"gateway", "ingest"}) as stack:
        tracker = TrackerService(stack.settings, MarkedOnly(name="bench", group_id="bench"))
        tracker.start()
        try:
            with httpx.Client(base_url=stack.settings.gateway_url, timeout=90) as client:
                body = {"camera_id": CAMERA, "source": str(film.path), "sample_fps": sample_fps}
                client.post("/v1/cameras", json=body).raise_for_status()
                clip = newest_clip(client)
                ways = ("live", "past") * count
                return [click(client, film, clip["epoch"] / 1000, sample_fps, way) for way in ways[:count]]
        finally:
            tracker.stop()


def click(client: httpx.Client, film: Film, start_s: float, sample_fps: float, way: str) -> Click:
    """One click on the largest object, and its drop."""
    asked_s = time.time()
    at_s = newest_clip(client)["end_s"] - LAG_S if way == "past" else asked_s
    _, x, y = film.place(at_s - start_s)
    body = {"kind": "follow", "mark": {"points": [{"x": x, "y": y}]}, "timeout_s": PATIENCE_S}
    if way == "past":
        body["at_s"] = at_s
    asked_s = time.time()
    answer = client.post(f"/v1/cameras/{CAMERA}/prompts", json=body).json()
    answer_s = time.time() - asked_s
    if answer["code"] != "followed":
        return Click(way, answer["code"], answer_s, None)
    trail = answer.get("trail") or [{"time_s": answer["time_s"]}]
    without_s = trail[0]["time_s"] - (at_s if way == "past" else asked_s)
    body = {"kind": "drop", "track": answer["track_id"], "timeout_s": PATIENCE_S}
    client.post(f"/v1/cameras/{CAMERA}/prompts", json=body).raise_for_status()
    return Click(way, answer["code"], round(answer_s, 2), round(without_s * sample_fps, 2))


def newest_clip(client: httpx.Client) -> dict:
    """The newest clip that is tracked; waits for the first."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        newest = None
        path = f"/v1/cameras/{CAMERA}/events?names=clip&replay=true"
        try:
            with client.stream("GET", path, timeout=0.5) as response:
                for line in response.iter_lines():
                    newest = json.loads(line[6:]) if line.startswith("data: ") else newest
        except httpx.ReadTimeout:
            if newest is not None:
                return newest
    raise TimeoutError(f"no clip of the camera within {PATIENCE_S:.0f} s")


def summary(clicks: list[Click]) -> str:
    lines = []
    for way in ("live", "past"):
        met = [click for click in clicks if click.way == way and click.frames is not None]
        others = sorted(click.code for click in clicks if click.way == way and click.frames is None)
        frames, seconds = [click.frames for click in met], [click.answer_s for click in met]
        if met:
            lines.append(
                f"{way}: {len(met)} met; sampled frames without a mask {min(frames):.2f} to {max(frames):.2f}, "
                f"answered after {statistics.median(seconds):.1f} s (median), {max(seconds):.1f} s at most"
            )
        lines += [f"{way}: not met: {', '.join(others)}"] if others else []
    return "\n".join(lines)


if __name__ == "__main__":
    main()
