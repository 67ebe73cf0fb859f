"""Streams made for occlusions: small things pass behind a large one, alone or two at a time, for up to 3 s each.

In the usual streams objects keep away from each other's line of sight, so that hardly any is hidden and comes back.
"""

from __future__ import annotations

import math

from synthetic.camera import Z_NEAR_M
from synthetic.casting import cast_body
from synthetic.director import Director
from synthetic.physics import Body, Leg
from synthetic.scripts import COVERS, HIDERS
from synthetic.stream import SyntheticStream

LANES_M = (0.75, 1.3)
"""How far behind the large thing the small ones pass: nobody bumps into anybody."""
PAUSE_SHARE = 0.3
COVER_SIZE, HIDER_SIZE = 1.3, 0.72


def sample_passages(seed: int, duration_s: float, split: str, fps: float) -> SyntheticStream:
    """One stream of passages: same arguments, same bytes."""
    return SyntheticStream(seed, duration_s, split, 320, 240, fps, direct=Passages)


class Passages(Director):
    """One large thing stands in view; small ones pass behind it, each in a lane of its own."""

    def decide(self, now_s: float, in_view: set[int]) -> None:
        """Send somebody through each free lane, after a pause."""
        for number in in_view:
            self.sent.pop(number, None)
        self._call_off(now_s)
        if now_s >= self.send_after:
            busy = {round(body.z - self._cover.z, 2) for body in self.simulation.bodies}
            free = [lane for lane in LANES_M if lane not in busy]
            if free:
                self._pass(now_s, free[int(self.rng.integers(len(free)))])
                self.send_after = now_s + float(self.rng.uniform(1.0, 4.0))

    @property
    def _cover(self) -> Body:
        return self.simulation.bodies[0]

    def _open(self) -> None:
        if self.simulation.bodies:
            return  # one is enough
        cover = self._cast_as(COVERS, COVER_SIZE)
        cover.z = Z_NEAR_M + float(self.rng.uniform(0.2, 0.7))
        cover.x = float(self.rng.uniform(-0.3, 0.3)) * self.scene.camera.half_view_m(cover.z)
        self._admit(cover)

    def _cast_as(self, names: tuple[str, ...], size: float) -> Body:
        body = cast_body(self.rng, self.count, self.simulation.bodies, names, size)
        self.count += 1
        return body

    def _pass(self, now_s: float, lane_m: float) -> None:
        body = self._cast_as(HIDERS, HIDER_SIZE)
        body.z = self._cover.z + lane_m
        side = 1 if self.rng.uniform() < 0.5 else -1
        speed = self.plan.speed_m_s(body.z, 0.5, 0.95)
        body.x = -side * (self.plan.edge_m(body) + 0.15)
        begin_s = now_s + 0.2
        body.legs = [Leg(side * speed, 0.0, start_s=begin_s, stop_s=math.inf)]
        if self.rng.uniform() < PAUSE_SHARE:
            body.legs = self._pausing(body, side, speed, begin_s)
        body.facing = side
        self.sent[body.number] = now_s
        self._admit(body)

    def _pausing(self, body: Body, side: int, speed: float, begin_s: float) -> list[Leg]:
        """Stop behind the cover for a moment: who waits there does not come out when expected."""
        scale = body.z / self._cover.z  # what is farther away is hidden farther from the middle
        stop_s = begin_s + abs(self._cover.x * scale - body.x) / speed
        go_s = stop_s + float(self.rng.uniform(0.8, 1.6))
        return [
            Leg(side * speed, 0.0, start_s=begin_s, stop_s=stop_s),
            Leg(side * speed, 0.0, start_s=go_s, stop_s=math.inf),
        ]
