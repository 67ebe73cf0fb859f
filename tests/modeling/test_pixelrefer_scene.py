"""Scene tokens of clips: compressed, shared by the objects of a clip, and carried from clip to clip."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from modeling.pixelrefer.compression import ClipRef, SceneOptions
from modeling.pixelrefer.generate import Captioner
from modeling.pixelrefer.pixel_shuffle import tiled_projector
from modeling.pixelrefer.request import Request
from modeling.pixelrefer.reuse import Scene, Shelf, ViewFeatures
from modeling.pixelrefer.scene import changed_tokens
from tests.modeling.tiny_captioner import request, write_tiny

SIDE_PX = 112
"""8 x 8 patches: 16 tokens of 2 x 2, 4 tokens of 4 x 4."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"), "pixelrefer")


@pytest.fixture
def captioner(folder: Path) -> Captioner:
    return Captioner.load(folder)


def film(frames: int, still_share: float = 0.0, seed: int = 3) -> np.ndarray:
    """Noise [T,112,112,3] whose upper rows, `still_share` of them, never change."""
    made = np.random.default_rng(seed).integers(0, 256, (frames, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    made[:, : int(SIDE_PX * still_share)] = made[0, : int(SIDE_PX * still_share)]
    return made


def asked(frames: np.ndarray, options: SceneOptions, start: int = 10, **other: object) -> Request:
    """A question about an object seen on the first and the last frame, `start` pixels from the top."""
    masks = np.zeros((2, *frames.shape[1:3]), np.uint8)
    masks[:, start : start + 14, 20:38] = 1
    values = {
        "frames": frames,
        "times_s": np.arange(len(frames)) * 0.25,
        "masks": masks,
        "mask_frames": np.array([0, len(frames) - 1]),
        "objects": np.zeros(2, int),
        "instruction": "What is <region>?",
        "max_new_tokens": 2,
        "scene": options,
    }
    return Request(**{**values, **other})  # type: ignore[arg-type]


def clip(
    number: int, carry: bool = True, frames: int = 16, camera: str = "gate", **other: object
) -> SceneOptions:
    """Options of the n-th clip of a camera, of four frames a second, following the one before."""
    previous = f"c{number - 1}" if number else ""
    return SceneOptions(
        "4x4+carry" if carry else "4x4",
        clip=ClipRef(camera, f"c{number}", **{"previous": previous, "begin_s": number * frames / 4, **other}),
    )


@torch.inference_mode()
def logits(captioner: Captioner, question: Request) -> Tensor:
    """Scores of every prompt position, through whatever the captioner remembers."""
    known = captioner.scene(question) if question.scene.clip else None
    embeds = captioner.embed(captioner.processor.prepare(question, known))
    return captioner.network.logits(captioner.network.decode(embeds[None]))[0]


@contextmanager
def encoded_patches(captioner: Captioner) -> Iterator[list[int]]:
    """Numbers of patches that the vision encoder is given meanwhile, one entry a call."""
    counts: list[int] = []
    hook = captioner.network.model.vision_encoder.register_forward_pre_hook(
        lambda module, given: counts.append(len(given[0]))
    )
    try:
        yield counts
    finally:
        hook.remove()


def test_folding_by_two_is_the_published_model(captioner: Captioner) -> None:
    frames = film(5, still_share=0.5)
    frames[3] = frames[2]
    published, ours = (logits(captioner, asked(frames, SceneOptions(name))) for name in ("published", "2x2"))
    assert published.shape == ours.shape
    torch.testing.assert_close(ours, published, atol=2e-4, rtol=0)
    budgets = [captioner.describe(asked(frames, SceneOptions(name))).budget for name in ("published", "2x2")]
    assert budgets[0]["dropped"] == budgets[1]["dropped"] == 3 * 8 + 15
    assert budgets[0] == budgets[1]


def test_the_anchor_is_dense_and_the_body_coarse(captioner: Captioner) -> None:
    scene = captioner.scene(asked(film(5), SceneOptions("4x4")))
    assert scene.counts == (16, 4, 4, 4, 4) and scene.roles == ("anchor", *["body"] * 4)
    moved = captioner.scene(asked(film(5), SceneOptions("4x4", anchor=3)))
    assert moved.counts == (4, 4, 4, 16, 4) and moved.budget == scene.budget
    answer = captioner.describe(asked(film(5), SceneOptions("4x4")))
    assert (answer.budget["anchor"], answer.budget["body"], answer.budget["dropped"]) == (16, 16, 0)
    parts = [answer.budget[name] for name in ("anchor", "body", "object", "text")]
    assert sum(parts) == answer.prompt_tokens and answer.budget["object"] == answer.object_tokens


def test_the_middle_of_a_block_may_be_read_instead_of_all(captioner: Captioner) -> None:
    mean, centre = (
        captioner.scene(asked(film(2), SceneOptions("4x4", reading=reading)))
        for reading in ("mean", "centre")
    )
    assert torch.equal(mean.tokens[:16], centre.tokens[:16])
    assert (mean.tokens[16:] - centre.tokens[16:]).abs().max() > 1e-3


def test_still_images_are_shown_as_published(captioner: Captioner) -> None:
    still = {"times_s": None, "mask_frames": np.zeros(2, int)}
    plain, folded = (
        captioner.scene(asked(film(1), SceneOptions(name), **still)) for name in ("published", "4x4+carry")
    )
    assert plain.counts == folded.counts == (64,) and torch.equal(plain.tokens, folded.tokens)


def test_a_coarse_token_goes_only_when_none_of_its_patches_changed(captioner: Captioner) -> None:
    frames = np.repeat(film(1), 3, axis=0)
    frames[1:, 100, 100] ^= (
        255  # one pixel of the last patch: too little for the mean of all 16, enough for its own
    )
    prepared = captioner.processor.scene_frames(asked(frames, SceneOptions("4x4")))
    assert [part.tolist() for part in prepared.kept[1:]] == [[False] * 3 + [True], [True] + [False] * 3]
    patches = prepared.images.patches.view(3, 64, -1)
    change = (patches[1] - patches[0]).abs().mean(-1) * 255
    assert (change > 0).sum() == 1 and change.max() / 16 < 0.1 < change.max()


def test_a_change_spread_thinner_than_the_limit_is_no_change(captioner: Captioner) -> None:
    images = captioner.processor.packer.pack_ready([film(1)[0]] * 2)
    images.patches[64:] += 0.09 / 255
    assert [int(part.sum()) for part in changed_tokens(images, (2, 4))] == [16, 1]
    images.patches[64:] += 0.05 / 255
    assert [int(part.sum()) for part in changed_tokens(images, (2, 4))] == [16, 4]


@pytest.mark.parametrize("size", [(61, 143), (200, 57), (57, 57), (30, 400), (448, 448)])
def test_frames_of_any_size_make_whole_blocks(captioner: Captioner, size: tuple[int, int]) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    prepared = captioner.processor.scene_frames(asked(frames, SceneOptions("4x4")))
    rows, columns = prepared.images.grids[0].tolist()
    assert rows % 4 == columns % 4 == 0
    assert prepared.counts == (rows * columns // 4, rows * columns // 16)


def test_a_bound_on_tokens_shows_larger_frames_than_the_bound_on_pixels(captioner: Captioner) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (16, 448, 448, 3), dtype=np.uint8)
    counts = [
        captioner.processor.scene_frames(asked(frames, SceneOptions("4x4", cap=cap))).counts
        for cap in ("pixels", "tokens")
    ]
    assert counts == [(100, *[25] * 15), (256, *[64] * 15)]  # the clip's bound is 2048


def test_the_objects_of_a_clip_share_one_scene(captioner: Captioner, folder: Path) -> None:
    frames, options = film(4), clip(0, carry=False)
    with encoded_patches(captioner) as shared:
        answers = [captioner.describe(asked(frames, options, start=10 + 20 * thing)) for thing in range(4)]
    assert shared.count(4 * 64) == 1 and [answer.budget["reused"] for answer in answers] == [0, 1, 1, 1]
    assert captioner.memory.entries == 1
    alone = Captioner.load(folder)
    for thing, answer in enumerate(answers):
        mine, apart = (
            asked(frames, given, start=10 + 20 * thing) for given in (options, replace(options, clip=None))
        )
        assert torch.equal(logits(captioner, mine), logits(alone, apart))
        assert alone.describe(apart).token_ids == answer.token_ids
    assert alone.memory.entries == 0


def test_a_scene_can_be_handed_to_questions(captioner: Captioner) -> None:
    question = asked(film(3), SceneOptions("4x4"))
    scene = captioner.scene(question)
    with encoded_patches(captioner) as counts:
        answer = captioner.describe(question, scene=scene)
    assert 3 * 64 not in counts
    assert answer.token_ids == captioner.describe(question).token_ids


def test_other_pixels_or_options_under_one_name_are_another_scene(captioner: Captioner) -> None:
    first = captioner.scene(asked(film(3), clip(0, carry=False)))
    other = captioner.scene(asked(film(3, seed=4), clip(0, carry=False)))
    assert not torch.equal(first.tokens, other.tokens)
    late = asked(film(3), clip(0, carry=False), times_s=np.arange(3) * 0.5)
    assert captioner.scene(late).times_s == (0.0, 0.5, 1.0)
    assert captioner.memory.entries == 3


def test_the_last_frame_is_the_next_clips_anchor(captioner: Captioner) -> None:
    first = captioner.scene(asked(film(4), clip(0, frames=4)))
    assert first.counts == (16, 4, 4, 4) and not first.budget.carried
    second = captioner.scene(asked(film(4, seed=5), clip(1, frames=4)))
    assert second.counts == (16, 4, 4, 4, 4) and second.budget.carried
    assert second.roles == ("anchor", *["body"] * 4)
    assert second.times_s == (-0.2, 0.0, 0.25, 0.5, 0.75)
    images = captioner.processor.packer.pack_ready([film(4)[-1]])
    with torch.inference_mode():
        dense = captioner.network.scene_tokens(images, [2])[0]  # type: ignore[union-attr]
    torch.testing.assert_close(second.tokens[:16], dense, atol=1e-5, rtol=1e-5)
    answer = captioner.describe(asked(film(4, seed=5), clip(1, frames=4)))
    assert (answer.budget["carried"], answer.budget["anchor"], answer.budget["body"]) == (1, 16, 16)


def test_features_may_be_carried_instead_of_tokens(folder: Path) -> None:
    made = []
    for form in ("tokens", "grid"):
        captioner = Captioner.load(folder)
        captioner = Captioner(
            captioner.network,
            captioner.processor,
            captioner.tokenizer,
            carry_form=form,  # type: ignore[arg-type]
        )
        captioner.scene(asked(film(4), clip(0, frames=4)))
        made.append(captioner.scene(asked(film(4, seed=5), clip(1, frames=4))).tokens)
    torch.testing.assert_close(made[0], made[1], atol=1e-6, rtol=1e-6)


def hand_over(giver: Captioner, taker: Captioner, number: int) -> None:
    """What a replica that takes a camera over would be given."""
    carry = giver.memory.carried_into(clip(number).clip, giver._carry_version)  # type: ignore[arg-type]
    assert carry is not None
    taker.memory.keep("gate", carry)


def test_a_stream_cut_in_two_says_the_same_as_one_run(captioner: Captioner, folder: Path) -> None:
    frames, taker = film(32, still_share=0.5), Captioner.load(folder)
    halves = [asked(frames[:16], clip(0)), asked(frames[16:], clip(1))]
    one_run = [captioner.scene(half) for half in halves]
    hand_over(captioner, taker, 1)
    two_runs = [one_run[0], taker.scene(halves[1])]
    assert [scene.counts for scene in one_run] == [scene.counts for scene in two_runs]
    assert torch.equal(one_run[1].tokens, two_runs[1].tokens)
    anchors = [anchor_times(scene, 4.0 * number) for number, scene in enumerate(two_runs)]
    assert anchors == [[0.0], [pytest.approx(3.75, abs=0.06)]]
    # As one clip of 32 frames the same cells are new; the carried frame alone comes on top.
    whole = captioner.scene(asked(frames, SceneOptions("4x4")))
    assert whole.budget.total == one_run[0].budget.total + one_run[1].budget.body
    assert whole.counts == one_run[0].counts + one_run[1].counts[1:]
    assert whole.budget.dropped == sum(scene.budget.dropped for scene in one_run) > 0


def anchor_times(scene: Scene, begin_s: float) -> list[float]:
    """Stream times of the frames shown densely."""
    assert scene.times_s is not None
    return [begin_s + at for at, role in zip(scene.times_s, scene.roles, strict=True) if role == "anchor"]


LOST = {
    "never kept": clip(1, previous="c7"),
    "another camera": clip(1, camera="yard"),
    "after a cut": clip(1, previous=""),
    "from the future": clip(1, begin_s=0.5),
}


@pytest.mark.parametrize("options", LOST.values(), ids=LOST.keys())
def test_without_a_carried_frame_the_first_frame_is_the_anchor(
    captioner: Captioner, options: SceneOptions
) -> None:
    captioner.scene(asked(film(4), clip(0)))
    scene = captioner.scene(asked(film(4, seed=5), options))
    plain = captioner.scene(asked(film(4, seed=5), SceneOptions("4x4")))
    assert scene.counts == (16, 4, 4, 4) and torch.equal(scene.tokens, plain.tokens)


def test_a_frame_of_another_model_or_version_is_not_used(captioner: Captioner, folder: Path) -> None:
    captioner.scene(asked(film(4), clip(0)))
    parts = (captioner.network, captioner.processor, captioner.tokenizer)
    for other in (Captioner(*parts, model_id="another@1"), Captioner(*parts, carry_form="grid")):
        other.memory = captioner.memory
        other.memory.scenes.clear()
        scene = other.scene(asked(film(4, seed=5), clip(1)))
        assert not scene.budget.carried and scene.counts == (16, 4, 4, 4)
        hand_back = Captioner.load(folder)
        hand_back.scene(asked(film(4), clip(0)))
        hand_over(hand_back, captioner, 1)
    captioner.memory.clear()
    assert not captioner.scene(asked(film(4, seed=5), clip(1))).budget.carried
    assert captioner.describe(asked(film(4, seed=5), clip(1))).finish == "length"


def test_a_clip_asked_about_again_gets_the_frame_it_had(captioner: Captioner) -> None:
    scenes = [captioner.scene(asked(film(4, seed=n), clip(n))) for n in range(3)]
    captioner.memory.scenes.clear()
    again = captioner.scene(asked(film(4, seed=2), clip(2)))
    assert torch.equal(again.tokens, scenes[2].tokens)


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_short_clips_run_with_what_they_have(captioner: Captioner, frames: int) -> None:
    first = captioner.describe(asked(film(frames), clip(0)))
    assert (first.budget["anchor"], first.budget["body"]) == (16, 4 * (frames - 1))
    second = captioner.describe(asked(film(frames, seed=4), clip(1)))
    assert (second.budget["anchor"], second.budget["body"], second.budget["carried"]) == (16, 4 * frames, 1)


def test_a_camera_that_changes_its_size_goes_on(captioner: Captioner) -> None:
    captioner.scene(asked(film(4), clip(0)))
    wide = np.random.default_rng(2).integers(0, 256, (2, 112, 224, 3), dtype=np.uint8)
    assert captioner.scene(asked(wide, clip(1))).counts == (16, 8, 8)


def test_a_thousand_clips_take_constant_memory_and_constant_prompts(captioner: Captioner) -> None:
    rng, seen = np.random.default_rng(0), []
    for number in range(1000):
        frames = rng.integers(0, 256, (2, 56, 56, 3), dtype=np.uint8)
        question = asked(frames, clip(number, frames=2))
        scene = captioner.scene(question)
        if number % 100 == 99:
            prompt = captioner.processor.prepare(question, scene)
            seen.append((captioner.memory.entries, captioner.memory.nbytes, len(prompt.ids)))
    assert len(set(seen)) == 1


def test_training_sees_what_serving_shows(captioner: Captioner, folder: Path) -> None:
    captioner.scene(asked(film(4), clip(0)))
    served = captioner.scene(asked(film(4, seed=5), clip(1)))
    network = Captioner.load(folder).network.requires_grad_(True)
    packer = captioner.processor.packer
    images = packer.pack_ready([film(4)[-1], *film(4, seed=5)])
    factors = (2, 4, 4, 4, 4)
    trained = torch.cat(network.scene_tokens(images, factors))  # type: ignore[union-attr]
    torch.testing.assert_close(trained.detach(), served.tokens, atol=1e-5, rtol=1e-5)
    trained.square().sum().backward()
    body = network.model
    for weight in (
        body.vision_encoder.vision_encoder.embeddings.patch_embedding.weight,
        body.mm_projector.readout[0].weight,
    ):
        assert weight.grad is not None and float(weight.grad.abs().sum()) > 0
    tiled = {4: tiled_projector(body.mm_projector.readout, 4)}
    literal = torch.cat(network.scene_tokens(images, factors, projectors=tiled))  # type: ignore[union-attr]
    torch.testing.assert_close(literal, trained, atol=1e-5, rtol=1e-5)
    literal.sum().backward()
    assert float(tiled[4][0].weight.grad.abs().sum()) > 0  # type: ignore[union-attr]


def test_images_packed_in_blocks_cannot_be_folded_otherwise(captioner: Captioner) -> None:
    images = captioner.processor.packer.pack([film(1)[0]], stride=2)
    with pytest.raises(ValueError, match="blocks of 2"):
        captioner.network.scene_tokens(images, [4])  # type: ignore[union-attr]


def test_a_shelf_keeps_to_its_bounds() -> None:
    shelf: Shelf[ViewFeatures] = Shelf(3, 100)
    for number in range(5):
        shelf.put(number, ViewFeatures(torch.zeros(5)))
        shelf.get(2)
    assert [key for key in range(5) if shelf.get(key)] == [2, 3, 4] and shelf.nbytes == 60
    shelf.put("large", ViewFeatures(torch.zeros(12)))
    assert len(shelf) == 3 and shelf.nbytes == 88
    shelf.put("too large", ViewFeatures(torch.zeros(26)))
    assert shelf.get("too large") is None and len(shelf) == 3
    shelf.put("large", ViewFeatures(torch.zeros(1)))
    assert shelf.nbytes == 44


def test_objects_of_a_clip_share_their_whole_views(tmp_path: Path) -> None:
    captioner = Captioner.load(write_tiny(tmp_path))
    apart = request(things=1, seen=3)
    together = replace(apart, scene=SceneOptions(clip=ClipRef("gate", "c0")))
    plain = captioner.describe(apart)
    first = captioner.describe(together)
    with encoded_patches(captioner) as counts:
        second = captioner.describe(together)
    assert plain.token_ids == first.token_ids == second.token_ids
    assert len(counts) == 2 and captioner.memory.entries == 3  # crops and local views only
    assert first.budget == {"object": 24, "text": first.prompt_tokens - 24}


def test_a_model_without_scene_tokens_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="objects only"):
        Captioner.load(write_tiny(tmp_path)).scene(request())
