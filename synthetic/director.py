"""The director of a stream: sends objects in, gives those at rest something to do, lets them go.

Two to four things are kept in view: at least ``MIN_RESIDENTS`` that do not intend to leave.
"""

from __future__ import annotations

import math

import numpy as np

from synthetic.camera import Z_NEAR_M
from synthetic.casting import cast_body
from synthetic.physics import RESTING_M_S, Body, Leg, Simulation, gap
from synthetic.scene import Scene
from synthetic.scripts import Plan

MIN_RESIDENTS, MAX_BODIES = 2, 4
DECIDE_S = 0.25
LOST_S = 9.0  # a body sent in that has not shown up by then is called off
SIDEWAYS = ("car", "truck")  # drawn from the side: they would slide, not drive, in depth
ACTIONS = {"wander": 0.3, "bump": 0.24, "leave": 0.34, "deep": 0.12}


class Director:
    """Decides every ``DECIDE_S`` of simulated time; ``rng`` is its only source of choice."""

    def __init__(self, rng: np.random.Generator, scene: Scene, simulation: Simulation) -> None:
        self.rng, self.scene, self.simulation = rng, scene, simulation
        self.plan = Plan(rng, scene.camera, 4.0)
        self.count = 0
        self.leaving: set[int] = set()
        self.wait_until: dict[int, float] = {}
        self.sent: dict[int, float] = {}
        self.target, self.target_until, self.send_after = 3, 0.0, 0.0
        for _ in range(MIN_RESIDENTS + int(rng.integers(2))):
            self._open()

    def decide(self, now_s: float, in_view: set[int]) -> None:
        """Send, call off and direct bodies."""
        for number in in_view:
            self.sent.pop(number, None)
        if now_s >= self.target_until:
            self.target = int(self.rng.integers(3, MAX_BODIES + 1))
            self.target_until = now_s + float(self.rng.uniform(7, 14))
        self._call_off(now_s)
        for body in list(self.simulation.bodies):
            if body.number in in_view and body.speed < RESTING_M_S and now_s >= self._ready(body, now_s):
                self._direct(body, now_s, in_view)
        short = self._residents() < MIN_RESIDENTS
        if len(self.simulation.bodies) < MAX_BODIES and (
            short or (len(self.simulation.bodies) < self.target and now_s >= self.send_after)
        ):
            self._send(now_s, stays=short or self.rng.uniform() < 0.5)

    def forget(self, body: Body) -> None:
        """Drop a body that has left."""
        self.simulation.remove(body)
        self.scene.dismiss(body)
        self.leaving.discard(body.number)
        self.wait_until.pop(body.number, None)
        self.sent.pop(body.number, None)

    def _residents(self) -> int:
        return sum(body.number not in self.leaving for body in self.simulation.bodies)

    def _call_off(self, now_s: float) -> None:
        for body in list(self.simulation.bodies):
            if now_s - self.sent.get(body.number, now_s) > LOST_S:
                self.forget(body)

    def _ready(self, body: Body, now_s: float) -> float:
        """When a resting body may be directed again; the wait starts when it is first seen at rest."""
        if body.legs and not body.free and any(leg.stop_s > now_s for leg in body.legs):
            return math.inf
        if body.number not in self.wait_until:
            self.leaving.discard(body.number)
            self.wait_until[body.number] = now_s + float(self.rng.uniform(0.8, 3.2))
        return self.wait_until[body.number]

    def _cast(self) -> Body:
        body = cast_body(self.rng, self.count, self.simulation.bodies)
        self.count += 1
        return body

    def _clear(self, body: Body) -> bool:
        return all(
            gap(body.x, body.z, b.x, b.z, body.radius_m + b.radius_m) > 0.1
            for b in self.simulation.bodies
            if b is not body
        )

    def _admit(self, body: Body) -> None:
        self.scene.admit(self.rng, body)
        self.simulation.bodies.append(body)

    def _open(self) -> None:
        """Stand a body in the view at the beginning."""
        body = self._cast()
        for _ in range(30):
            self.plan.still(body)
            if self._clear(body) and self._room(body, body.x, body.z) > 1.1:
                break
        self._admit(body)

    def _send(self, now_s: float, stays: bool) -> None:
        """Send a body in from a side, to stay, to cross, or to run into something at rest."""
        body = self._cast()
        resting = [b for b in self.simulation.bodies if b.speed < RESTING_M_S]
        side = 1 if self.rng.uniform() < 0.5 else -1
        body.facing = side
        body.z = self.plan.lane_m()
        if resting and self.rng.uniform() < 0.25:
            body.z = resting[int(self.rng.integers(len(resting)))].z + float(self.rng.uniform(-0.06, 0.06))
        speed = self.plan.speed_m_s(body.z, 0.45, 0.95)
        body.x = -side * (self.plan.edge_m(body) + 0.15)
        if not self._clear(body):
            return
        stop_s = math.inf
        if stays:
            goal = side * float(self.rng.uniform(-0.6, 0.6)) * self.scene.camera.half_view_m(body.z)
            stop_s = now_s + 0.2 + abs(goal - body.x) / speed
        else:
            self.leaving.add(body.number)
        body.legs = [Leg(side * speed, 0.0, start_s=now_s + 0.2, stop_s=stop_s)]
        self.sent[body.number] = now_s
        self.send_after = now_s + float(self.rng.uniform(0.6, 2.2))
        self._admit(body)

    def _direct(self, body: Body, now_s: float, in_view: set[int]) -> None:
        """Give a resting body something to do."""
        names, shares = list(ACTIONS), np.array(list(ACTIONS.values()))
        action = str(self.rng.choice(names, p=shares / shares.sum()))
        others = [b for b in self.simulation.bodies if b is not body and b.number in in_view]
        if action == "leave" and len(in_view) > MIN_RESIDENTS and self._residents() >= MIN_RESIDENTS:
            side = -1 if body.x + 0.6 * float(self.rng.standard_normal()) < 0 else 1
            speed = self.plan.speed_m_s(body.z, 0.5, 0.95)
            self.leaving.add(body.number)
            self._go(body, now_s, side * speed, 0.0, math.inf)
        elif action == "bump" and others:
            target = others[int(self.rng.integers(len(others)))]
            self._go_to(body, now_s, target.x, target.z, reach=1.0)
        elif action == "deep" and body.class_name not in SIDEWAYS:
            z = Z_NEAR_M + (2.7 if body.z < Z_NEAR_M + 1.4 else 0.1) + float(self.rng.uniform(0, 0.7))
            self._go_to(body, now_s, body.x * 0.85, z)
        else:
            spots = [self._spot(body) for _ in range(5)]
            x, z = max(spots, key=lambda spot: self._room(body, *spot))
            self._go_to(body, now_s, x, z)

    def _spot(self, body: Body) -> tuple[float, float]:
        """Somewhere in the other half of the view, at about the same distance."""
        z = min(max(body.z + float(self.rng.uniform(-0.9, 0.9)), Z_NEAR_M), Z_NEAR_M + 3.3)
        side = -1.0 if body.x > 0 else 1.0
        return side * float(self.rng.uniform(0.1, 0.78)) * self.scene.camera.half_view_m(z), z

    def _room(self, body: Body, x: float, z: float) -> float:
        """Metres sideways to the next body, for neighbours hide each other whatever their distance."""
        return min((abs(b.x - x) for b in self.simulation.bodies if b is not body), default=9.0)

    def _go_to(self, body: Body, now_s: float, x: float, z: float, reach: float = 0.0) -> None:
        """Move to a point, or through it by ``reach`` metres, and stop."""
        dx, dz = x - body.x, z - body.z
        distance = max(math.hypot(dx, dz), 0.3)
        share = 0.35 + 0.65 * abs(dx) / distance
        speed = min(self.plan.speed_m_s(body.z, 0.35, 0.85), 1.9) * share
        stop_s = now_s + 0.1 + (distance + reach) / speed
        self._go(body, now_s, dx / distance * speed, dz / distance * speed, stop_s)

    def _go(self, body: Body, now_s: float, vx: float, vz: float, stop_s: float) -> None:
        body.free = False
        body.legs = [Leg(vx, vz, start_s=now_s + 0.1, stop_s=stop_s)]
        self.wait_until.pop(body.number, None)
        facing = 1 if vx > 0 else -1
        if abs(vx) > 0.15 and facing != body.facing:
            self.scene.turn(body, facing)
