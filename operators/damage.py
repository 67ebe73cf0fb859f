"""Which pictures of a segment can be trusted: packets that a decoder refused, and what was predicted from them.

A picture is predicted from those before it back to a key frame. Behind a packet that was refused all are doubtful
up to the next key frame, whether the decoder shows them or not: they hold the smears of what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BENIGN_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Packet:
    """What is known of an encoded picture before it is decoded; ``pts`` in units of the container, unique."""

    pts: int
    key: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Media time [start_s, end_s) whose pictures could not be decoded; ``end_s`` None: up to the segment's end."""

    start_s: float
    end_s: float | None
    cause: str


def doubtful(packets: Sequence[Packet], refused: Iterable[int]) -> set[int]:
    """Time stamps of the packets that were refused and of all that depend on them, in order of decoding."""
    refused, found = set(refused), set()
    broken = before = False  # in the group at hand, and in the one whose pictures its first ones may need
    key_pts = 0
    for packet in packets:
        if packet.key:
            broken, before, key_pts = False, broken, packet.pts
        broken = broken or packet.pts in refused
        leading = before and packet.pts < key_pts
        if broken or leading:
            found.add(packet.pts)
    return found


def is_damage(packets: Sequence[Packet], refused: Iterable[int]) -> bool:
    """Whether packets refused by a strict decoder are damaged, or only written by an encoder with habits of its own.

    Habits show everywhere, or on key frames alone (what is written beside the picture stands there); damage does not.
    """
    refused = set(refused)
    keys = {packet.pts for packet in packets if packet.key}
    all_keys = len(keys) == len(packets)
    few = len(refused) <= BENIGN_SHARE * len(packets)
    return bool(refused) and few and (all_keys or bool(refused - keys))


def lost_spans(times_s: Iterable[float], good_s: Iterable[float], cause: str) -> list[Lost]:
    """Stretches of time without a good picture: ``times_s`` are those of all pictures that should be there."""
    good, found = sorted(good_s), []
    shown = set(good)
    missing = sorted(time_s for time_s in times_s if time_s not in shown)
    for time_s in missing:
        if found and (found[-1].end_s is None or time_s < found[-1].end_s):
            continue
        after = next((other for other in good if other > time_s), None)
        found.append(Lost(time_s, after, cause))
    return found
