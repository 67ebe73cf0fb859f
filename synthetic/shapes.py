"""The ten classes, drawn from shaded polygons and ellipses in units of a 100-high or 100-wide box.

Each ``draw_*`` takes a :class:`Painter` of the class's own width and height and a :class:`Paint`. Things that
move sideways are drawn facing right; the painter mirrors them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthetic.painter import Painter
from synthetic.palette import Paint


@dataclass(frozen=True, slots=True)
class Shape:
    """How a class is drawn and how large it is: units of the drawing, height in metres, mass in kilograms."""

    width: float
    height: float
    height_m: float
    mass_kg: float
    draw: Callable[[Painter, Paint], None] | None
    rolls: bool = False
    bobs: bool = False

    @property
    def width_m(self) -> float:
        """Width in metres, by the proportions of the drawing."""
        return self.height_m * self.width / self.height


def draw_box(p: Painter, c: Paint) -> None:
    """A parcel seen from a corner, with a strip of tape."""
    lit = 1 + 0.1 * p.light * p.facing
    p.polygon([(0, 22), (76, 22), (76, 100), (0, 100)], c.shade(0.96), "flat")
    p.polygon([(0, 22), (24, 0), (100, 0), (76, 22)], c.shade(1.16), "flat", 0.5)
    p.polygon([(76, 22), (100, 0), (100, 76), (76, 100)], c.shade(0.68 * lit), "down")
    p.polygon([(31, 22), (45, 22), (45, 58), (31, 58)], c.band, "down")
    p.polygon([(31, 22), (55, 0), (69, 0), (45, 22)], c.band, "flat", 0.5)
    for line in ([(0, 22), (76, 22), (76, 100)], [(76, 22), (100, 0)]):
        p.line(line, 1.6, c.line)
    p.polygon([(52, 80), (70, 80), (70, 92), (52, 92)], c.band, "flat")


def draw_cone(p: Painter, c: Paint) -> None:
    """A traffic cone with two bands on a square foot."""
    p.polygon(
        [(4, 92), (16, 84), (66, 84), (78, 92), (78, 98), (74, 100), (8, 100), (4, 98)], c.shade(0.62), "down"
    )
    p.polygon([(4, 92), (16, 84), (66, 84), (78, 92)], c.shade(0.85), "flat", 0.4)
    body = [(36, 3), (46, 3), (64, 90), (56, 93), (41, 94), (26, 93), (18, 90)]
    p.polygon(body, c.body, "column")
    p.polygon([(31, 27), (51, 27), (54.7, 45), (27.3, 45)], c.band, "column")
    p.polygon([(25, 57), (57, 57), (60.3, 72), (21.7, 72)], c.band, "column")
    p.ellipse(35.5, 0, 46.5, 5.5, c.shade(0.55), "flat")


def draw_car(p: Painter, c: Paint) -> None:
    """A small saloon, side view."""
    p.polygon([(38, 4), (92, 2), (116, 30), (124, 36), (18, 36), (24, 28)], c.shade(0.98), "down")
    p.rounded(2, 30, 158, 74, 13, c.body, "down", 1.5)
    p.polygon([(112, 30), (142, 33), (156, 42), (157, 52), (112, 52)], c.body, "flat", 0.5)
    p.polygon([(42, 9), (64, 8), (64, 31), (30, 31)], c.glass, "flat", 3)
    p.polygon([(70, 8), (90, 7), (108, 31), (70, 31)], c.glass, "flat", 3)
    p.line([(67, 34), (67, 70)], 1.6, c.line)
    p.line([(6, 52), (152, 52)], 1.6, c.line)
    p.rounded(73, 42, 82, 45.5, 1.5, c.metal)
    p.ellipse(147, 40, 157, 50, (250, 244, 214), "flat")
    p.rounded(2, 40, 8, 52, 2, c.dark)
    p.rounded(0, 64, 160, 74, 4, (62, 63, 67), "down")
    for x in (36, 124):
        _wheel(p, c, x, 74, 20)


def _wheel(p: Painter, c: Paint, x: float, y: float, radius: float) -> None:
    p.ellipse(x - radius, y - radius, x + radius, y + radius, c.dark, "flat")
    hub = radius * 0.52
    p.ellipse(x - hub, y - hub, x + hub, y + hub, c.metal, "round")
    p.ellipse(x - hub * 0.35, y - hub * 0.35, x + hub * 0.35, y + hub * 0.35, (70, 71, 75), "flat")


def draw_truck(p: Painter, c: Paint) -> None:
    """A lorry with a tall load box, a cab and three wheels."""
    p.rounded(2, 82, 176, 94, 3, (58, 59, 63), "flat")
    p.rounded(0, 2, 124, 84, 3, c.body, "down", 1.3)
    for x in (24, 49, 74, 99):
        p.line([(x, 7), (x, 79)], 1.8, c.line)
    p.rounded(0, 68, 124, 74, 1, c.band, "flat")
    p.polygon([(130, 24), (158, 24), (170, 52), (178, 57), (178, 88), (130, 88)], c.shade(0.88), "down", 1.3)
    p.polygon([(141, 31), (155, 31), (164, 53), (141, 53)], c.glass, "flat", 3)
    p.line([(136, 28), (136, 86)], 1.6, c.line)
    p.ellipse(170, 66, 178, 75, (250, 244, 214), "flat")
    for x in (26, 62, 152):
        _wheel(p, c, x, 95, 16)


def draw_robot(p: Painter, c: Paint) -> None:
    """A toy robot: antenna, visor, gripper arms, two legs."""
    grey = (112, 114, 119)
    p.line([(36, 16), (36, 6)], 3, grey)
    p.ellipse(31, 0, 41, 10, c.body)
    for side in (-1, 1):
        x = 36 + side * 29
        p.rounded(x - 6, 48, x + 6, 78, 5, grey, "column")
        p.ellipse(x - 7, 72, x + 7, 86, (72, 73, 78), "flat")
        leg = 36 + side * 12
        p.rounded(leg - 7, 88, leg + 7, 112, 3, grey, "column")
        p.rounded(leg - 10, 108, leg + 10, 120, 4, (50, 51, 55), "down")
    p.rounded(13, 44, 59, 94, 7, c.body, "column")
    p.rounded(15, 14, 57, 42, 8, c.shade(1.04), "column")
    p.rounded(20, 20, 52, 36, 6, (26, 28, 33), "flat")
    for x in (29, 43):
        p.ellipse(x - 4, 24, x + 4, 32, (238, 240, 236), "flat")
    p.rounded(22, 52, 50, 70, 4, c.band, "flat")
    for x in (29, 36, 43):
        p.ellipse(x - 2.4, 58, x + 2.4, 63, c.glass, "flat")
    p.rounded(24, 78, 48, 82, 2, c.line, "flat", 0)


def draw_duck(p: Painter, c: Paint) -> None:
    """A rubber duck looking right."""
    p.polygon([(3, 46), (14, 56), (34, 60), (30, 82), (12, 74)], c.shade(0.88), "down")
    p.ellipse(8, 46, 92, 100, c.body, "round")
    p.polygon([(50, 40), (76, 40), (80, 62), (50, 66)], c.shade(0.93), "flat", 0.5)
    p.ellipse(44, 4, 88, 50, c.shade(1.02), "round")
    p.polygon([(83, 24), (103, 31), (103, 36), (83, 41), (79, 33)], (64, 62, 60), "down", 2)
    p.line([(84, 33), (102, 33.5)], 1.5, (24, 24, 26))
    p.ellipse(69, 16, 80, 29, (244, 244, 240), "flat")
    p.ellipse(73, 19, 79.5, 26.5, (16, 16, 18), "flat")
    p.ellipse(24, 56, 62, 84, c.line, "flat", 0)
    p.ellipse(25, 54, 62, 81, c.shade(1.0), "round", 0.9)


def draw_mug(p: Painter, c: Paint) -> None:
    """A mug with its handle on the right."""
    p.ring(62, 28, 106, 80, 9, c.shade(0.88), "down")
    p.polygon([(4, 12), (80, 12), (77, 90), (7, 90)], c.body, "column")
    p.ellipse(7, 80, 77, 100, c.body, "column")
    p.polygon([(5.2, 56), (78.8, 56), (78.3, 68), (5.7, 68)], c.band, "column")
    p.ellipse(4, 0, 80, 24, c.shade(1.14), "flat", 0.5)
    p.ellipse(10, 4, 74, 21, (52, 46, 44), "flat")
    p.ellipse(13, 9, 71, 21, (88, 76, 68), "flat")


def draw_tree(p: Painter, c: Paint) -> None:
    """A round-crowned toy tree in a pot."""
    p.polygon([(33, 70), (47, 70), (50, 104), (30, 104)], (98, 92, 88), "column")
    p.polygon([(18, 102), (62, 102), (56, 126), (24, 126)], (74, 75, 80), "column")
    p.rounded(15, 98, 65, 106, 2, (92, 93, 98), "column")
    for x, y, r, tone in ((19, 50, 19, 0.82), (61, 52, 19, 0.82), (40, 56, 22, 0.86), (24, 30, 21, 0.94)):
        p.ellipse(x - r, y - r, x + r, y + r, c.shade(tone), "round")
    for x, y, r, tone in ((57, 31, 20, 0.94), (40, 22, 21, 1.06), (40, 42, 19, 1.0)):
        p.ellipse(x - r, y - r, x + r, y + r, c.shade(tone), "round")


def draw_rocket(p: Painter, c: Paint) -> None:
    """A toy rocket standing on its fins, with a porthole."""
    grey = (104, 106, 111)
    p.polygon([(28, 112), (44, 112), (49, 124), (23, 124)], (50, 51, 55), "column")
    p.polygon([(20, 74), (20, 106), (4, 128), (1, 126), (2, 100)], grey, "flat", 2)
    p.polygon([(52, 74), (52, 106), (68, 128), (71, 126), (70, 100)], grey, "flat", 2)
    body = [
        (36, 0),
        (45, 13),
        (52, 30),
        (56, 52),
        (56, 80),
        (51, 114),
        (21, 114),
        (16, 80),
        (16, 52),
        (20, 30),
        (27, 13),
    ]
    p.polygon(body, c.body, "column")
    p.polygon([(36, 0), (45, 13), (49.5, 24), (22.5, 24), (27, 13)], c.band, "column")
    p.polygon([(17.5, 92), (54.5, 92), (53.2, 100), (18.8, 100)], c.band, "column")
    p.ellipse(24, 40, 48, 64, (168, 170, 174), "round")
    p.ellipse(28, 44, 44, 60, (44, 50, 60), "round")
    p.polygon([(33, 84), (39, 84), (39, 128), (33, 128)], grey, "column")


SHAPES: dict[str, Shape] = {
    "ball": Shape(100, 100, 0.78, 0.7, None, rolls=True),
    "box": Shape(100, 100, 0.85, 1.3, draw_box),
    "cone": Shape(82, 100, 0.98, 0.8, draw_cone),
    "car": Shape(160, 94, 0.74, 1.8, draw_car),
    "truck": Shape(179, 111, 1.0, 2.6, draw_truck),
    "robot": Shape(72, 120, 1.02, 1.4, draw_robot, bobs=True),
    "duck": Shape(104, 100, 0.9, 0.8, draw_duck, bobs=True),
    "mug": Shape(106, 100, 0.84, 0.9, draw_mug),
    "tree": Shape(80, 126, 1.1, 1.5, draw_tree),
    "rocket": Shape(72, 128, 1.12, 1.2, draw_rocket),
}
CLASSES: tuple[str, ...] = tuple(SHAPES)
