"""Scripts propose what the objects of a clip do; contacts and views then decide what is true.

Each script places one body and gives it legs. Speeds are drawn as the part of the view crossed in
``CROSSING_S`` seconds, so that near and far things look equally lively.
"""

from __future__ import annotations

import numpy as np

from synthetic.camera import Z_NEAR_M, Camera
from synthetic.casting import cast_body
from synthetic.physics import Body, Leg, gap

CROSSING_S = 4.0
MAX_SPEED_M_S = 2.4
LARGE = ("truck", "tree", "box", "car", "rocket", "robot", "mug")
SMALL = ("ball", "cone", "duck", "box", "mug", "robot", "car")
# Proposals other than bumping and passing behind, with their weights.
SOLO = {
    "still": 0.16,
    "cross": 0.17,
    "away": 0.09,
    "toward": 0.09,
    "enter": 0.17,
    "leave": 0.14,
    "stop": 0.09,
    "start": 0.09,
}
BUMP_SHARE, BEHIND_SHARE = 0.36, 0.3
COUNT_SHARES = (0.2, 0.35, 0.3, 0.15)  # of 2, 3, 4 and 5 objects
TRIES = 24


class Plan:
    """Places and moves bodies for one clip of ``duration_s`` seen by ``camera``."""

    def __init__(self, rng: np.random.Generator, camera: Camera, duration_s: float) -> None:
        self.rng, self.camera, self.duration_s = rng, camera, duration_s

    def lane_m(self) -> float:
        """A random distance, near ones a little more often."""
        return Z_NEAR_M + 3.2 * float(self.rng.uniform()) ** 1.15

    def edge_m(self, body: Body) -> float:
        """The ``x`` beyond which the body is out of the view."""
        return self.camera.half_view_m(body.z) + body.width_m * 0.55

    def speed_m_s(self, z_m: float, low: float = 0.38, high: float = 1.05) -> float:
        """A walking-through speed at a distance."""
        view = 2 * self.camera.half_view_m(z_m)
        return min(MAX_SPEED_M_S, float(self.rng.uniform(low, high)) * view / CROSSING_S)

    def when_s(self, low: float, high: float) -> float:
        """A time in parts of the clip."""
        return float(self.rng.uniform(low, high)) * self.duration_s

    def drift(self) -> float:
        """A little motion in depth."""
        return float(self.rng.uniform(-0.12, 0.12))

    def still(self, body: Body) -> None:
        """Stand somewhere in the view."""
        body.z = self.lane_m()
        body.x = float(self.rng.uniform(-0.82, 0.82)) * self.camera.half_view_m(body.z)

    def cross(self, body: Body) -> None:
        """Go across the view all the time."""
        side = self._face(body)
        body.z = self.lane_m()
        speed = self.speed_m_s(body.z)
        middle = float(self.rng.uniform(-0.2, 0.2)) * self.camera.half_view_m(body.z)
        body.x = middle - side * speed * self.duration_s / 2
        body.legs = [Leg(side * speed, self.drift())]

    def away(self, body: Body) -> None:
        """Recede from the camera."""
        self._in_depth(
            body, Z_NEAR_M + float(self.rng.uniform(0, 0.7)), Z_NEAR_M + float(self.rng.uniform(2.5, 3.7))
        )

    def toward(self, body: Body) -> None:
        """Come to the camera."""
        self._in_depth(
            body, Z_NEAR_M + float(self.rng.uniform(2.5, 3.7)), Z_NEAR_M + float(self.rng.uniform(0, 0.7))
        )

    def _in_depth(self, body: Body, start_m: float, end_m: float) -> None:
        body.z = start_m
        speed = (end_m - start_m) / CROSSING_S
        near = self.camera.half_view_m(min(start_m, end_m))
        body.x = float(self.rng.uniform(-0.7, 0.7)) * near
        stop_s = abs(end_m - start_m) / abs(speed)
        if self.rng.uniform() < 0.3:
            stop_s, speed = 0.7 * stop_s, speed * 1.3
        body.legs = [Leg(float(self.rng.uniform(-0.15, 0.15)), speed, stop_s=stop_s)]

    def enter(self, body: Body) -> None:
        """Come in from a side; half of them stop in the view."""
        side = self._face(body)
        body.z = self.lane_m()
        speed = self.speed_m_s(body.z, 0.55)
        arrive_s = self.when_s(0.04, 0.4)
        body.x = -side * (self.edge_m(body) + speed * arrive_s)
        stop_s = arrive_s + max(1.0, self.when_s(0.35, 0.6)) if self.rng.uniform() < 0.5 else np.inf
        body.legs = [Leg(side * speed, 0.0, stop_s=float(stop_s))]

    def leave(self, body: Body) -> None:
        """Go out by a side; some wait first."""
        side = self._face(body)
        body.z = self.lane_m()
        body.x = side * float(self.rng.uniform(-0.75, 0.35)) * self.camera.half_view_m(body.z)
        leave_s = self.when_s(0.5, 0.88)
        wait_s = self.when_s(0.1, 0.3) if self.rng.uniform() < 0.3 else -10.0
        distance = self.edge_m(body) - side * body.x
        speed = min(MAX_SPEED_M_S, distance / (leave_s - max(0.0, wait_s)))
        body.legs = [Leg(side * speed, 0.0, start_s=wait_s)]

    def stop(self, body: Body) -> None:
        """Move, then stop in the view."""
        side = self._face(body)
        body.z = self.lane_m()
        speed, stop_s = self.speed_m_s(body.z, 0.5, 1.2), self.when_s(0.35, 0.7)
        end = side * float(self.rng.uniform(-0.3, 0.75)) * self.camera.half_view_m(body.z)
        body.x = end - side * speed * (stop_s + 0.25)
        body.legs = [Leg(side * speed, 0.0, stop_s=stop_s)]

    def start(self, body: Body) -> None:
        """Stand, then move off."""
        side = self._face(body)
        body.z = self.lane_m()
        body.x = -side * float(self.rng.uniform(-0.2, 0.8)) * self.camera.half_view_m(body.z)
        speed = self.speed_m_s(body.z, 0.55, 1.2)
        body.legs = [Leg(side * speed, self.drift(), start_s=self.when_s(0.2, 0.5))]

    def bump(self, body: Body, target: Body) -> None:
        """Run into a standing target during the middle of the clip."""
        side = -1 if target.x > 0 else 1
        side = side if self.rng.uniform() < 0.3 else -side
        body.facing = side
        body.z = target.z + float(self.rng.uniform(-0.08, 0.08))
        speed = self.speed_m_s(body.z, 0.55, 1.15)
        reach = body.radius_m + target.radius_m
        body.x = target.x - side * (reach + speed * self.when_s(0.25, 0.65))
        body.legs = [Leg(side * speed, 0.0)]

    def behind(self, body: Body, cover: Body) -> None:
        """Pass, or stop, behind a nearer standing thing."""
        side = self._face(body)
        body.z = cover.z + float(self.rng.uniform(0.9, 2.1))
        speed = self.speed_m_s(body.z, 0.4, 0.85)
        meet_s = self.when_s(0.3, 0.65)
        meet_x = cover.x * self.camera.depth_m(body.z) / self.camera.depth_m(cover.z)
        body.x = meet_x - side * speed * meet_s
        stop_s = meet_s - 0.25 if self.rng.uniform() < 0.3 else np.inf
        body.legs = [Leg(side * speed, 0.0, stop_s=float(stop_s))]

    def _face(self, body: Body) -> int:
        side = 1 if self.rng.uniform() < 0.5 else -1
        body.facing = side
        return side


