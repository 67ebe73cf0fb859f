"""Scripts propose what the objects of a clip do; contacts and views then decide what is true.

Each script places one body and gives it legs. Speeds are drawn as the part of the view crossed in
``CROSSING_S`` seconds, so that near and far things look equally lively.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthetic.camera import Z_NEAR_M, Camera
from synthetic.casting import cast_body
from synthetic.physics import DEPTH_SQUASH, Body, Leg

CROSSING_S = 4.0
MAX_SPEED_M_S = 2.4
COVERS = ("truck", "box", "truck", "mug", "box")  # broad and high enough to hide something small
HIDERS = ("ball", "duck", "mug", "ball", "cone")
COVER_SIZE, HIDER_SIZE = 1.14, 0.88
# Proposals other than bumping and passing behind, with their weights.
SOLO = {
    "still": 0.11,
    "cross": 0.19,
    "away": 0.1,
    "toward": 0.1,
    "enter": 0.15,
    "leave": 0.2,
    "stop": 0.08,
    "start": 0.09,
}
BUMP_SHARE, BEHIND_SHARE = 0.42, 0.32
COUNT_SHARES = (0.2, 0.35, 0.3, 0.15)  # of 2, 3, 4 and 5 objects
TRIES = 24
CLEARANCE_M = 0.08
LOOK_AHEAD_S = 0.125


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

    def speed_m_s(self, z_m: float, low: float = 0.5, high: float = 1.2) -> float:
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
        speed = self.speed_m_s(body.z, 0.7, 1.35)
        reach = body.radius_m + target.radius_m
        body.x = target.x - side * (reach + speed * self.when_s(0.25, 0.65))
        body.legs = [Leg(side * speed, 0.0)]

    def behind(self, body: Body, cover: Body) -> None:
        """Pass, or stop, behind a nearer standing thing."""
        side = self._face(body)
        # As close as it can pass: farther back it would be seen over the top, for the camera looks down.
        body.z = (
            cover.z + (body.radius_m + cover.radius_m) / DEPTH_SQUASH + float(self.rng.uniform(0.06, 0.16))
        )
        speed = self.speed_m_s(body.z, 0.45, 0.9)
        meet_s = self.when_s(0.3, 0.65)
        meet_x = cover.x * self.camera.depth_m(body.z) / self.camera.depth_m(cover.z)
        body.x = meet_x - side * speed * meet_s
        stop_s = meet_s - 0.25 if self.rng.uniform() < 0.35 else np.inf
        body.legs = [Leg(side * speed, 0.0, stop_s=float(stop_s))]

    def path(self, body: Body) -> np.ndarray:
        """Where the legs alone would take a body: float [steps, 2] x, z, one every ``LOOK_AHEAD_S``."""
        times = np.arange(0.0, self.duration_s, LOOK_AHEAD_S)
        weights = np.array([[leg.weight(t) for leg in body.legs] for t in times]).reshape(len(times), -1)
        velocity = weights @ np.array([(leg.vx, leg.vz) for leg in body.legs]).reshape(-1, 2)
        return np.array([body.x, body.z]) + (np.cumsum(velocity, 0) - velocity) * LOOK_AHEAD_S

    def _face(self, body: Body) -> int:
        side = 1 if self.rng.uniform() < 0.5 else -1
        body.facing = side
        return side


def plan_clip(rng: np.random.Generator, camera: Camera, duration_s: float) -> list[Body]:
    """The bodies of one clip, 2 to 5, on paths that meet only where a script wants it."""
    plan = Plan(rng, camera, duration_s)
    cast = _Cast(plan)
    count = 2 + int(rng.choice(4, p=COUNT_SHARES))
    if rng.uniform() < BUMP_SHARE:
        cast.add_bump()
    if rng.uniform() < BEHIND_SHARE and len(cast.bodies) + 2 <= count:
        cast.add_hiding()
    names, shares = list(SOLO), np.array(list(SOLO.values()))
    misses = 0
    while len(cast.bodies) < count and misses < TRIES:
        body = cast_body(rng, len(cast.bodies), cast.bodies)
        script = getattr(plan, str(rng.choice(names, p=shares / shares.sum())))
        misses += not cast.place(body, script)
    return cast.bodies


class _Cast:
    """The bodies placed so far, with the paths they intend."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.bodies: list[Body] = []
        self.paths: list[np.ndarray] = []

    def place(self, body: Body, script: Callable[[Body], None], meets: Body | None = None) -> bool:
        """Run a script until the body keeps clear of the others (but ``meets``), then add it."""
        for _ in range(TRIES):
            body.legs = []
            script(body)
            path = self.plan.path(body)
            if all(self._clear(body, path, index, other is meets) for index, other in enumerate(self.bodies)):
                self.bodies.append(body)
                self.paths.append(path)
                return True
        return False

    def _clear(self, body: Body, path: np.ndarray, index: int, may_meet: bool) -> bool:
        other = self.bodies[index]
        steps = slice(0, 1) if may_meet else slice(None)
        apart = (path[steps] - self.paths[index][steps]) * (1.0, DEPTH_SQUASH)
        reach = body.radius_m + other.radius_m + CLEARANCE_M
        return bool((np.hypot(apart[:, 0], apart[:, 1]) > reach).all())

    def _stand(self, body: Body, deepest_m: float) -> None:
        rng = self.plan.rng
        body.z = Z_NEAR_M + float(rng.uniform(0.05, deepest_m))
        body.x = float(rng.uniform(-0.58, 0.58)) * self.plan.camera.half_view_m(body.z)

    def add_bump(self) -> None:
        """A standing body and one that runs into it."""
        rng, plan = self.plan.rng, self.plan
        target = cast_body(rng, len(self.bodies), self.bodies)
        if self.place(target, lambda body: self._stand(body, 2.6)):
            mover = cast_body(rng, len(self.bodies), self.bodies)
            self.place(mover, lambda body: plan.bump(body, target), meets=target)

    def add_hiding(self) -> None:
        """A broad standing body near the camera and a small one that goes behind it."""
        rng, plan = self.plan.rng, self.plan
        cover = cast_body(rng, len(self.bodies), self.bodies, COVERS, COVER_SIZE)
        if self.place(cover, lambda body: self._stand(body, 0.7)):
            mover = cast_body(rng, len(self.bodies), self.bodies, HIDERS, HIDER_SIZE)
            self.place(mover, lambda body: plan.behind(body, cover))
