"""Words for things and colours that free sentences are searched for.

Things: the eighty names of COCO (an orange is only a colour here), the classes of the synthetic world, and everyday
words for people, animals, vehicles and sports gear. A thing outside this list counts as not named: better unjudged
than wrongly judged.
"""

from __future__ import annotations

COLOURS = frozenset(
    "red green blue yellow purple orange white black gray grey brown pink silver gold golden beige cream tan "
    "turquoise teal maroon violet navy khaki".split()
)

_SINGLE = """
person man woman boy girl child baby human lady guy player athlete vaulter runner cyclist driver pedestrian rider
bicycle bike car motorcycle airplane plane bus train truck boat ship van suv jeep sedan taxi vehicle tractor scooter
bench bird cat dog puppy kitten horse sheep cow elephant bear zebra giraffe hummingbird duck rabbit fish insect bee
butterfly monkey pig goat lion tiger fox deer squirrel chicken goose penguin turtle snake animal papillon
backpack umbrella handbag bag tie suitcase frisbee skis snowboard ball kite skateboard surfboard bat racket racquet
paddle pole stick rope leash net mat post bar club glove helmet
bottle cup fork knife spoon bowl glass plate banana apple sandwich broccoli carrot pizza donut cake
chair couch sofa bed toilet tv television laptop mouse remote keyboard phone microwave oven toaster sink refrigerator
book clock vase scissors toothbrush table desk lamp door window wall fence tree flower plant leaf feeder ring
box cone cube cylinder robot toy bucket barrel basket crate hat shoe shirt shorts jeans hand leg head wheel drum
""".split()
_DOUBLE = (
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "hot dog",
    "teddy bear",
    "hair drier",
)
"""Where the last word alone would name another thing, or none."""
THINGS = frozenset(_SINGLE) | frozenset(_DOUBLE)

PLURALS = {
    "men": "man",
    "women": "woman",
    "people": "person",
    "children": "child",
    "mice": "mouse",
    "knives": "knife",
    "leaves": "leaf",
    "geese": "goose",
}

UNNAMED = frozenset({"", "something", "someone", "thing", "object", "item", "subject", "one", "it"})
"""Stand-ins that name no class."""


def singular(word: str, known: frozenset[str]) -> str | None:
    """The word as it stands in ``known``, its plural ending taken off if need be; None if it is not there."""
    candidates = (word, PLURALS.get(word, ""), word.removesuffix("s"), word.removesuffix("es"))
    return next((candidate for candidate in candidates if candidate in known), None)
