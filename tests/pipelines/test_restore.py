from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from operators.track import Tracker
from operators.types import Clip, Frame
from pipelines.checkpoint import CameraPosition, part_name
from pipelines.restore import TrackerMaker
from pipelines.snapshot import pack
from tests.fakes.objects import MemoryObjects
from tests.fakes.segmenter import ColourSegmenter


class NewerModel(ColourSegmenter):
    def import_state(self, state: Mapping[str, bytes]) -> None:
        raise ValueError("session state: written by a model with other weights, it cannot be continued")


def clip(index: int) -> Clip:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[10:30, 10:30] = 200
    frames = tuple(Frame(pixels, at / 4, 1000 + at / 4, at) for at in range(4 * index, 4 * index + 4))
    return Clip("yard", 1, index, frames, frames[0].time_s, frames[0].time_s + 1, "full")


def stored(store: MemoryObjects, tracker: Tracker) -> CameraPosition:
    packed = pack(tracker.snapshot())
    store.put("checkpoints/yard/1", packed.main)
    for name, data in packed.parts.items():
        store.put(part_name("yard", name), data)
    facts = {"checkpoint_ref": "checkpoints/yard/1", "parts": sorted(packed.parts)}
    return CameraPosition(camera_id="yard", epoch=1, start_s=1001.0, opened=1, **facts)


def test_a_checkpoint_of_another_model_keeps_the_ids_of_what_is_in_view(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryObjects()
    tracker = Tracker("yard", ColourSegmenter())
    assert tracker.push(clip(0)).opened == ("yard-1-0001",)
    position = stored(store, tracker)
    maker = TrackerMaker(store, lambda size: NewerModel(), "newer")
    tracked = maker.ready(None, clip(1), position).push(clip(1))
    assert "written by a model with other weights" in caplog.text and "last masks" in caplog.text
    assert tracked.opened == () and tracked.closed == {}
    assert [x.track_id for x in tracked.masklets] == ["yard-1-0001"]


@pytest.mark.parametrize("ending", ["safetensors", "jpg"])
def test_parts_that_are_gone_cost_memory_but_no_number(ending: str) -> None:
    store = MemoryObjects()
    tracker = Tracker("yard", ColourSegmenter())
    tracker.push(clip(0))
    position = stored(store, tracker)
    for name in store.list("checkpoints/yard/parts/"):
        if name.endswith(ending):
            store.delete(name)
    maker = TrackerMaker(store, lambda size: ColourSegmenter(), "same")
    tracked = maker.ready(None, clip(1), position).push(clip(1))
    assert (tracked.opened, tracked.closed) == ((), {}), "one of memory and picture is enough"
    assert [x.track_id for x in tracked.masklets] == ["yard-1-0001"]
