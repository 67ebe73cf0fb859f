"""What of a clip is shown to the captioner, and which clip may lead into the next one."""

import json

import numpy as np
import pytest

from contracts.clips import ClipRecord, SourceRange, clip_id
from modeling.pixelrefer.compression import SceneOptions
from operators.types import Masklet
from pipelines.asking import Asking, request_of, shown_frames
from pipelines.evidence import Evidence
from pipelines.ports import CaptionAnswer, ClipScene
from pipelines.scene_trail import SceneTrail
from pipelines.translate import tokens_of
from services.adapters.triton_tensors import scene_options


def record(index: int, camera_id: str = "gate", epoch: int = 1, closed_by: str = "full") -> ClipRecord:
    return ClipRecord(
        clip_id=clip_id(camera_id, epoch, index),
        camera_id=camera_id,
        epoch=epoch,
        index=index,
        start_s=4.0 * index,
        end_s=4.0 * index + 4,
        frames=[],
        width_px=64,
        height_px=48,
        closed_by=closed_by,  # type: ignore[arg-type]
        source=SourceRange(partition=0, first_offset=0, last_offset=0),
        evidence_ref="e",
        track_ids=[],
        model="m",
        captured_at=0,
        committed_at=0,
    )


def previous(trail: SceneTrail, clip: ClipRecord) -> str:
    return trail.scene(clip, 0.0, "4x4+carry").previous


def test_a_clip_follows_the_last_one_that_was_asked_about() -> None:
    trail, clips = SceneTrail(), [record(index) for index in range(5)]
    assert previous(trail, clips[0]) == ""
    trail.passed(clips[0], asked=True)
    assert previous(trail, clips[1]) == clips[0].clip_id
    trail.passed(clips[1], asked=False)
    assert previous(trail, clips[2]) == clips[0].clip_id
    trail.passed(clips[2], asked=True)
    assert previous(trail, clips[3]) == clips[2].clip_id
    assert previous(trail, clips[2]) == "", "a clip does not lead into itself"
    assert previous(trail, record(3, "yard")) == ""


@pytest.mark.parametrize("closed_by", ["scene_cut", "end"])
def test_a_new_scene_begins_afresh(closed_by: str) -> None:
    trail = SceneTrail()
    trail.passed(record(0), asked=True)
    trail.passed(record(1, closed_by=closed_by), asked=True)
    assert previous(trail, record(2)) == ""
    trail.passed(record(2), asked=True)
    assert previous(trail, record(0, epoch=2)) == ""
    trail.forget("gate")
    assert previous(trail, record(3)) == ""


def test_every_object_of_a_clip_is_asked_about_with_the_same_frames() -> None:
    assert shown_frames(16, (0, 3, 5), 0) == [0, 3, 5]
    assert shown_frames(16, (0, 3, 5), 16) == shown_frames(16, (9,), 16) == list(range(16))
    assert shown_frames(3, (1,), 16) == [0, 1, 2]
    assert shown_frames(16, (0,), 4) == shown_frames(16, (5, 6), 4) == [0, 5, 10, 15]
    assert shown_frames(16, (7, 8), 4) == [0, 5, 7, 8, 10, 15]
    assert shown_frames(16, (15,), 1) == [15]


@pytest.mark.parametrize(
    ("scene_frames", "shown", "masked"), [(0, [4, 9], (0, 1)), (16, list(range(12)), (4, 9))]
)
def test_masks_point_at_their_pictures(scene_frames: int, shown: list[int], masked: tuple[int, ...]) -> None:
    pictures = tuple(np.full((8, 8, 3), number, np.uint8) for number in range(12))
    times = tuple(100 + 0.25 * number for number in range(12))
    masks = np.zeros((12, 4, 4), bool)
    masks[[4, 9], 1, 1] = True
    boxes, scores = np.zeros((12, 4), np.float32), np.ones(12, np.float32)
    evidence = Evidence("gate", 1, 0, 100, 103, pictures, times, times, ())
    asking = Asking(lambda end_s, near: "<region>", scene_frames=scene_frames)
    scene = ClipScene("gate", "c0")
    made = request_of(
        "r", evidence, Masklet("t", masks, boxes, scores, "active"), (4, 9), asking, 1.0, scene=scene
    )
    assert made.pictures[:, 0, 0, 0].tolist() == shown and made.times_s.tolist() == [at / 4 for at in shown]
    assert made.mask_frames == masked and made.objects == (0, 0) and made.masks.shape == (2, 4, 4)
    assert made.masks[:, 1, 1].all() and made.scene is scene


def test_the_adapter_writes_options_that_the_model_reads() -> None:
    scene = ClipScene("gate", "gate-1-c000002", "gate-1-c000001", 8.25, "4x4+carry")
    options = SceneOptions.from_json(scene_options(scene))
    assert options.compression == "4x4+carry" and options.clip is not None
    assert (options.clip.camera, options.clip.clip, options.clip.previous, options.clip.begin_s) == (
        scene.camera_id,
        scene.clip_id,
        scene.previous,
        scene.begin_s,
    )
    assert SceneOptions.from_json(scene_options(None)) == SceneOptions()
    assert "reading" not in json.loads(scene_options(scene))


def test_a_narrations_tokens_tell_where_the_prompt_went() -> None:
    budget = {"anchor": 256, "body": 960, "dropped": 3, "object": 96, "text": 160, "carried": 1, "reused": 0}
    answer = CaptionAnswer("a", ("a",), (0.9,), "stop", 1472, 96, "m", {}, budget)
    tokens = tokens_of(answer)
    assert (tokens.prompt, tokens.object, tokens.output) == (1472, 96, 1)
    assert (tokens.anchor, tokens.body, tokens.dropped, tokens.text) == (256, 960, 3, 160)
    assert tokens.anchor + tokens.body + tokens.object + tokens.text == tokens.prompt
