"""Who appears: class, colour and size of bodies, never two of the same class and colour."""

from __future__ import annotations

import numpy as np

from synthetic.palette import COLOURS
from synthetic.physics import Body
from synthetic.shapes import CLASSES, SHAPES

HELD_OUT_PAIRS: frozenset[tuple[str, str]] = frozenset(
    (COLOURS[(3 * number + 1) % len(COLOURS)], name) for number, name in enumerate(CLASSES)
)
"""One colour of every class that training is to leave out, to measure what is learned of class without colour."""
SHARE_CLASS, SHARE_COLOUR = 0.25, 0.22  # how often a new object takes after one that is there


def cast_body(
    rng: np.random.Generator,
    number: int,
    present: list[Body],
    class_names: tuple[str, ...] = CLASSES,
    size: float | None = None,
) -> Body:
    """A body of one of ``class_names`` at the origin, different from ``present`` in class or colour.

    ``size`` multiplies the usual size of the class; by default it is drawn from 0.88 to 1.14.
    """
    taken = {(body.class_name, body.colour) for body in present}
    while True:
        class_name = str(rng.choice(class_names))
        colour = str(rng.choice(COLOURS))
        if present and rng.uniform() < SHARE_CLASS:
            like = present[int(rng.integers(len(present)))].class_name
            class_name = like if like in class_names else class_name
        elif present and rng.uniform() < SHARE_COLOUR:
            colour = present[int(rng.integers(len(present)))].colour
        if (class_name, colour) not in taken:
            break
    shape = SHAPES[class_name]
    size = float(rng.uniform(0.88, 1.14)) if size is None else size
    axis = rng.standard_normal(3)
    return Body(
        number=number,
        class_name=class_name,
        colour=colour,
        height_m=shape.height_m * size,
        width_m=shape.width_m * size,
        mass_kg=shape.mass_kg * size**2,
        x=0.0,
        z=4.0,
        facing=1 if rng.uniform() < 0.5 else -1,
        rolls=shape.rolls,
        axis=axis / np.linalg.norm(axis),
    )