def plan_clip(rng: np.random.Generator, camera: Camera, duration_s: float) -> list[Body]:
    """The bodies of one clip, 2 to 5, placed apart from each other."""
    plan = Plan(rng, camera, duration_s)
    count = 2 + int(rng.choice(4, p=COUNT_SHARES))
    bodies: list[Body] = []
    if rng.uniform() < BUMP_SHARE:
        _add_pair(plan, bodies, plan.bump, None, None, 0.55)
    if rng.uniform() < BEHIND_SHARE and len(bodies) + 2 <= count:
        _add_pair(plan, bodies, plan.behind, LARGE, SMALL, 0.6)
    names, shares = list(SOLO), np.array(list(SOLO.values()))
    misses = 0
    while len(bodies) < count and misses < TRIES:
        body = cast_body(rng, len(bodies), bodies)
        script = getattr(plan, str(rng.choice(names, p=shares / shares.sum())))
        misses += not _place(body, bodies, lambda body=body, script=script: script(body))
    return bodies


def _add_pair(plan: Plan, bodies: list[Body], script, stander_classes, mover_classes, reach: float) -> None:
    """Add a standing body within ``reach`` of the middle and a mover that has to do with it."""
    extra = {"class_names": stander_classes} if stander_classes else {}
    stander = cast_body(plan.rng, len(bodies), bodies, **extra)

    def stand() -> None:
        stander.z = Z_NEAR_M + float(plan.rng.uniform(0.05, 0.6 if stander_classes else 2.6))
        stander.x = float(plan.rng.uniform(-reach, reach)) * plan.camera.half_view_m(stander.z)

    if not _place(stander, bodies, stand):
        return
    extra = {"class_names": mover_classes} if mover_classes else {}
    mover = cast_body(plan.rng, len(bodies), bodies, **extra)
    _place(mover, bodies, lambda: script(mover, stander))


def _place(body: Body, bodies: list[Body], script) -> bool:
    """Run a script until the body stands clear of the others, then add it."""
    for _ in range(TRIES):
        body.legs = []
        script()
        if all(gap(body.x, body.z, b.x, b.z, body.radius_m + b.radius_m) > 0.06 for b in bodies):
            bodies.append(body)
            return True
    return False
