"""The synthetic world: seeded clips and endless streams of moving things, with the exact truth.

A 2.5-D world of our own drawing: a static pitched camera over a floor, ten classes in eight colours that stand,
cross, come, go, bump and hide. ``split`` "train" and "held_out" share no floor, wall or light.
"""

from __future__ import annotations

import numpy as np

from synthetic.palette import COLOURS
from synthetic.physics import Body, Happening, Simulation
from synthetic.scene import SPLITS, Scene, Sight, check_view
from synthetic.scripts import plan_clip
from synthetic.shapes import CLASSES
from synthetic.story import tell_events
from synthetic.stream import sample_stream
from synthetic.truth import Event, ObjectTruth, SyntheticClip

__all__ = ["CLASSES", "COLOURS", "SPLITS", "sample_clip", "sample_stream"]


def sample_clip(
    seed: int, split: str = "train", width: int = 320, height: int = 240, frames: int = 16, fps: float = 4.0
) -> SyntheticClip:
    """Draw the clip of a seed: same arguments, same bytes.

    :param frames: number of pictures, one every ``1 / fps`` seconds from time 0.
    :raises ValueError: for an unknown split, a picture under 48 pixels or a rate the physics cannot serve.
    """
    check_view(split, width, height, fps)
    if frames < 1:
        raise ValueError(f"frames: expected at least 1, got {frames}")
    rng = np.random.default_rng([seed, SPLITS.index(split), 11])
    scene = Scene(rng, split, width, height)
    # A plan of its own generator: the same story at every picture size.
    plan_rng = np.random.default_rng([seed, SPLITS.index(split), 12])
    bodies = plan_clip(plan_rng, scene.camera, max(frames / fps, 1.0))
    for body in bodies:
        scene.admit(plan_rng, body)
    return _film(rng, scene, bodies, frames, fps)


def _film(
    rng: np.random.Generator, scene: Scene, bodies: list[Body], frames: int, fps: float
) -> SyntheticClip:
    simulation = Simulation(bodies)
    pictures = np.empty((frames, scene.height, scene.width, 3), np.uint8)
    ids = np.empty((frames, scene.height, scene.width), np.uint8)
    sights: list[dict[int, Sight]] = []
    ground = np.zeros((len(bodies), frames, 2), np.float32)
    velocity = np.zeros((len(bodies), frames, 2), np.float32)
    happened: list[Happening] = []
    for t in range(frames):
        happened += simulation.advance(t / fps)
        pictures[t], ids[t], seen = scene.draw(rng, [(b.number + 1, b) for b in bodies if not b.gone])
        sights.append({b.number: _look(scene, b, seen, sights) for b in bodies})
        for body in bodies:
            ground[body.number, t] = body.x, body.z
            velocity[body.number, t] = body.vx, body.vz
    stories = tell_events(happened, sights, fps, scene.width)
    objects = tuple(
        _truth(body, [sight[body.number] for sight in sights], ground, velocity, stories[body.number])
        for body in bodies
    )
    return SyntheticClip(pictures, ids, fps, objects)


def _look(scene: Scene, body: Body, seen: dict[int, Sight], before: list[dict[int, Sight]]) -> Sight:
    """What is seen of a body now; one that has left the frame is gone for good."""
    sight = seen.get(body.number + 1)
    if sight is None:
        return Sight(0, 0, (0, 0, 0, 0), before[-1][body.number].centre, 0)
    was_in = bool(before) and before[-1][body.number].full_px > 0
    if was_in and sight.full_px == 0:
        body.gone = True
    return sight


def _truth(body: Body, seen: list[Sight], ground, velocity, events: tuple[Event, ...]) -> ObjectTruth:
    return ObjectTruth(
        class_name=body.class_name,
        colour=body.colour,
        visible_px=np.array([s.visible_px for s in seen], np.int32),
        full_px=np.array([s.full_px for s in seen], np.int32),
        boxes=np.array([s.box for s in seen], np.float32),
        centre=np.array([s.centre for s in seen], np.float32),
        ground=ground[body.number],
        velocity=velocity[body.number],
        events=events,
    )
