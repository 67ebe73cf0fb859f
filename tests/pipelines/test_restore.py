from __future__ import annotations

import numpy as np

from operators.track import Tracker
from operators.types import Clip, Frame
from pipelines.checkpoint import CameraPosition
from pipelines.restore import TrackerMaker
from tests.fakes.objects import MemoryObjects
from tests.fakes.segmenter import ColourSegmenter


class NewerModel(ColourSegmenter):
    def import_state(self, state: bytes) -> None:
        raise ValueError("session state: written by a model with other weights, it cannot be continued")


def clip(index: int) -> Clip:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[10:30, 10:30] = 200
    frames = tuple(Frame(pixels, at / 4, 1000 + at / 4, at) for at in range(4 * index, 4 * index + 4))
    return Clip("yard", 1, index, frames, frames[0].time_s, frames[0].time_s + 1, "full")


def test_a_checkpoint_of_another_model_keeps_the_ids_of_what_is_in_view() -> None:
    store = MemoryObjects()
    tracker = Tracker("yard", ColourSegmenter())
    assert tracker.push(clip(0)).opened == ("yard-1-0001",)
    store.put("checkpoints/yard/1", tracker.snapshot().to_bytes())
    position = CameraPosition(
        camera_id="yard", epoch=1, start_s=1001.0, opened=1, checkpoint_ref="checkpoints/yard/1"
    )
    maker = TrackerMaker(store, lambda size: NewerModel(), "newer")
    tracked = maker.ready(None, clip(1), position).push(clip(1))
    assert tracked.opened == () and tracked.closed == {}
    assert [x.track_id for x in tracked.masklets] == ["yard-1-0001"]
