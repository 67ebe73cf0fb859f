"""Bodies on the ground plane: scripted legs until something touches them, then pushes and friction.

Speeds are world metres a second, so the picture rate does not change what happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

STEP_S = 1 / 48
DEPTH_SQUASH = 1.7  # bodies are this much flatter in depth than in width
RESTITUTION = 0.5
FRICTION_M_S2 = {False: 0.75, True: 0.35}  # of sliding and of rolling bodies
MOVING_M_S, RESTING_M_S = 0.14, 0.05
CONTACT_M_S = 0.12  # slower touches are not told as bumps
QUIET_S = 0.6  # one contact between a pair is told once
Z_LIMITS_M = (2.55, 6.9)


@dataclass(frozen=True, slots=True)
class Leg:
    """Move with (``vx``, ``vz``) from ``start_s`` to ``stop_s``, easing in and out over ``ramp_s``."""

    vx: float
    vz: float
    start_s: float = -10.0
    stop_s: float = math.inf
    ramp_s: float = 0.5

    def weight(self, time_s: float) -> float:
        """Share of the full speed at a time, 0..1."""
        return _ease((time_s - self.start_s) / self.ramp_s) * (
            1 - _ease((time_s - self.stop_s) / self.ramp_s)
        )


def _ease(x: float) -> float:
    x = 0.0 if x < 0 else 1.0 if x > 1 else x
    return x * x * (3 - 2 * x)


@dataclass(slots=True)
class Body:
    """One object on the ground. ``axis`` is the direction of a ball's pattern; ``gone`` bodies touch nothing."""

    number: int
    class_name: str
    colour: str
    height_m: float
    width_m: float
    mass_kg: float
    x: float
    z: float
    legs: list[Leg] = field(default_factory=list)
    facing: int = 1
    rolls: bool = False
    vx: float = 0.0
    vz: float = 0.0
    free: bool = False
    gone: bool = False
    moving: bool = False
    touched_s: float = -10.0
    quiet_since_s: float = 0.0
    axis: np.ndarray = field(default_factory=lambda: np.array([0.5, 0.75, -0.43]))

    @property
    def radius_m(self) -> float:
        """Half the width that touches others."""
        return self.width_m * 0.47

    @property
    def speed(self) -> float:
        """Metres a second."""
        return math.hypot(self.vx, self.vz)

    def follow(self, time_s: float) -> None:
        """Take the scripted velocity of a time."""
        weights = [(leg, leg.weight(time_s)) for leg in self.legs]
        self.vx = sum(leg.vx * weight for leg, weight in weights)
        self.vz = sum(leg.vz * weight for leg, weight in weights)


@dataclass(frozen=True, slots=True)
class Happening:
    """A fact of the simulation: ``kind`` is "bumps" (with ``other``), "starts" or "stops"."""

    kind: str
    time_s: float
    number: int
    other: int | None = None


def gap(a_x: float, a_z: float, b_x: float, b_z: float, reach_m: float) -> float:
    """Free space between two bodies whose radii sum to ``reach_m``; negative when they overlap."""
    return math.hypot(b_x - a_x, (b_z - a_z) * DEPTH_SQUASH) - reach_m


class Simulation:
    """Steps bodies in time and tells what happened. Bodies may be added and removed between steps."""

    def __init__(self, bodies: list[Body]) -> None:
        self.bodies = list(bodies)
        self.time_s = 0.0
        self.steps = 0
        self._told: dict[tuple[int, int], float] = {}
        for body in self.bodies:
            body.follow(0.0)
            body.moving = body.speed > MOVING_M_S

    def advance(self, until_s: float) -> list[Happening]:
        """Step up to a time (rounded to whole steps) and return what happened on the way."""
        happened: list[Happening] = []
        while self.steps < round(until_s / STEP_S):
            self.steps += 1
            self.time_s = self.steps * STEP_S
            self._step(happened)
        return happened

    def _step(self, happened: list[Happening]) -> None:
        live = [body for body in self.bodies if not body.gone]
        for body in live:
            if body.free:
                _brake(body)
            else:
                body.follow(self.time_s)
            _move(body)
        for index, first in enumerate(live):
            for second in live[index + 1 :]:
                self._touch(first, second, happened)
        for body in live:
            self._watch(body, happened)

    def _touch(self, a: Body, b: Body, happened: list[Happening]) -> None:
        dx, dz = b.x - a.x, (b.z - a.z) * DEPTH_SQUASH
        reach = a.radius_m + b.radius_m
        distance = math.hypot(dx, dz)
        if distance >= reach:
            return
        nx, nz = (dx / distance, dz / distance) if distance > 1e-6 else (1.0, 0.0)
        toward_b, toward_a = a.vx * nx + a.vz * nz, -(b.vx * nx + b.vz * nz)
        closing = toward_b + toward_a
        share = a.mass_kg / (a.mass_kg + b.mass_kg)
        overlap = reach - distance
        _shift(a, -nx, -nz, overlap * (1 - share))
        _shift(b, nx, nz, overlap * share)
        if closing <= 0:
            return
        push = (1 + RESTITUTION) * closing
        a.vx, a.vz = a.vx - push * (1 - share) * nx, a.vz - push * (1 - share) * nz
        b.vx, b.vz = b.vx + push * share * nx, b.vz + push * share * nz
        a.free = b.free = True
        a.touched_s = b.touched_s = self.time_s
        self._tell(a, b, toward_b >= toward_a, closing, happened)

    def _tell(self, a: Body, b: Body, a_did: bool, closing: float, happened: list[Happening]) -> None:
        pair = (min(a.number, b.number), max(a.number, b.number))
        last = self._told.get(pair, -10.0)
        self._told[pair] = self.time_s
        if closing > CONTACT_M_S and self.time_s - last > QUIET_S:
            doer, done = (a, b) if a_did else (b, a)
            happened.append(Happening("bumps", self.time_s, doer.number, done.number))

    def _watch(self, body: Body, happened: list[Happening]) -> None:
        speed = body.speed
        if not body.moving and speed > MOVING_M_S:
            body.moving = True
            if self.time_s - body.touched_s > 0.35:
                happened.append(Happening("starts", self.time_s, body.number))
        elif body.moving and speed < RESTING_M_S:
            body.moving = False
            body.quiet_since_s = self.time_s
            happened.append(Happening("stops", self.time_s, body.number))

    def remove(self, body: Body) -> None:
        """Forget a body."""
        self.bodies.remove(body)
        self._told = {pair: t for pair, t in self._told.items() if body.number not in pair}


def _brake(body: Body) -> None:
    speed = body.speed
    slower = max(0.0, speed - FRICTION_M_S2[body.rolls] * STEP_S)
    if speed > 0:
        body.vx, body.vz = body.vx * slower / speed, body.vz * slower / speed


def _move(body: Body) -> None:
    body.x += body.vx * STEP_S
    body.z += body.vz * STEP_S
    if not Z_LIMITS_M[0] <= body.z <= Z_LIMITS_M[1]:
        body.z = min(max(body.z, Z_LIMITS_M[0]), Z_LIMITS_M[1])
        body.vz = 0.0
    if body.rolls:
        turn = np.array([body.vz, 0.0, -body.vx]) * (2 * STEP_S / body.height_m)
        axis = body.axis + np.cross(turn, body.axis)
        body.axis = axis / math.sqrt(float(axis @ axis))


def _shift(body: Body, nx: float, nz: float, distance: float) -> None:
    body.x += nx * distance
    body.z += nz * distance / DEPTH_SQUASH
