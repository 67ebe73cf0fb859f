"""Events as told: contacts and motion from the physics, comings and hidings from what was seen."""

from __future__ import annotations

from synthetic.physics import Happening
from synthetic.scene import Sight
from synthetic.truth import Event, Side


def tell_events(
    happened: list[Happening], sights: list[dict[int, Sight]], fps: float, width: int
) -> list[tuple[Event, ...]]:
    """Events of every object of a clip in order of time; those out of view are not told.

    :param sights: for every frame, what is seen of each object number.
    """
    stories: list[list[Event]] = [[] for _ in sights[0]]
    for fact in happened:
        frame = sights[min(len(sights) - 1, round(fact.time_s * fps))]
        for number, event in told(fact, {number for number, sight in frame.items() if sight.full_px > 0}):
            stories[number].append(event)
    for number, story in enumerate(stories):
        watch = Watch(width)
        for t, frame in enumerate(sights):
            story += watch.look(frame[number], t / fps)
        story.sort(key=lambda event: event.time_s)
    return [tuple(story) for story in stories]


def told(fact: Happening, in_view: set[int]) -> list[tuple[int, Event]]:
    """The events, by object number, that a fact of the physics gives to those in view."""
    if fact.number not in in_view:
        return []
    if fact.kind != "bumps":
        return [(fact.number, Event(fact.kind, fact.time_s))]  # type: ignore[arg-type]
    if fact.other is None or fact.other not in in_view:
        return []
    return [
        (fact.number, Event("bumps", fact.time_s, other=fact.other)),
        (fact.other, Event("is_bumped", fact.time_s, other=fact.number)),
    ]


class Watch:
    """Looks at one object frame by frame and tells when it enters, leaves, hides or reappears."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.last: Sight | None = None
        self.hidden = False

    def look(self, now: Sight, time_s: float) -> list[Event]:
        """Events between the previous frame and this one; the first frame tells none."""
        before, self.last = self.last, now
        if before is None or before.full_px == now.full_px == 0:
            self.hidden = now.hidden
            return []
        if before.full_px == 0:
            self.hidden = now.hidden
            return [Event("enters", time_s, side=self._side(now))]
        if now.full_px == 0:
            self.hidden = False
            return [Event("leaves", time_s, side=self._side(before))]
        if now.hidden == self.hidden:
            return []
        self.hidden = now.hidden
        cover = now.cover - 1 if now.cover else None
        return [Event("hidden", time_s, other=cover) if now.hidden else Event("reappears", time_s)]

    def _side(self, sight: Sight) -> Side | None:
        share = sight.centre[0] / self.width
        return "left" if share < 0.3 else "right" if share > 0.7 else None
